"""Trachea and main bronchi, so that they count neither as lung nor as a bridge between the lungs."""

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoolArray
from ai_engine.grid import Float32Array

# Trachea and main bronchi of an adult hold 30 to 60 ml; more than this has leaked into the lungs.
LARGEST_ML = 80.0
# Cross-sections of the trachea: 12 to 30 mm wide.
AREA_MM2 = (80.0, 800.0)
LUMEN_BELOW_HU = -900.0


def airways(hu: Float32Array, inside: BoolArray, step_mm: float) -> BoolArray:
    """Grow from the trachea at a rising threshold, and take the largest growth that does not yet leak.

    Parameters
    ----------
    hu : (k, r, c) float32
        Turned.
    inside : (k, r, c) bool
        Enclosed air.
    step_mm : float
        Of the grid.
    """
    best = np.zeros(hu.shape, dtype=bool)
    seeds = _trachea(hu, inside, step_mm)
    if not seeds.any():
        return best
    dark = np.where(inside, hu, np.float32(0))
    for threshold_hu in range(-980, -840, 20):
        labels, _ = ndimage.label(dark < threshold_hu)
        reached = np.unique(labels[seeds])
        sizes = np.bincount(labels.ravel())
        reached = reached[reached > 0]
        if sizes[reached].sum() * step_mm**3 > LARGEST_ML * 1000:
            break
        best = np.isin(labels, reached)
    return best


def _trachea(hu: Float32Array, inside: BoolArray, step_mm: float) -> BoolArray:
    """Round, dark holes of the trachea's size in the upper half of the scan, each in the middle between the lungs."""
    seeds = np.zeros(hu.shape, dtype=bool)
    columns = np.nonzero(inside.any(axis=(0, 1)))[0]
    if not len(columns):
        return seeds
    width = columns[-1] - columns[0]
    for k in range(hu.shape[0] // 2, hu.shape[0]):
        labels, _ = ndimage.label(inside[k])
        for index, box in enumerate(ndimage.find_objects(labels), start=1):
            part = labels[box] == index
            middle = (box[1].start + box[1].stop) / 2
            central = abs(middle - columns[0] - width / 2) < 0.25 * width
            if central and _is_round(part, step_mm) and hu[k][box][part].min() < LUMEN_BELOW_HU - 30:
                seeds[k][box] |= part & (hu[k][box] < LUMEN_BELOW_HU)
    return seeds


def _is_round(part: BoolArray, step_mm: float) -> bool:
    count = int(np.count_nonzero(part))
    height, width = part.shape
    return bool(
        AREA_MM2[0] < count * step_mm**2 < AREA_MM2[1]
        and count > 0.55 * height * width
        and max(height, width) < 2.2 * min(height, width)
    )
