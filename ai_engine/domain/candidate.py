"""Where a nodule may be: by a search, or by the hand of a person."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Channel(StrEnum):
    """Which search proposed a candidate."""

    SOLID = "solid"
    GROUND_GLASS = "ground-glass"
    MASS = "mass"


@dataclass(frozen=True)
class BoxPrompt:
    """A box on one slice, as a person draws it or a detector proposes it.

    Attributes
    ----------
    k : int
        The slice.
    low_rc, high_rc : tuple of float
        Edges in voxel indices of the volume, where integers are voxel centres: one voxel reaches from -0.5 to 0.5.
    """

    k: int
    low_rc: tuple[float, float]
    high_rc: tuple[float, float]

    def __str__(self) -> str:
        corners = ",".join(f"{edge:g}" for edge in (*self.low_rc, *self.high_rc))
        return f"box with edges {corners} on slice {self.k}"

    @property
    def centre_krc(self) -> tuple[float, float, float]:
        """Middle of the box."""
        (r0, c0), (r1, c1) = self.low_rc, self.high_rc
        return float(self.k), (r0 + r1) / 2, (c0 + c1) / 2

    def side_mm(self, spacing_krc_mm: tuple[float, float, float]) -> float:
        """Mean of the two sides."""
        sides = np.subtract(self.high_rc, self.low_rc) * spacing_krc_mm[1:]
        return float(sides.mean())


@dataclass(frozen=True)
class PointPrompt:
    """One voxel of the nodule, in voxel indices of the volume."""

    k: int
    r: int
    c: int

    def __str__(self) -> str:
        return f"point {self.k},{self.r},{self.c}"

    @property
    def centre_krc(self) -> tuple[float, float, float]:
        """The voxel."""
        return float(self.k), float(self.r), float(self.c)


Prompt = BoxPrompt | PointPrompt


@dataclass(frozen=True)
class Candidate:
    """A suspicious place.

    Attributes
    ----------
    centre_krc : tuple of float
        Voxel index of the centre.
    diameter_mm : float
        Estimated diameter.
    score : float
        Strength of the evidence, comparable within one channel only, unless the encoder scored it; not a probability.
    prompt : BoxPrompt, PointPrompt or None
        What a person pointed at; None where the detector found the place.
    """

    centre_krc: tuple[float, float, float]
    diameter_mm: float
    score: float
    channel: Channel
    prompt: Prompt | None = None
