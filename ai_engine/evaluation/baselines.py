"""Rows that need no image, or no network: what stands beside every figure.

An ellipse drawn into the truth's own box, without a look at the image, has a Dice of 0.88 on LIDC-IDRI. A figure that
was prompted with the truth's box means nothing unless it is above that.
"""

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoolArray, Segment
from ai_engine.evaluation.prompts import BoxPrompt

ON_EVERY_SLICE = "ellipse in the truth's box on every slice"
IN_TRUTH_BOX = "ellipsoid in one truth box"
IN_PROMPT = "ellipsoid in the jittered box"
IN_OWN_BOX = "ellipsoid in the node's own box"


def ellipse_on_every_slice(truth: Segment) -> Segment:
    """Draw, on every slice, the ellipse that fills the truth's tight box on that slice."""
    mask = np.zeros_like(truth.mask)
    for k, plane in enumerate(truth.mask):
        if plane.any():
            box = ndimage.find_objects(plane.astype(np.uint8))[0]
            mask[k][box] = _round((box[0].stop - box[0].start, box[1].stop - box[1].start))
    return Segment(mask, truth.origin_krc)


def ellipsoid_in_box(segment: Segment) -> Segment:
    """Draw the ellipsoid that fills the tight box of a segment: the truth's, or the node's own."""
    box = ndimage.find_objects(segment.mask.astype(np.uint8))[0]
    k, r, c = (int(origin + part.start) for origin, part in zip(segment.origin_krc, box, strict=True))
    return Segment(_round(tuple(part.stop - part.start for part in box)), (k, r, c))


def ellipsoid_in_prompt(prompt: BoxPrompt, spacing_mm: tuple[float, float, float], n_slices: int) -> Segment:
    """Draw the ellipsoid over a box on one slice that knows nothing of the others: as high as the box is wide."""
    low, high = np.array(prompt.low_rc), np.array(prompt.high_rc)
    half_k = prompt.side_mm(spacing_mm) / 2 / spacing_mm[0]
    lower = np.array([prompt.k - half_k, *low])
    upper = np.array([prompt.k + half_k, *high])
    first = np.maximum(np.ceil(lower), 0).astype(int)
    last = np.floor(upper).astype(int)
    last[0] = min(last[0], n_slices - 1)
    axes = np.ogrid[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
    middle, half = (lower + upper) / 2, (upper - lower) / 2
    mask = sum(((at - m) / h) ** 2 for at, m, h in zip(axes, middle, half, strict=True)) <= 1
    k, r, c = (int(n) for n in first)
    return Segment(np.asarray(mask, dtype=bool), (k, r, c))


def _round(shape: tuple[int, ...]) -> BoolArray:
    """Fill an array of this shape with the ellipse or ellipsoid that touches its faces."""
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    squares = [((at + 0.5 - n / 2) / (n / 2)) ** 2 for at, n in zip(axes, shape, strict=True)]
    return np.asarray(sum(squares) <= 1, dtype=bool)
