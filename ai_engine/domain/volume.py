"""The volume, and what arrays are called."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
HuArray = NDArray[np.int16]
UInt8Array = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class CtVolume:
    """One CT series as a regular grid.

    Attributes
    ----------
    hu : (k, r, c) int16
        Hounsfield units.
    affine : (4, 4) float64
        Maps ``(k, r, c, 1)`` of a voxel's centre to LPS mm. The direction of k is whatever the affine says.
    contrast : bool or None
        Whether contrast medium was given, where the header says so.
    """

    hu: HuArray
    affine: FloatArray
    contrast: bool | None = None

    @cached_property
    def spacing_krc_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along k, r and c, in mm."""
        k, r, c = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(k), float(r), float(c)

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))
