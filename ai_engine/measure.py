"""Sizes and attenuation of one segment: axes as in Lung-RADS v2022, volume, HU."""

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

from ai_engine.domain import Axis, CtVolume, FloatArray, Measurements, Segment


def measure(volume: CtVolume, segment: Segment, solid: Segment | None = None) -> Measurements:
    """Measure one segment.

    Parameters
    ----------
    volume : CtVolume
        As the scanner wrote it; axial.
    segment : Segment
        On its voxel grid.
    solid : Segment, optional
        The solid part of a part-solid nodule, measured in the same way.

    Notes
    -----
    The axes lie on the axial slice of the largest area. Lung-RADS v2022: each axis is rounded to 0.1 mm, then their
    mean is.
    """
    key, long_axis, short_axis = axes(volume, segment)
    hu = volume.hu[segment.box][segment.mask].astype(np.float64)
    return Measurements(
        key_slice_k=key,
        long_axis=long_axis,
        short_axis=short_axis,
        mean_diameter_mm=_tenths((long_axis.length_mm + short_axis.length_mm) / 2),
        maximum_3d_diameter_mm=_maximum_diameter_mm(segment, volume.spacing_krc_mm, long_axis.length_mm),
        volume_mm3=_volume_mm3(volume, segment),
        mean_hu=float(hu.mean()),
        sd_hu=float(hu.std()),
        minimum_hu=float(hu.min()),
        maximum_hu=float(hu.max()),
        solid_mean_diameter_mm=None if solid is None else mean_diameter_mm(volume, solid),
        solid_volume_mm3=None if solid is None else _volume_mm3(volume, solid),
    )


def mean_diameter_mm(volume: CtVolume, segment: Segment) -> float:
    """Mean of the long and the short axis, rounded as Lung-RADS asks."""
    _, long_axis, short_axis = axes(volume, segment)
    return _tenths((long_axis.length_mm + short_axis.length_mm) / 2)


def axes(volume: CtVolume, segment: Segment) -> tuple[int, Axis, Axis]:
    """Find the key slice, the longest line on it, and the longest one at right angles to that.

    Returns
    -------
    key_slice_k : int
        The axial slice of the largest area; of several, the middle one.
    long_axis, short_axis : Axis
    """
    areas = segment.mask.sum(axis=(1, 2))
    largest = np.nonzero(areas == areas.max())[0]
    key = int(largest[len(largest) // 2])
    pixel_mm = np.array(volume.spacing_krc_mm[1:])
    pixels = np.argwhere(segment.mask[key]) * pixel_mm
    start, end = _farthest(pixels)
    along = (end - start) / np.linalg.norm(end - start) if len(pixels) > 1 else np.array([0.0, 1.0])
    across = np.array([-along[1], along[0]])
    # no figure is longer in all directions than the circle of its area is wide
    circle_mm = 2 * float(np.sqrt(len(pixels) * pixel_mm.prod() / np.pi))
    long_mm = (start, end, along, circle_mm)
    short_mm = (*_longest_across(pixels, along, across, pixel_mm), across, 0.0)
    k, r, c = segment.origin_krc[0] + key, *segment.origin_krc[1:]
    long_axis, short_axis = (_axis((k, r, c), line, pixel_mm) for line in (long_mm, short_mm))
    return k, long_axis, short_axis


def _axis(
    origin_krc: tuple[int, int, int], line: tuple[FloatArray, FloatArray, FloatArray, float], pixel_mm: FloatArray
) -> Axis:
    """Make an axis of a line between pixel centres (start, end, direction, least length; mm)."""
    start, end, direction, least_mm = line
    length_mm = float((end - start) @ direction)
    # A pixel is in the mask if its centre is inside the outline, which therefore runs beyond the outermost centres, on
    # average by a quarter of a pixel at either end.
    beyond_mm = max(0.25 * float(np.abs(direction) @ pixel_mm), (least_mm - length_mm) / 2)
    ends = [(start - beyond_mm * direction) / pixel_mm, (end + beyond_mm * direction) / pixel_mm]
    (r0, c0), (r1, c1) = (np.array(origin_krc[1:]) + at for at in ends)
    k = float(origin_krc[0])
    return Axis((k, float(r0), float(c0)), (k, float(r1), float(c1)), _tenths(length_mm + 2 * beyond_mm))


def _farthest(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two points of a set (n, dimensions) that are farthest from each other."""
    if len(points) > points.shape[1] + 1:
        try:
            points = points[ConvexHull(points).vertices]
        except QhullError:  # all on one line or in one plane: few enough as they are
            points = np.unique(points, axis=0)
    gaps = squareform(pdist(points)) if len(points) > 1 else np.zeros((1, 1))
    first, last = np.unravel_index(gaps.argmax(), gaps.shape)
    return points[first], points[last]


def _longest_across(
    pixels: FloatArray, along: FloatArray, across: FloatArray, pixel_mm: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Find the longest extent at right angles to ``along`` among strips of one pixel's width; its ends in mm."""
    strips = np.round(pixels @ along / pixel_mm.min()).astype(int)
    heights = pixels @ across
    best = max(np.unique(strips), key=lambda strip: float(np.ptp(heights[strips == strip])))
    at = (pixels @ along)[strips == best].mean()
    low, high = heights[strips == best].min(), heights[strips == best].max()
    return at * along + low * across, at * along + high * across


def _maximum_diameter_mm(segment: Segment, spacing_krc_mm: tuple[float, float, float], least_mm: float) -> float:
    """Largest distance between two voxel centres of the mask, but no less than the long axis."""
    edge = np.argwhere(segment.mask & ~ndimage.binary_erosion(segment.mask)) * np.array(spacing_krc_mm)
    first, last = _farthest(edge)
    return max(_tenths(float(np.linalg.norm(last - first))), least_mm)


def _tenths(value_mm: float) -> float:
    """Round half up to 0.1 mm; the small term undoes what binary fractions take away."""
    return float(np.floor(value_mm * 10 + 0.5 + 1e-9) / 10)


def _volume_mm3(volume: CtVolume, segment: Segment) -> float:
    return float(np.count_nonzero(segment.mask)) * volume.voxel_mm3
