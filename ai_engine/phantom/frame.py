"""The phantom's own frame: x to the left, y to the back, h down from the lung apex, all in mm."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ai_engine.domain import FloatArray
from ai_engine.geometry import affine_from

Towards = Literal["head", "feet"]

#: Height of the lungs from apex to base for which the anatomy is written down, in mm.
NATURAL_LUNG_HEIGHT_MM = 240.0


@dataclass(frozen=True)
class Frame:
    """Where the voxels of a phantom lie.

    Attributes
    ----------
    shape : tuple of int
        (k, r, c).
    lung_height_mm : float
        Apex to base; the anatomy is stretched along h to this height.
    shift_mm : float
        How far the lungs' middle lies above the volume's middle.
    k_towards : {"head", "feet"}
        Where k grows to.
    centre_lps_mm : tuple of float
        The volume's middle in the patient's space.
    """

    shape: tuple[int, int, int]
    spacing_krc_mm: tuple[float, float, float]
    lung_height_mm: float
    shift_mm: float
    k_towards: Towards
    centre_lps_mm: tuple[float, float, float]

    @property
    def affine(self) -> FloatArray:
        """Voxel indices to LPS mm, (4, 4)."""
        k_mm, r_mm, c_mm = self.spacing_krc_mm
        up = k_mm if self.k_towards == "head" else -k_mm
        half = [(n - 1) / 2 * step for n, step in zip(self.shape, (up, r_mm, c_mm), strict=True)]
        x, y, z = self.centre_lps_mm
        return affine_from((x - half[2], y - half[1], z - half[0]), (0, 0, up), (0, r_mm, 0), (c_mm, 0, 0))

    @property
    def apex_lps_mm(self) -> FloatArray:
        """Origin of (x, y, h) in the patient's space, (3,) mm."""
        x, y, z = self.centre_lps_mm
        return np.array([x, y, z + self.lung_height_mm / 2 + self.shift_mm])

    @property
    def stretch(self) -> float:
        """Millimetres of the anatomy as written down per millimetre of this thorax, along h."""
        return NATURAL_LUNG_HEIGHT_MM / self.lung_height_mm

    def xyh_mm(self, lps_mm: ArrayLike) -> FloatArray:
        """Points (..., 3) in LPS mm as (x, y, h), with h as in the anatomy written down."""
        return (np.asarray(lps_mm, dtype=np.float64) - self.apex_lps_mm) * (1, 1, -self.stretch)

    def lps_mm(self, xyh_mm: ArrayLike) -> FloatArray:
        """Undo ``xyh_mm``."""
        return np.asarray(xyh_mm, dtype=np.float64) / (1, 1, -self.stretch) + self.apex_lps_mm

    def axes_xyh_mm(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return x of the columns (c,), y of the rows (r,), h of the slices (k,)."""
        origin = self.xyh_mm(self.affine[:3, 3])
        steps = np.diagonal(self.affine[:3, 2::-1]) * (1, 1, -self.stretch)
        x, y, h = (o + np.arange(n) * s for o, n, s in zip(origin, self.shape[::-1], steps, strict=True))
        return x, y, h
