"""Faint places: where much of the lung is a little denser than the lung around, once vessels are taken away.

Ground glass of 80 HU above the lung lies within its noise at any one voxel. So what is left by a small opening is
smoothed first, and the share of voxels above the lung around is what is searched, not the density itself.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.candidates.ground_glass import surroundings, without_vessels
from ai_engine.candidates.peaks import Peak, apart, peaks
from ai_engine.grid import Float32Array
from ai_engine.scene import Level, Scene


@dataclass(frozen=True)
class FaintSearch:
    """Searches faint places, to be judged by a scorer.

    Attributes
    ----------
    is_fine : bool
        Vessels are taken away at 1 mm; else at 2 mm.
    vessel_mm : float
        What is thinner than this is taken away first.
    smoothing_mm : float
        Sigma, over what is left.
    denser_by_hu, below_hu : float
        By so much denser than the lung around, and not as dense as this.
    surroundings_mm : float
        Sigma over which the density of the lung around is averaged.
    diameters_mm : tuple of float
        Range searched.
    minimum_share : float
        What an ideal ball of this share of dense voxels, in none, answers.
    """

    is_fine: bool
    vessel_mm: float
    smoothing_mm: float
    denser_by_hu: float
    below_hu: float
    surroundings_mm: float = 24.0
    diameters_mm: tuple[float, float] = (6.0, 60.0)
    minimum_share: float = 0.02

    def search(self, scene: Scene, most: int) -> list[Peak]:
        """Find at most so many places on the coarse level, best first."""
        level = scene.coarse
        found = peaks(self.dense(scene), level.hull, (level.grid.step_mm, 0.0), self.diameters_mm, self.minimum_share)
        return apart(found, level.grid.step_mm, most)

    def dense(self, scene: Scene) -> Float32Array:
        """Tell where the coarse level, (k, r, c), is denser than the lung around: 1 where it is, else 0."""
        level = scene.coarse
        left = self._left(scene, scene.fine if self.is_fine else level)
        around = surroundings(left, level, scene.parenchyma_hu, self.surroundings_mm / level.grid.step_mm)
        dense = level.hull & (left > around + self.denser_by_hu) & (left < self.below_hu)
        return dense.astype(np.float32)

    def _left(self, scene: Scene, level: Level) -> Float32Array:
        """HU without vessels, smoothed, on the coarse level."""
        opened = without_vessels(level, scene.parenchyma_hu, self.vessel_mm)
        ndimage.gaussian_filter(opened, self.smoothing_mm / level.grid.step_mm, output=opened)
        return opened if level is scene.coarse else scene.coarse.grid.sample_grid(opened, level.grid)
