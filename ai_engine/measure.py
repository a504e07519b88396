"""Sizes and attenuation of one segment: axes as in Lung-RADS v2022, volume, HU."""

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from ai_engine.domain import Axis, BoolArray, CtVolume, FloatArray, Measurements, Segment


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
    The axes lie on the axial slice of the largest area, and run from voxel border to voxel border: one voxel is as long
    as its spacing. Lung-RADS v2022: each axis is rounded to 0.1 mm, then their mean is rounded to 0.1 mm.
    """
    key, long_axis, short_axis = axes(volume, segment)
    hu = volume.hu[segment.box][segment.mask].astype(np.float64)
    return Measurements(
        key_slice_k=key,
        long_axis=long_axis,
        short_axis=short_axis,
        mean_diameter_mm=_tenths((long_axis.length_mm + short_axis.length_mm) / 2),
        maximum_3d_diameter_mm=_tenths(_maximum_diameter_mm(segment.mask, volume.spacing_krc_mm)),
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
    image = segment.mask[key]
    corners = _corners_mm(image, pixel_mm)
    gaps = corners[:, None] - corners[None]
    first, last = np.unravel_index((gaps**2).sum(axis=-1).argmax(), gaps.shape[:2])
    start, end = _longest_across(image, corners[last] - corners[first], pixel_mm)
    k = segment.origin_krc[0] + key
    origin = np.array(segment.origin_krc[1:], dtype=np.float64)
    return k, _axis(k, origin, corners[first], corners[last], pixel_mm), _axis(k, origin, start, end, pixel_mm)


def _axis(k: int, origin_rc: FloatArray, start_mm: FloatArray, end_mm: FloatArray, pixel_mm: FloatArray) -> Axis:
    (r0, c0), (r1, c1) = origin_rc + start_mm / pixel_mm, origin_rc + end_mm / pixel_mm
    length = _tenths(float(np.linalg.norm(end_mm - start_mm)))
    return Axis((float(k), float(r0), float(c0)), (float(k), float(r1), float(c1)), length)


def _tenths(value_mm: float) -> float:
    """Round half up to 0.1 mm; the small term undoes what binary fractions take away."""
    return float(np.floor(value_mm * 10 + 0.5 + 1e-9) / 10)


def _volume_mm3(volume: CtVolume, segment: Segment) -> float:
    return float(np.count_nonzero(segment.mask)) * volume.voxel_mm3


def _corners_mm(image: BoolArray, pixel_mm: FloatArray) -> FloatArray:
    """Corners of the convex hull of the pixels' outlines, (n, 2) float64, mm from the centre of pixel (0, 0)."""
    edge = np.argwhere(image & ~ndimage.binary_erosion(image))
    corners = np.concatenate([edge + np.array(shift) for shift in np.ndindex(2, 2)]) - 0.5
    corners = corners * pixel_mm
    return corners[ConvexHull(corners).vertices]


def _longest_across(image: BoolArray, along: FloatArray, pixel_mm: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Find the longest extent at right angles to ``along`` among strips of one pixel's width; its ends in mm."""
    along = along / np.linalg.norm(along)
    across = np.array([-along[1], along[0]])
    pixels = np.argwhere(image) * pixel_mm
    strips = np.round(pixels @ along / pixel_mm.min()).astype(int)
    heights = pixels @ across
    best = max(np.unique(strips), key=lambda strip: float(np.ptp(heights[strips == strip])))
    at = (pixels @ along)[strips == best].mean()
    half = np.abs(across) @ pixel_mm / 2  # from a pixel's centre to its border
    low, high = heights[strips == best].min() - half, heights[strips == best].max() + half
    return at * along + low * across, at * along + high * across


def _maximum_diameter_mm(mask: BoolArray, spacing_krc_mm: tuple[float, float, float]) -> float:
    """Largest distance between two points of the mask; between slices, from slice centre to slice centre."""
    edge = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    corners = np.concatenate([edge + np.array((0, r, c)) for r in (-0.5, 0.5) for c in (-0.5, 0.5)]) * spacing_krc_mm
    try:
        corners = corners[ConvexHull(corners).vertices]
    except QhullError:  # one slice only: a flat set has no hull in space
        corners = np.unique(corners, axis=0)
    return float(pdist(corners).max())
