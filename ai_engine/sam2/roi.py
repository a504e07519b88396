"""Slices as the network sees them: a square region, resampled, in windows of HU; and masks back on the voxels.

Training and inference share this file. Pixel p of a frame lies ``(p + 0.5) / size - 0.5`` sides from the region's
centre; voxel indices and pixels both have their integers at centres. All arrays are turned (``geometry.Turn``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.domain import BoolArray, FloatArray, HuArray
from ai_engine.grid import Float32Array

NARROWEST_MM, WIDEST_MM = 24.0, 86.0

# Low and high HU of the three channels: the whole range from air to bone, the lung and its ground glass, soft tissue.
WINDOWS_HU = ((-1000.0, 400.0), (-1000.0, -400.0), (-200.0, 200.0))


@dataclass(frozen=True)
class Roi:
    """The part of a volume that is shown.

    Attributes
    ----------
    centre_krc : tuple of float
        Voxel index of the middle of the prompted slice.
    side_mm : float
        Of the square.
    low_k, high_k : int
        First slice, and the one after the last.
    """

    centre_krc: tuple[float, float, float]
    side_mm: float
    low_k: int
    high_k: int

    @property
    def slices(self) -> NDArray[np.int64]:
        """(n,) int64: the slices shown, along k."""
        return np.arange(self.low_k, self.high_k)


def side_for(box_mm: float) -> float:
    """Side of the region for a box with this longer side: three times it within limits, never less than 1.6 times it.

    SAM2 answers on a quarter of its pixels along a side: in three times the box an object is 11 of them wide.
    """
    return max(min(max(3 * box_mm, NARROWEST_MM), WIDEST_MM), 1.6 * box_mm)


def part_side_for(box_mm: float) -> float:
    """Side of the region in which a part of a nodule is looked for: twice the nodule's box, so that a core shows."""
    return max(2 * box_mm, NARROWEST_MM)


def frames(hu: HuArray, spacing_krc_mm: tuple[float, float, float], roi: Roi, size: int = 128) -> Float32Array:
    """Show the slices of a region.

    Parameters
    ----------
    hu : (k, r, c) int16
    spacing_krc_mm : tuple of float
    roi : Roi
    size : int
        Pixels along a side.

    Returns
    -------
    (n, 3, size, size) float32
        Slices ``roi.low_k`` to ``roi.high_k``; each window of ``WINDOWS_HU`` as -1 to 1.
    """
    centre_rc = (roi.centre_krc[1], roi.centre_krc[2])
    return windowed(resampled(hu[roi.low_k : roi.high_k], spacing_krc_mm, centre_rc, roi.side_mm, size))


def resampled(
    slices: NDArray[np.generic],
    spacing_krc_mm: tuple[float, float, float],
    centre_rc: Sequence[float] | FloatArray,
    side_mm: float,
    size: int,
) -> Float32Array:
    """Sample slices (n, r, c) of any kind of value on the pixels of a region; beyond the volume its border goes on.

    Values are averaged before they are thinned out; a mask becomes its share of each pixel.

    Returns
    -------
    (n, size, size) float32
    """
    stride = side_mm / size / np.array(spacing_krc_mm[1:])
    first = np.asarray(centre_rc) + (0.5 / size - 0.5) * side_mm / np.array(spacing_krc_mm[1:])
    low, part = _needed(slices, first, stride, size)
    values = part.astype(np.float32)
    # the Gaussian that widens a voxel to a pixel; 0.3 of the stride is the deviation of a box of that width
    sigma = 0.3 * np.sqrt(np.maximum(stride**2 - 1, 0))
    if sigma.max() > 0.2:
        values = ndimage.gaussian_filter(values, (0, *sigma), mode="nearest", truncate=3)
    offset = first - low
    out = np.empty((len(values), size, size), dtype=np.float32)
    for index, plane in enumerate(values):
        ndimage.affine_transform(plane, stride, offset, output=out[index], order=1, mode="nearest")
    return out


def _needed(
    slices: NDArray[np.generic], first: FloatArray, stride: FloatArray, size: int
) -> tuple[NDArray[np.int64], NDArray[np.generic]]:
    """Cut to what the pixels reach, with a margin for averaging."""
    margin = np.ceil(2 + stride)
    shape = np.array(slices.shape[1:])
    low = np.clip(np.floor(first - margin), 0, shape - 1).astype(np.int64)
    high = np.clip(np.ceil(first + stride * size + margin), low + 1, shape).astype(np.int64)
    return low, slices[:, low[0] : high[0], low[1] : high[1]]


def windowed(hu: Float32Array) -> Float32Array:
    """Turn HU (n, size, size) into channels (n, 3, size, size) float32, each of ``WINDOWS_HU`` as -1 to 1."""
    channels = [np.clip((hu - low) * np.float32(2 / (high - low)) - 1, -1, 1) for low, high in WINDOWS_HU]
    return np.stack(channels, axis=1).astype(np.float32, copy=False)


def pixels(
    points_rc: FloatArray,
    spacing_krc_mm: tuple[float, float, float],
    centre_rc: Sequence[float] | FloatArray,
    side_mm: float,
    size: int,
) -> Float32Array:
    """Map voxel indices (..., 2) as (r, c) to pixels of a frame (..., 2) as (x, y), which is (column, row)."""
    from_centre = (np.asarray(points_rc) - np.asarray(centre_rc)) * np.array(spacing_krc_mm[1:])
    y_x = (from_centre / side_mm + 0.5) * size - 0.5
    return y_x[..., ::-1].astype(np.float32)


def on_voxels(
    logits: Float32Array,
    spacing_krc_mm: tuple[float, float, float],
    centre_rc: Sequence[float] | FloatArray,
    side_mm: float,
    shape_rc: tuple[int, int],
) -> tuple[BoolArray, tuple[int, int]]:
    """Carry masks from pixels to voxels: a voxel belongs to one if the logit at its centre is positive.

    Parameters
    ----------
    logits : (n, size, size) float32
    shape_rc : tuple of int
        Of the volume's slices.

    Returns
    -------
    mask : (n, r, c) bool
        Cut to the region.
    origin_rc : tuple of int
        Index in the volume of ``mask[:, 0, 0]``.
    """
    size = logits.shape[-1]
    stride = side_mm / size / np.array(spacing_krc_mm[1:])  # voxels per pixel
    first = np.asarray(centre_rc) + (0.5 / size - 0.5) * side_mm / np.array(spacing_krc_mm[1:])
    low = np.clip(np.ceil(first).astype(np.int64), 0, np.array(shape_rc) - 1)
    high = np.clip(np.floor(first + stride * (size - 1)).astype(np.int64) + 1, low + 1, shape_rc)
    n_r, n_c = (int(n) for n in high - low)
    mask = np.empty((len(logits), n_r, n_c), dtype=bool)
    for index, plane in enumerate(logits):
        inside = ndimage.affine_transform(
            plane, 1 / stride, (low - first) / stride, (n_r, n_c), order=1, mode="constant", cval=-1
        )
        mask[index] = inside > 0
    return mask, (int(low[0]), int(low[1]))
