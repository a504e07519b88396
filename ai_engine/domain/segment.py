"""Which voxels a nodule has, and a part of it that was asked for."""

from dataclasses import dataclass

import numpy as np

from ai_engine.domain.volume import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Segment:
    """The mask of one candidate, cut to its bounding box.

    Attributes
    ----------
    mask : (k, r, c) bool
        Never empty.
    origin_krc : tuple of int
        Index in the volume of ``mask[0, 0, 0]``.
    confidence : float or None
        Agreement of the segmenter with itself and with other means, 0 to 1; None where the tier does not measure it.
    is_doubtful : bool
        The confidence is so low that the outline has to be looked at.
    """

    mask: BoolArray
    origin_krc: tuple[int, int, int]
    confidence: float | None = None
    is_doubtful: bool = False

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where the mask lies in the volume, as slices along k, r, c."""
        k, r, c = (slice(o, o + n) for o, n in zip(self.origin_krc, self.mask.shape, strict=True))
        return k, r, c

    @property
    def middle_krc(self) -> FloatArray:
        """Mean index in the volume of the mask's voxels, (3,) float64."""
        return np.argwhere(self.mask).mean(axis=0) + self.origin_krc

    def on(self, shape: tuple[int, int, int]) -> BoolArray:
        """Return the mask on the whole grid of a volume of this shape, (k, r, c) bool."""
        whole = np.zeros(shape, dtype=bool)
        whole[self.box] = self.mask
        return whole


@dataclass(frozen=True, eq=False)
class NamedPart:
    """A part of a nodule that was asked for in words; nothing that is told of the nodule itself follows from it.

    Attributes
    ----------
    name : str
        As it was asked for.
    segment : Segment or None
        Within that of the nodule; None where no such part was seen.
    volume_mm3, mean_diameter_mm : float
        Of it; 0 without one.
    is_whole : bool
        Whether the name is understood as all of the nodule.
    """

    name: str
    segment: Segment | None
    volume_mm3: float = 0.0
    mean_diameter_mm: float = 0.0
    is_whole: bool = False
