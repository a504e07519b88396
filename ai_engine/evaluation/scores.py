"""Figures that compare a mask with the truth. Boolean arrays (k, r, c), spacing in mm; no opinion, no threshold.

Taha AA, Hanbury A, BMC Med Imaging 2015;15:29, where not said otherwise. An outside judge (SimpleITK) checks them in
``tests/engine/test_scores.py``.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoolArray, CtVolume, FloatArray, HuArray, Segment
from ai_engine.measure import mean_diameter_mm

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Overlap:
    """How two sets of voxels agree, each 0 to 1."""

    dice: float
    iou: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Scores:
    """All figures of one mask against one truth.

    Attributes
    ----------
    volume : Overlap
        In three dimensions.
    key_slice : Overlap
        On the slice of the truth's largest area alone.
    surface_mm, surface_p95_mm : float
        Mean and 95th percentile of the distances between the two surfaces.
    volume_error : float
        (mask - truth) / truth.
    diameter_error_mm : float
        Mean diameter as the node reports it, mask - truth.
    """

    volume: Overlap
    key_slice: Overlap
    surface_mm: float
    surface_p95_mm: float
    volume_error: float
    diameter_error_mm: float


def overlap(truth: BoolArray, mask: BoolArray) -> Overlap:
    """Return Dice, intersection over union, precision and recall; an empty mask has 0 in all of them.

    Raises
    ------
    ValueError
        The truth is empty: then none of these figures means anything.
    """
    n_truth, n_mask = int(np.count_nonzero(truth)), int(np.count_nonzero(mask))
    if not n_truth:
        raise ValueError("the truth is empty")
    both = int(np.count_nonzero(truth & mask))
    return Overlap(
        dice=2 * both / (n_truth + n_mask),
        iou=both / (n_truth + n_mask - both),
        precision=both / n_mask if n_mask else 0.0,
        recall=both / n_truth,
    )


def dice(one: BoolArray, other: BoolArray) -> float:
    """Return twice the common voxels over all voxels of both."""
    return overlap(one, other).dice


def surface_distances_mm(truth: BoolArray, mask: BoolArray, spacing_mm: Spacing) -> FloatArray:
    """Distances from every surface voxel of either mask to the surface of the other.

    A surface voxel has a face in common with the outside. Distances are between voxel centres.

    Returns
    -------
    (n,) float64
        mm; first those of the truth's surface, then those of the mask's.
    """
    first, second = (_surface(np.pad(array, 1)) for array in (truth, mask))
    to_first, to_second = (ndimage.distance_transform_edt(~edge, sampling=spacing_mm) for edge in (first, second))
    return np.concatenate([to_second[first], to_first[second]])


def _surface(mask: BoolArray) -> BoolArray:
    return mask & ~ndimage.binary_erosion(mask)


def surface_distance_mm(truth: BoolArray, mask: BoolArray, spacing_mm: Spacing) -> tuple[float, float]:
    """Return mean and 95th percentile of ``surface_distances_mm``: both directions together."""
    distances = surface_distances_mm(truth, mask, spacing_mm)
    return float(distances.mean()), float(np.percentile(distances, 95))


def volume_error(truth: BoolArray, mask: BoolArray) -> float:
    """Return (mask - truth) / truth, by voxel counts."""
    n_truth = int(np.count_nonzero(truth))
    return (int(np.count_nonzero(mask)) - n_truth) / n_truth


def diameter_error_mm(truth: BoolArray, mask: BoolArray, spacing_mm: Spacing) -> float:
    """Return the mean diameter of the mask less that of the truth, each on its own slice of largest area."""
    return diameter_mm(mask, spacing_mm) - diameter_mm(truth, spacing_mm)


def diameter_mm(mask: BoolArray, spacing_mm: Spacing) -> float:
    """Return the mean of long and short axis on the slice of largest area, as ``measure`` reports it."""
    blank: HuArray = np.zeros((1, 1, 1), dtype=np.int16)
    return mean_diameter_mm(CtVolume(blank, np.diag([*spacing_mm, 1.0])), Segment(mask, (0, 0, 0)))


def key_slice(mask: BoolArray) -> int:
    """Return the index of the slice of largest area; of several, the middle one."""
    areas = mask.sum(axis=(1, 2))
    largest = np.nonzero(areas == areas.max())[0]
    return int(largest[len(largest) // 2])


def score(truth: Segment, found: Segment, spacing_mm: Spacing) -> Scores:
    """Compute all figures of one segment against the truth, both on the same grid."""
    one, other = together(truth, found)
    key = key_slice(one)
    mean, p95 = surface_distance_mm(one, other, spacing_mm)
    return Scores(
        volume=overlap(one, other),
        key_slice=overlap(one[key], other[key]),
        surface_mm=mean,
        surface_p95_mm=p95,
        volume_error=volume_error(one, other),
        diameter_error_mm=diameter_error_mm(one, other, spacing_mm),
    )


def together(one: Segment, other: Segment) -> tuple[BoolArray, BoolArray]:
    """Return both masks on the smallest box that holds them."""
    ends = np.array([np.add(each.origin_krc, each.mask.shape) for each in (one, other)])
    low = np.minimum(one.origin_krc, other.origin_krc)
    k, r, c = (int(n) for n in ends.max(axis=0) - low)
    masks = []
    for each in (one, other):
        k0, r0, c0 = (int(n) for n in np.subtract(each.origin_krc, low))
        masks.append(Segment(each.mask, (k0, r0, c0)).on((k, r, c)))
    return masks[0], masks[1]


def touch(one: Segment, other: Segment) -> bool:
    """Tell whether two segments share a voxel."""
    return bool(np.logical_and(*together(one, other)).any())


def segment_of(mask: BoolArray) -> Segment | None:
    """Cut a mask to its box; None if it is empty."""
    if not mask.any():
        return None
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    k, r, c = (int(part.start) for part in box)
    return Segment(np.ascontiguousarray(mask[box]), (k, r, c))
