"""Nodule or not: what the shape of a detached mask and its surroundings say.

A nodule fills its ellipsoid, is about as wide as it is long, and borders on air. A piece of vessel is long, a tangle of
vessels is hollow, and both go on beyond the mask.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.segment import Cube, Grown


@dataclass(frozen=True)
class Shape:
    """What is measured of a mask in its cube.

    Attributes
    ----------
    diameter_mm : float
        Of the ball of equal volume.
    compactness : float
        Share of the ellipsoid of equal moments that the mask fills; 1 for an ellipsoid.
    elongation : float
        Shortest by longest axis of that ellipsoid.
    wall_share, vessel_share, air_share : float
        Shares of the mask's surface that border on the chest wall or mediastinum, on further dense tissue in the lung,
        and on aerated lung; they add up to 1.
    contrast_hu : float
        Median of the mask above the surrounding lung.
    """

    diameter_mm: float
    compactness: float
    elongation: float
    wall_share: float
    vessel_share: float
    air_share: float
    contrast_hu: float


@dataclass(frozen=True)
class ShapeJudge:
    """Accepts nodules by shape.

    The detection score is compactness x elongation x share of air, each of them 1 for a ball in the open lung: a degree
    of roundness and freedom, not a probability.
    """

    minimum_mm: float = 8.0
    minimum_compactness: float = 0.75
    minimum_elongation: float = 0.5
    minimum_air_share: float = 0.5
    maximum_vessel_share: float = 0.25
    minimum_contrast_hu: float = 400.0

    def score(self, cube: Cube, grown: Grown) -> float | None:
        """Give the detection score, or None for what is no nodule."""
        shape = shape_of(cube, grown)
        accepted = (
            shape.diameter_mm >= self.minimum_mm
            and shape.compactness >= self.minimum_compactness
            and shape.elongation >= self.minimum_elongation
            and shape.air_share >= self.minimum_air_share
            and shape.vessel_share <= self.maximum_vessel_share
            and shape.contrast_hu >= self.minimum_contrast_hu
        )
        return shape.compactness * shape.elongation * shape.air_share if accepted else None


def shape_of(cube: Cube, grown: Grown) -> Shape:
    """Measure a mask in its cube."""
    step = cube.grid.step_mm
    points = np.argwhere(grown.mask) * step
    volume = len(points) * step**3
    diameter = float((6 * volume / np.pi) ** (1 / 3))
    # a uniform ellipsoid of full axes a has variance a^2 / 20 along each; a voxel adds step^2 / 12
    spread = np.cov(points.T, bias=True) + np.eye(3) * step**2 / 12 if len(points) > 1 else np.eye(3) * step**2 / 12
    axes = np.sqrt(20 * np.linalg.eigvalsh(spread))
    shell = ndimage.binary_dilation(grown.mask, iterations=2) & ~grown.mask
    wall = shell & ~cube.hull
    vessel = shell & cube.hull & (cube.hu > grown.threshold_hu)
    count = float(max(np.count_nonzero(shell), 1))
    wall_share, vessel_share = float(np.count_nonzero(wall)) / count, float(np.count_nonzero(vessel)) / count
    return Shape(
        diameter_mm=diameter,
        compactness=min(float(diameter**3 / axes.prod()), 1.0),
        elongation=float(axes[0] / axes[2]),
        wall_share=wall_share,
        vessel_share=vessel_share,
        air_share=1 - wall_share - vessel_share,
        contrast_hu=float(np.median(cube.hu[grown.mask])) - cube.background_hu,
    )
