"""Region growing with detachment from vessels and wall.

Follows the idea of Kuhnigk et al., IEEE Trans Med Imaging 25(4):417-434, 2006: grow at half the contrast, erode until
the nodule comes free of what it hangs on, keep the part around the seed, and grow it back by the same distance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.domain import BoolArray, FloatArray
from ai_engine.errors import EmptySegment
from ai_engine.growing.cube import Cube
from ai_engine.scene import TISSUE_HU

Index = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Region:
    """All that hangs together with the seed at half the contrast, within the lungs.

    Attributes
    ----------
    mask : (k, r, c) bool
    depth : (k, r, c) float64
        Distance to the edge of the region, in grid steps.
    top : tuple of int
        Deepest point that a steady climb from the seed reaches: the nodule's middle.
    threshold_hu : float
    """

    mask: BoolArray
    depth: FloatArray
    top: Index
    threshold_hu: float

    @property
    def inner_radius(self) -> float:
        """Radius of the largest ball within the region around its top, in grid steps."""
        return float(self.depth[self.top])


def grow(cube: Cube, height: float = 0.5, brightest_hu: float = TISSUE_HU) -> Region:
    """Grow the region of a cube's seed.

    Parameters
    ----------
    cube : Cube
        Around the candidate.
    height : float
        Where the edge is, as a share of the contrast. A blurred sharp edge is at one half.
    brightest_hu : float
        The nodule is taken to be no brighter than this at its edge, whatever its seed is.

    Raises
    ------
    EmptySegment
        Nothing stands out from the lung at the seed.
    """
    near = tuple(slice(max(int(i) - 1, 0), int(i) + 2) for i in cube.seed)
    seed_hu = min(float(np.median(cube.hu[near])), brightest_hu)
    threshold = cube.background_hu + height * (seed_hu - cube.background_hu)
    labels, _ = ndimage.label((cube.hu > threshold) & cube.hull)
    touched = labels[near][labels[near] > 0]
    if threshold <= cube.background_hu or not len(touched):
        raise EmptySegment("nothing stands out from the lung here")
    own = labels[tuple(cube.seed)]
    mask = labels == (own if own else np.bincount(touched).argmax())
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    return Region(mask, depth, _climb(depth, cube.seed), threshold)


def detached(region: Region, share: float) -> BoolArray:
    """Detach the part around the region's top.

    Parameters
    ----------
    region : Region
        As grown.
    share : float
        Erode by this share of the inner radius: what hangs on by a neck thinner than that comes off.
    """
    reach = share * region.inner_radius
    labels, _ = ndimage.label(region.depth > reach)
    core = labels == labels[region.top]
    # half a step more than eroded, so that the edge voxels come back
    return region.mask & (ndimage.distance_transform_edt(~core) <= reach + 0.5)


def _climb(depth: FloatArray, seed: NDArray[np.int_]) -> Index:
    """Climb from the seed, or from its nearest point of the region, to a local maximum of depth."""
    at = seed
    if depth[tuple(seed)] == 0:
        inside = np.argwhere(depth > 0)
        at = inside[((inside - seed) ** 2).sum(axis=1).argmin()]
    while True:
        low = np.maximum(at - 1, 0)
        window = depth[tuple(slice(a, b + 2) for a, b in zip(low, at, strict=True))]
        best = low + np.array(np.unravel_index(window.argmax(), window.shape))
        if depth[tuple(best)] <= depth[tuple(at)]:
            k, r, c = (int(i) for i in at)
            return k, r, c
        at = best
