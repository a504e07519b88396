"""Air that the body encloses, and which of it is lung."""

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoolArray
from ai_engine.grid import Float32Array

# Even emphysema is not empty all through. Bowel gas, and air under a blanket, is.
TISSUE_ABOVE_HU = -970.0
MINIMUM_TISSUE_SHARE = 0.2
# The smaller lung, or what disease has left of it, against the larger one.
SMALLEST_BY_LARGEST = 0.03


def enclosed_air(hu: Float32Array, air_below_hu: float) -> BoolArray:
    """Find the air that the body encloses on its axial slice, so that the ends of the scan need not be closed.

    Parameters
    ----------
    hu : (k, r, c) float32
        Turned.
    air_below_hu : float
        Half way between aerated lung and soft tissue.
    """
    inside = np.zeros(hu.shape, dtype=bool)
    for k, image in enumerate(hu):
        # opening takes away clothes and the thin shell of the table, which would enclose air too
        body = ndimage.binary_opening(image > air_below_hu, iterations=2)
        labels, count = ndimage.label(body)
        if count:
            largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
            inside[k] = ndimage.binary_fill_holes(largest) & (image < air_below_hu)
    return inside


def middle_column(hu: Float32Array, inside: BoolArray, air_below_hu: float) -> float:
    """Column of the middle of the body, in the slices that hold enclosed air."""
    slices = inside.any(axis=(1, 2))
    tissue = (hu[slices] > air_below_hu).sum(axis=(0, 1))
    return float(np.average(np.arange(hu.shape[2]), weights=tissue)) if tissue.any() else hu.shape[2] / 2


def lung_parts(hu: Float32Array, inside: BoolArray, minimum_voxels: float) -> BoolArray:
    """Keep the parts of the enclosed air that are large enough and hold tissue in their depth."""
    labels, count = ndimage.label(inside)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    deep = ndimage.binary_erosion(inside, iterations=2)
    interior = np.bincount(labels[deep], minlength=count + 1)
    tissue = np.bincount(labels[deep & (hu > TISSUE_ABOVE_HU)], minlength=count + 1)
    keep = (sizes >= minimum_voxels) & (tissue > MINIMUM_TISSUE_SHARE * interior)
    keep[0] = False
    keep &= sizes >= SMALLEST_BY_LARGEST * max(sizes[keep], default=0)
    return keep[labels]


def bounding_box(mask: BoolArray, margin: int) -> tuple[slice, slice, slice]:
    """Smallest box that holds a mask, with a margin, cut to the array; the whole array for an empty mask."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    box = found[0] if found else tuple(slice(0, n) for n in mask.shape)
    k, r, c = (slice(max(s.start - margin, 0), min(s.stop + margin, n)) for s, n in zip(box, mask.shape, strict=True))
    return k, r, c
