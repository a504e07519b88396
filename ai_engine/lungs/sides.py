"""Right and left lung."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.domain import BoolArray

RIGHT, LEFT = 1, 2


def parted(air: BoolArray, middle: float) -> NDArray[np.uint8]:
    """Label the right and the left lung.

    Lungs that touch, at the junction lines, are eroded until they come apart; then each point goes to the nearer core.

    Parameters
    ----------
    air : (k, r, c) bool
        Turned: c runs to the left of the patient.
    middle : float
        Column of the middle of the body.

    Returns
    -------
    (k, r, c) uint8
        0, ``RIGHT`` or ``LEFT``.
    """
    seeds = _separate_cores(air, middle)
    nearest = ndimage.distance_transform_cdt(seeds == 0, metric="taxicab", return_distances=False, return_indices=True)
    return np.where(air, seeds[tuple(nearest)], 0).astype(np.uint8)


def _separate_cores(air: BoolArray, middle: float) -> NDArray[np.uint8]:
    """Erode until there is a core on either side; if there never is, the lungs as they are."""
    depth = ndimage.distance_transform_cdt(air, metric="taxicab")
    whole = _cores(air, middle)
    for threshold in range(12):
        cores = _cores(depth > threshold, middle)
        if (cores == RIGHT).any() and (cores == LEFT).any():
            return cores
    return whole


def _cores(mask: BoolArray, middle: float) -> NDArray[np.uint8]:
    """Label the large parts by the side on which they lie; parts that lie on both stay 0 if another part is large."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    if not count:
        return np.zeros(mask.shape, dtype=np.uint8)
    side = np.zeros(count + 1, dtype=np.uint8)
    boxes = ndimage.find_objects(labels)
    for index in np.nonzero(sizes > 0.15 * sizes.sum())[0]:
        at = np.nonzero(labels[boxes[index]] == index + 1)[2].mean() + boxes[index][2].start
        side[index + 1] = RIGHT if at < middle else LEFT
    return side[labels]
