"""What a person, or a detector, would click: a box on one slice, or a point; drawn from the truth with a jitter."""

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoxPrompt, PointPrompt, Prompt, Segment
from ai_engine.evaluation.scores import key_slice

__all__ = ["BoxPrompt", "PointPrompt", "Prompt", "box_of", "point_of"]

# Each side of the box moves by up to this share of the box's extent, inwards or outwards.
JITTER = 0.1


def box_of(truth: Segment, rng: np.random.Generator, jitter: float = JITTER) -> BoxPrompt:
    """Draw the box around a truth on its largest slice, each edge off by up to ``jitter`` of the extent (uniform)."""
    k = key_slice(truth.mask)
    rows, columns = np.nonzero(truth.mask[k])
    low = np.array([rows.min(), columns.min()]) - 0.5
    high = np.array([rows.max(), columns.max()]) + 0.5
    low_off, high_off = rng.uniform(-jitter, jitter, (2, 2)) * (high - low)
    (r0, c0), (r1, c1) = (edge + np.array(truth.origin_krc[1:]) for edge in (low + low_off, high + high_off))
    return BoxPrompt(truth.origin_krc[0] + k, (float(r0), float(c0)), (float(r1), float(c1)))


def point_of(truth: Segment) -> PointPrompt:
    """Return the voxel deepest inside a truth on its largest slice."""
    k = key_slice(truth.mask)
    depth = ndimage.distance_transform_edt(np.pad(truth.mask[k], 1))[1:-1, 1:-1]
    r, c = np.unravel_index(depth.argmax(), depth.shape)
    return PointPrompt(truth.origin_krc[0] + k, int(truth.origin_krc[1] + r), int(truth.origin_krc[2] + c))
