"""Sizes and attenuation of one segment: axes as in Lung-RADS v2022, volume, HU."""

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from ai_engine.domain import Axis, BoolArray, CtVolume, FloatArray, Measurements, Segment


def measure(volume: CtVolume, segment: Segment) -> Measurements:
    """Measure one segment.

    Parameters
    ----------
    volume : CtVolume
        As the scanner wrote it; axial.
    segment : Segment
        On its voxel grid.

    Notes
    -----
    The axes lie on the axial slice of the largest area, and span voxel borders: one voxel is as long as its spacing.
    Lung-RADS v2022: each axis is rounded to 0.1 mm, then their mean is rounded to 0.1 mm.
    """
    spacing = volume.spacing_krc_mm
    key = int(segment.mask.sum(axis=(1, 2)).argmax())
    long_axis, short_axis = _axes(segment, key, spacing[1], spacing[2])
    hu = volume.hu[segment.box][segment.mask].astype(np.float64)
    return Measurements(
        key_slice_k=segment.origin_krc[0] + key,
        long_axis=long_axis,
        short_axis=short_axis,
        mean_diameter_mm=_tenths((long_axis.length_mm + short_axis.length_mm) / 2),
        maximum_3d_diameter_mm=_tenths(_maximum_diameter_mm(segment.mask, spacing)),
        volume_mm3=float(np.count_nonzero(segment.mask)) * volume.voxel_mm3,
        mean_hu=float(hu.mean()),
        sd_hu=float(hu.std()),
        minimum_hu=float(hu.min()),
        maximum_hu=float(hu.max()),
    )


def _tenths(value_mm: float) -> float:
    """Round half up to 0.1 mm; the small term undoes what binary fractions take away."""
    return float(np.floor(value_mm * 10 + 0.5 + 1e-9) / 10)


def _axes(segment: Segment, key: int, row_mm: float, column_mm: float) -> tuple[Axis, Axis]:
    """Longest line on the key slice, and the longest one at right angles to it."""
    corners = _corners_mm(segment.mask[key], row_mm, column_mm)
    gaps = corners[:, None] - corners[None]
    first, last = np.unravel_index((gaps**2).sum(axis=-1).argmax(), gaps.shape[:2])
    direction = gaps[last, first] / np.linalg.norm(gaps[last, first])
    across = np.array([-direction[1], direction[0]])
    start, end = _longest_chord(segment.mask[key], direction, across, row_mm, column_mm)
    origin = np.array(segment.origin_krc, dtype=np.float64)

    def axis(a_mm: FloatArray, b_mm: FloatArray) -> Axis:
        ends = [
            (float(origin[0] + key), float(origin[1] + p[0] / row_mm), float(origin[2] + p[1] / column_mm))
            for p in (a_mm, b_mm)
        ]
        return Axis(ends[0], ends[1], _tenths(float(np.linalg.norm(b_mm - a_mm))))

    return axis(corners[first], corners[last]), axis(start, end)


def _corners_mm(mask: BoolArray, row_mm: float, column_mm: float) -> FloatArray:
    """Corners of the convex hull of the pixels' outlines, (n, 2) float64, mm from the centre of pixel (0, 0)."""
    edge = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    corners = np.concatenate([edge + shift for shift in ((-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5))])
    corners = np.unique(corners, axis=0) * (row_mm, column_mm)
    try:
        return corners[ConvexHull(corners).vertices]
    except QhullError:  # pragma: no cover - four corners of one pixel always span an area
        return corners


def _longest_chord(
    mask: BoolArray, direction: FloatArray, across: FloatArray, row_mm: float, column_mm: float
) -> tuple[FloatArray, FloatArray]:
    """Find the longest extent across ``direction`` among strips of one pixel's width; its ends in mm."""
    pixels = np.argwhere(mask) * (row_mm, column_mm)
    half = (abs(across[0]) * row_mm + abs(across[1]) * column_mm) / 2
    strips = np.round(pixels @ direction / min(row_mm, column_mm)).astype(int)
    along = pixels @ across
    best = max(np.unique(strips), key=lambda strip: np.ptp(along[strips == strip]))
    at, low, high = (
        (pixels @ direction)[strips == best].mean(),
        along[strips == best].min(),
        along[strips == best].max(),
    )
    return at * direction + (low - half) * across, at * direction + (high + half) * across


def _maximum_diameter_mm(mask: BoolArray, spacing_krc_mm: tuple[float, float, float]) -> float:
    points = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    corners = np.concatenate([points + np.array((0, r, c)) for r in (-0.5, 0.5) for c in (-0.5, 0.5)]) * spacing_krc_mm
    try:
        corners = corners[ConvexHull(corners).vertices]
    except QhullError:  # one slice only: a flat set has no hull in space
        corners = np.unique(corners, axis=0)
    return float(pdist(corners).max())
