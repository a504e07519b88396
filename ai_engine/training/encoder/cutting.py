"""Cutting places out of a lung: planted nodules and shams pasted back into it, and what the search proposes there.

A composite's crop is smaller than what the encoder sees, so it is laid back into its series first. Lungs, not nodules,
limit detection: each place is cut several times, as if the lung were larger, smaller, squeezed or of thicker slices.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ai_engine.clip import facts as clip_facts
from ai_engine.clip.facts import Ratings
from ai_engine.clip.patches import Views, packed, views_of
from ai_engine.composites import Background, Composite
from ai_engine.domain import BoolArray, CtVolume, FloatArray
from ai_engine.training.encoder.known import Planted, averaged
from ai_engine.training.encoder.negatives import Negative
from ai_engine.training.encoder.places import MARGIN, Place

_REACH_MM = 64.0
# Most of these lungs have thin slices, and many scans at a site have not: neighbours are averaged to about so much, but
# to no more than the size of what is there, and to no fewer slices.
_THICK_MM = (2.5, 5.0, 8.0)
_FEWEST_SLICES = 8
_P_THICKENED = 0.4
_STRETCH, _SQUEEZE = 0.22, 0.07
# Of a mass on the mediastinum or the diaphragm the search may see the part alone that lies within the lungs' hull: so
# often the middle is missed by such a share of the radius.
_MASS_FROM_MM, _P_PART_SEEN, _PART_SEEN = 14.0, 0.4, (0.2, 0.8)


@dataclass(frozen=True)
class Variation:
    """How a place is cut.

    Attributes
    ----------
    times : int
        How often each is cut.
    is_varied : bool
        Whether it is moved, stretched and thickened by chance; validation sees lungs as they are.
    """

    times: int
    is_varied: bool


def of_composite(
    background: Background,
    composite: Composite,
    ratings: Mapping[int, Ratings],
    variation: Variation,
    rng: np.random.Generator,
) -> Iterator[Place]:
    """Cut a planted nodule, or a sham, out of its lung.

    Parameters
    ----------
    ratings : mapping of int to Ratings
        By ``Composite.annotation_id``.
    """
    centre = _centre(composite)
    if centre is None or composite.origin_krc is None:
        return
    volume, at, outline = _laid_back(background.volume, composite, centre)
    planted = Planted(composite, outline, ratings.get(composite.annotation_id))
    kind = "sham" if composite.is_sham else "nodule"
    told = {"kind": kind, "patient_id": composite.patient_id, "annotation_id": composite.annotation_id}
    for cut in _cuts(Lung(volume), at, composite.diameter_mm, variation, rng):
        facts = planted.facts(cut.volume, cut.together, cut.stretch_krc)
        told_of_cut = {**told, "diameter_mm": planted.diameter_mm(cut.stretch_krc)}
        yield Place(**cut.cubes, facts=facts, lung=composite.lung, told=told_of_cut)


@dataclass(frozen=True, eq=False)
class Lung:
    """A volume to cut places out of, as it is and with slices averaged together."""

    volume: CtVolume
    _thick: dict[int, Views] = field(default_factory=dict)

    @cached_property
    def plain(self) -> Views:
        """As it is."""
        return views_of(self.volume)

    def thick(self, n: int) -> Views:
        """Give it with so many slices averaged into one."""
        if n not in self._thick:
            self._thick[n] = self._averaged(n)
        return self._thick[n]

    def together(self, size_mm: float) -> list[int]:
        """Say how many slices may be averaged around something of this size; empty where they are thick already."""
        most = max(size_mm, _THICK_MM[0])
        numbers = {round(thick / self.volume.spacing_krc_mm[0]) for thick in _THICK_MM if thick <= most}
        return sorted(n for n in numbers if n > 1 and len(self.volume.hu) // n >= _FEWEST_SLICES)

    def _averaged(self, n: int) -> Views:
        hu = np.rint(averaged(self.volume.hu, n)).astype(np.int16)
        affine = self.volume.affine.copy()
        affine[:3, 0] *= n
        return views_of(CtVolume(hu, affine, self.volume.contrast))


def of_negative(
    lung: Lung, name: str, negative: Negative, variation: Variation, rng: np.random.Generator
) -> Iterator[Place]:
    """Cut a place that is no nodule out of the lung of this name."""
    told = {"kind": "candidate", "diameter_mm": negative.diameter_mm, "centre_krc": list(negative.centre_krc)}
    facts = clip_facts.of_structure(negative.structure)
    for cut in _cuts(lung, np.array(negative.centre_krc), negative.diameter_mm, variation, rng):
        yield Place(**cut.cubes, facts=facts, lung=name, told=told)


@dataclass(frozen=True, eq=False)
class _Cut:
    """One cut: out of a volume with ``together`` slices averaged into one, taken to be larger by ``stretch_krc``."""

    cubes: dict[str, NDArray[np.uint8]]
    volume: CtVolume
    together: int
    stretch_krc: FloatArray


def _centre(composite: Composite) -> FloatArray | None:
    """Index in the crop of the target's centre, or of the sham's."""
    if composite.sham_centre_krc is not None:
        return np.array(composite.sham_centre_krc, dtype=np.float64)
    at = np.argwhere(composite.labels == 1)
    return at.mean(axis=0) if len(at) else None


def _cuts(
    lung: Lung, centre: FloatArray, diameter_mm: float, variation: Variation, rng: np.random.Generator
) -> Iterator[_Cut]:
    together = lung.together(diameter_mm)
    for _ in range(variation.times):
        views, middle, stretch, n = lung.plain, centre, np.ones(3), 1
        if variation.is_varied:
            if together and rng.random() < _P_THICKENED:
                n = together[int(rng.integers(len(together)))]
                views, middle = lung.thick(n), (centre - [(n - 1) / 2, 0, 0]) / [n, 1, 1]
            stretch = np.exp(rng.uniform(-_STRETCH, _STRETCH) + rng.uniform(-_SQUEEZE, _SQUEEZE, 3))
            middle = middle + _off_mm(diameter_mm, rng) / np.array(views.volume.spacing_krc_mm)
        fine, coarse = views.cubes(middle, MARGIN, stretch)
        cubes = {"fine": fine, "coarse": coarse, "close": views.close(middle, MARGIN, stretch)}
        yield _Cut({name: packed(cube) for name, cube in cubes.items()}, views.volume, n, stretch)


def _off_mm(diameter_mm: float, rng: np.random.Generator) -> FloatArray:
    """Draw how far, along k, r, c, a search misses the middle of something of this size."""
    off = rng.normal(0, np.clip(0.1 * diameter_mm, 0.6, 2.0), 3)
    if diameter_mm < _MASS_FROM_MM or rng.random() >= _P_PART_SEEN:
        return off
    towards = rng.normal(size=3)
    return np.asarray(off + rng.uniform(*_PART_SEEN) * diameter_mm / 2 * towards / np.linalg.norm(towards))


def _laid_back(volume: CtVolume, composite: Composite, centre: FloatArray) -> tuple[CtVolume, FloatArray, BoolArray]:
    """Lay a crop back into its series and cut out what can be seen from its target.

    Returns
    -------
    CtVolume, (3,) float, (k, r, c) bool
        What was cut out, the target's index in it, its outline.
    """
    assert composite.origin_krc is not None
    hu, outline = volume.hu.copy(), np.zeros(volume.hu.shape, dtype=bool)
    crop = tuple(slice(o, o + n) for o, n in zip(composite.origin_krc, composite.hu.shape, strict=True))
    hu[crop], outline[crop] = composite.hu, composite.labels == 1
    middle = centre + composite.origin_krc
    reach = _REACH_MM / np.array(volume.spacing_krc_mm)
    low = np.clip(np.floor(middle - reach).astype(int), 0, np.subtract(hu.shape, 1))
    high = np.clip(np.ceil(middle + reach).astype(int) + 1, low + 1, hu.shape)
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return CtVolume(hu[part], volume.affine, volume.contrast), middle - low, outline[part]
