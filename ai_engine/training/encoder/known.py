"""What is known of a planted nodule as it was cut: slices averaged together, lung taken to be larger or smaller.

Type and calcium are what that picture shows, not the one that was painted: a rim of 2 mm in a lung half as large is an
edge, and a slice that holds half of a core looks like ground glass.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ai_engine.clip import facts as clip_facts
from ai_engine.clip.facts import Facts, Ratings
from ai_engine.composites import Composite, shows_calcium, visible_type
from ai_engine.domain import BoolArray, CtVolume, FloatArray


@dataclass(frozen=True, eq=False)
class Planted:
    """A composite's target, or its sham, in the volume that places are cut out of.

    Attributes
    ----------
    outline : (k, r, c) bool
        In that volume; of a sham nothing.
    ratings : Ratings or None
        Of the reader whose outline it has.
    """

    composite: Composite
    outline: BoolArray
    ratings: Ratings | None

    def diameter_mm(self, stretch_krc: FloatArray) -> float:
        """Say how large the target is in a lung that is so many times larger."""
        return self.composite.diameter_mm * float(stretch_krc[1:].mean())

    def facts(self, volume: CtVolume, together: int, stretch_krc: FloatArray) -> Facts:
        """Say what a cut shows.

        Parameters
        ----------
        volume : CtVolume
            What it was cut out of, with ``together`` slices averaged into one.
        stretch_krc : (3,) float
            How many times larger than it is the volume was taken to be.
        """
        painted = self.composite.nodule_type
        if painted is None:
            return clip_facts.of_structure(None)
        diameter_mm = self.diameter_mm(stretch_krc)
        # what at least half of a thick slice holds is within it
        outline, (k, r, c) = averaged(self.outline, together) >= 0.5, np.array(volume.spacing_krc_mm) * stretch_krc
        spacing = (float(k), float(r), float(c))
        kind, calcium = None, False
        # of slices so thick that the nodule lies in a few, nobody can tell what it is made of
        if outline.any() and (together == 1 or spacing[0] <= diameter_mm / 2):
            kind = visible_type(volume.hu, outline, spacing, diameter_mm, painted)
            calcium = shows_calcium(volume.hu, outline, spacing)
        return clip_facts.of_nodule(kind, diameter_mm, self.ratings, shows_calcium=calcium)


def averaged(slices: NDArray[Any], together: int) -> FloatArray:
    """Average so many slices (k, r, c) into one; a last, incomplete one is dropped."""
    whole = len(slices) // together * together
    return np.asarray(slices[:whole].reshape(-1, together, *slices.shape[1:]).mean(axis=1))
