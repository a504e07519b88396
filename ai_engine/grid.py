"""Isotropic copies of a part of a volume, on which the stages measure in millimetres.

All arrays here are turned (``geometry.Turn``): k to the head, r to the back, c to the left of the patient.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ai_engine.domain import FloatArray

Float32Array = NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """Where an isotropic grid lies in the voxel grid of a volume.

    Attributes
    ----------
    step_mm : float
        Distance of neighbouring grid points along each axis.
    origin_krc : tuple of float
        Voxel index, in the volume, of grid point (0, 0, 0).
    spacing_krc_mm : tuple of float
        Of the volume.
    shape : tuple of int
        Number of grid points along k, r, c.
    """

    step_mm: float
    origin_krc: tuple[float, float, float]
    spacing_krc_mm: tuple[float, float, float]
    shape: tuple[int, int, int]

    @property
    def stride_krc(self) -> FloatArray:
        """(3,) float64: voxels of the volume per grid step."""
        return self.step_mm / np.array(self.spacing_krc_mm)

    def to_volume(self, points: ArrayLike) -> FloatArray:
        """Map grid indices (..., 3) to voxel indices of the volume (..., 3)."""
        return np.asarray(points, dtype=np.float64) * self.stride_krc + np.array(self.origin_krc)

    def from_volume(self, points_krc: ArrayLike) -> FloatArray:
        """Map voxel indices of the volume (..., 3) to grid indices (..., 3)."""
        return (np.asarray(points_krc, dtype=np.float64) - np.array(self.origin_krc)) / self.stride_krc

    def sample(self, array: NDArray[Any], order: int = 1) -> Float32Array:
        """Sample an array on the volume's voxels at the grid points; beyond the volume its border goes on.

        Where the grid is coarser than the volume, voxels are averaged first, so that noise falls.

        Parameters
        ----------
        array : (k, r, c)
            Values on the voxels of the volume.
        order : int
            1 for values, 0 for labels, which are not averaged.
        """
        block = np.maximum(np.floor(self.stride_krc + 1e-6).astype(int), 1) if order else np.ones(3, dtype=int)
        lower, upper = self._needed(array.shape, block)
        part = _block_mean(array[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))], block)
        offset = (np.array(self.origin_krc) - lower - (block - 1) / 2) / block
        return _affine(part, self.stride_krc / block, offset, self.shape, order)

    def sample_grid(self, array: NDArray[Any], of: "Grid", order: int = 1) -> Float32Array:
        """Sample an array that lies on another grid over the same volume at the points of this grid."""
        offset = of.from_volume(self.origin_krc)
        return _affine(array, np.full(3, self.step_mm / of.step_mm), offset, self.shape, order)

    def _needed(self, shape: tuple[int, ...], block: NDArray[np.int_]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        ends = self.to_volume(np.array([(0, 0, 0), np.subtract(self.shape, 1)]))
        lower = np.clip(np.floor(ends[0]).astype(int) - block, 0, np.subtract(shape, 1))
        return lower, np.clip(np.ceil(ends[1]).astype(int) + block + 1, lower + 1, shape)


def grid_over(
    shape: tuple[int, ...], spacing_krc_mm: tuple[float, float, float], step_mm: float, margin_mm: float = 0.0
) -> Grid:
    """Lay a grid over a whole volume of this shape, its first point ``margin_mm`` outside of the first voxel."""
    extent = (np.array(shape) - 1) * spacing_krc_mm + 2 * margin_mm
    k, r, c = (int(n) for n in np.floor(extent / step_mm) + 1)
    first = -margin_mm / np.array(spacing_krc_mm)
    return Grid(step_mm, (float(first[0]), float(first[1]), float(first[2])), spacing_krc_mm, (k, r, c))


def part_of(grid: Grid, lower: ArrayLike, upper: ArrayLike, step_mm: float) -> Grid:
    """Lay a finer or coarser grid over the points ``lower`` to ``upper`` (inclusive) of another grid."""
    first, last = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    k, r, c = (int(n) for n in np.floor((last - first) * grid.step_mm / step_mm) + 1)
    start = grid.to_volume(first)
    return Grid(step_mm, (float(start[0]), float(start[1]), float(start[2])), grid.spacing_krc_mm, (k, r, c))


def _affine(
    array: NDArray[Any], stride: FloatArray, offset: FloatArray, shape: tuple[int, int, int], order: int
) -> Float32Array:
    source = array.astype(np.uint8) if array.dtype == np.bool_ else np.ascontiguousarray(array)
    return ndimage.affine_transform(source, stride, offset, shape, np.float32, order, mode="nearest")


def _block_mean(array: NDArray[Any], block: NDArray[np.int_]) -> NDArray[Any]:
    """Mean over blocks of voxels, slice by slice to save memory; last, incomplete blocks are dropped."""
    if (block == 1).all() or (np.array(array.shape) < block).any():
        return array
    (k, r, c), (n_k, n_r, n_c) = (int(size) for size in block), (int(n) for n in np.array(array.shape) // block)
    means = np.empty((n_k, n_r, n_c), dtype=np.float32)
    for index in range(n_k):
        part = array[index * k : (index + 1) * k, : n_r * r, : n_c * c]
        means[index] = part.reshape(k, n_r, r, n_c, c).mean(axis=(0, 2, 4), dtype=np.float32)
    return means
