"""What can be said of a detached mask without knowing what it is."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoolArray
from ai_engine.growing.cube import Cube
from ai_engine.growing.region import Region


@dataclass(frozen=True)
class Shape:
    """Form and surroundings of a mask.

    Attributes
    ----------
    diameter_mm : float
        Of the ball of equal volume.
    compactness : float
        Share of the ellipsoid of equal moments that the mask fills: 1 for an ellipsoid, low for a branching tangle.
    elongation : float
        Shortest by longest axis of that ellipsoid.
    thickness : float
        Diameter of the largest ball inside, by that of the ball of equal volume: a tangle is thin everywhere.
    wall_share, vessel_share, air_share : float
        Shares of the layer around the mask that are chest wall or mediastinum, further dense tissue in the lung, and
        aerated lung; they add up to 1.
    contrast_hu : float
        Median of the mask above the surrounding lung.
    cut : bool
        Whether the mask reaches the face of its cube: it goes on unseen.
    """

    diameter_mm: float
    compactness: float
    elongation: float
    thickness: float
    wall_share: float
    vessel_share: float
    air_share: float
    contrast_hu: float
    cut: bool


def shape_of(cube: Cube, region: Region, mask: BoolArray) -> Shape:
    """Measure a mask in its cube."""
    points = np.argwhere(mask)
    diameter = float((6 * len(points) / np.pi) ** (1 / 3))
    # a uniform ellipsoid of full axis a has the variance a^2 / 20 along it; a voxel of its own adds 1 / 12
    spread = np.cov(points.T, bias=True) if len(points) > 1 else np.zeros((3, 3))
    axes = np.sqrt(20 * np.linalg.eigvalsh(spread + np.eye(3) / 12))
    low, high = points.min(axis=0), points.max(axis=0) + 1
    wall, vessel, air = _neighbours(cube, region, mask, low, high)
    count = float(max(wall + vessel + air, 1))
    return Shape(
        diameter_mm=diameter * cube.grid.step_mm,
        compactness=min(float(diameter**3 / axes.prod()), 1.0),
        elongation=float(axes[0] / axes[2]),
        thickness=2 * region.inner_radius / diameter,
        wall_share=wall / count,
        vessel_share=vessel / count,
        air_share=air / count,
        contrast_hu=float(np.median(cube.hu[mask])) - cube.background_hu,
        cut=bool((low == 0).any() or (high == mask.shape).any()),
    )


def _neighbours(cube: Cube, region: Region, mask: BoolArray, low: np.ndarray, high: np.ndarray) -> tuple[int, int, int]:
    """Count the points around a mask, two steps deep, that are wall, dense tissue in the lung, and air."""
    box = tuple(slice(max(int(a) - 2, 0), int(b) + 2) for a, b in zip(low, high, strict=True))
    inner = mask[box]
    layer = ndimage.binary_dilation(ndimage.binary_dilation(inner), np.ones((3, 3, 3), dtype=bool)) & ~inner
    hull, dense = cube.hull[box], cube.hu[box] > region.threshold_hu
    wall = int(np.count_nonzero(layer & ~hull))
    vessel = int(np.count_nonzero(layer & hull & dense))
    return wall, vessel, int(np.count_nonzero(layer)) - wall - vessel
