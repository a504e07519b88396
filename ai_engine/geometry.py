"""The one place where voxel indices ``(k, r, c)`` meet the patient's space (LPS, mm)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ai_engine.domain import FloatArray


def krc_to_lps_mm(affine: FloatArray, points_krc: ArrayLike) -> FloatArray:
    """Map voxel indices to the patient's space.

    Parameters
    ----------
    affine : (4, 4) float64
        As in ``CtVolume``.
    points_krc : (..., 3)
        Voxel indices; integers are voxel centres.

    Returns
    -------
    (..., 3) float64
        LPS mm.
    """
    points = np.asarray(points_krc, dtype=np.float64)
    return points @ affine[:3, :3].T + affine[:3, 3]


def lps_mm_to_krc(affine: FloatArray, points_lps_mm: ArrayLike) -> FloatArray:
    """Map points in the patient's space (..., 3), LPS mm, to fractional voxel indices (..., 3)."""
    points = np.asarray(points_lps_mm, dtype=np.float64) - affine[:3, 3]
    return points @ np.linalg.inv(affine[:3, :3]).T


def affine_from(
    origin_lps_mm: Sequence[float], step_k_mm: Sequence[float], step_r_mm: Sequence[float], step_c_mm: Sequence[float]
) -> FloatArray:
    """Build an affine from the centre of voxel (0, 0, 0) and the step in LPS mm to the next voxel along k, r and c."""
    affine = np.eye(4)
    affine[:3, :3] = np.stack([step_k_mm, step_r_mm, step_c_mm], axis=1)
    affine[:3, 3] = origin_lps_mm
    return affine
