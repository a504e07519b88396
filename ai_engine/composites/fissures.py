"""Thin sheets inside the lung: places on fissures, good enough to plant on, not to part lobes with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.domain import BoolArray, FloatArray
from ai_engine.grid import Float32Array

# HU that a fissure has after blurring to the grid: above the lung, below a vessel.
BAND_HU = (-880.0, -600.0)
SMOOTHING_STEPS = 1.0
# A sheet: one strong negative curvature, the others small beside it.
LEAST_CURVATURE_HU = 12.0
FLATNESS = 0.35
DEEPER_THAN_MM = 8.0
LARGER_THAN_MM2 = 400.0


@dataclass(frozen=True, eq=False)
class Sheets:
    """Places on sheets.

    Attributes
    ----------
    at : (n, 3) int32
        Grid indices.
    normal : (n, 3) float64
        Unit vectors across the sheet, along k, r, c.
    """

    at: NDArray[np.int32]
    normal: FloatArray


def sheets(hu: Float32Array, air: BoolArray, depth_mm: NDArray[np.float32], step_mm: float) -> Sheets:
    """Find sheets by the curvatures of the image (Frangi's order of the Hessian's eigenvalues).

    Parameters
    ----------
    hu : (k, r, c) float32
        On the lungs' grid.
    air : (k, r, c) bool
        Aerated lung.
    depth_mm : (k, r, c) float32
        Distance to the outside of the lung.
    step_mm : float
        Of the grid.
    """
    smooth = ndimage.gaussian_filter(hu, SMOOTHING_STEPS, truncate=3)
    ask = air & (depth_mm > DEEPER_THAN_MM) & (smooth > BAND_HU[0]) & (smooth < BAND_HU[1])
    at = np.argwhere(ask)
    if not len(at):
        return Sheets(at.astype(np.int32), np.zeros((0, 3)))
    values, vectors = np.linalg.eigh(_hessian(smooth, at))
    flat = (values[:, 0] < -LEAST_CURVATURE_HU) & (np.abs(values[:, 1:]).max(axis=1) < FLATNESS * -values[:, 0])
    keep = np.zeros(hu.shape, dtype=bool)
    keep[tuple(at[flat].T)] = True
    pieces, _ = ndimage.label(keep, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel()) * step_mm**2
    large = sizes[pieces[tuple(at[flat].T)]] > LARGER_THAN_MM2
    return Sheets(at[flat][large].astype(np.int32), vectors[flat][large][:, :, 0])


def _hessian(image: Float32Array, at: NDArray[np.int_]) -> FloatArray:
    """Second differences of an image at some of its points, (n, 3, 3)."""
    padded = np.pad(image, 1, mode="edge")
    steps = np.eye(3, dtype=int)

    def value(offset: NDArray[np.int_]) -> FloatArray:
        return padded[tuple((at + 1 + offset).T)].astype(np.float64)

    hessian = np.empty((len(at), 3, 3))
    for i in range(3):
        hessian[:, i, i] = value(steps[i]) + value(-steps[i]) - 2 * value(0 * steps[i])
        for j in range(i):
            one, other = steps[i] + steps[j], steps[i] - steps[j]
            hessian[:, i, j] = hessian[:, j, i] = (value(one) + value(-one) - value(other) - value(-other)) / 4
    return hessian
