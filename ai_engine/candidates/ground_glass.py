"""Ground-glass nodules: large, faint, even patches that are denser than the lung around them.

A blob search in HU does not see them among the vessels. So vessels are taken away by a grey opening first, then patches
are looked for in the share of voxels that are as dense as ground glass, and what grows there must be even.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from ai_engine.candidates.blobs import Blob, blobs, filled_outside
from ai_engine.domain import Candidate, Channel
from ai_engine.errors import EmptySegment
from ai_engine.grid import Float32Array
from ai_engine.growing import Cube, Judge, Judged, cube_of_level
from ai_engine.scene import Level, Scene


def ground_glass_judge() -> Judge:
    """Give the limits for ground glass: fainter, not tiny, with less vessel at its surface."""
    return Judge(
        height=0.4,  # ground glass fades at its edge, and the opening takes off the outermost
        brightest_hu=-500.0,  # the edge is ground glass, even where the seed lies in a solid core
        shares=(0.35, 0.5, 0.65, 0.8),
        minimum_mm=10.0,
        maximum_vessel_share=0.1,
        maximum_vessel_share_large=0.1,
        minimum_contrast_hu=120.0,
        ideal_contrast_hu=250.0,
    )


@dataclass(frozen=True)
class GroundGlassSearch:
    """Searches the ground-glass nodules of a scene.

    Attributes
    ----------
    diameters_mm : tuple of float
        Range searched.
    minimum_share : float
        Of voxels as dense as ground glass in a patch, against the patch's surroundings.
    vessel_mm : float
        What is thinner than this is taken away first.
    denser_by_hu, below_hu : float
        As dense as ground glass: by so much denser than the lung around, and not as dense as tissue.
    rim_mm : float
        Along the wall, voxels of half wall and half lung look like ground glass; they are left out of the search.
    surroundings_mm : float
        Sigma over which the density of the lung around is averaged.
    maximum_unevenness : float
        Standard deviation of a patch over its contrast. Vessels with lung between them are far above.
    maximum_tissue_share : float
        Of voxels as dense as tissue in a patch; more is a solid nodule or a bundle of vessels.
    """

    diameters_mm: tuple[float, float] = (10.0, 60.0)
    minimum_share: float = 0.35
    vessel_mm: float = 6.0
    denser_by_hu: float = 100.0
    below_hu: float = -300.0
    rim_mm: float = 3.0
    surroundings_mm: float = 24.0
    maximum_unevenness: float = 0.8
    maximum_tissue_share: float = 0.15
    maximum_mean_hu: float = -500.0
    judge: Judge = field(default_factory=ground_glass_judge)

    def search(self, scene: Scene) -> list[Candidate]:
        """Find the candidates, each with the score of its judge."""
        level = scene.coarse
        dense, opened, around = self.dense(scene)
        patches = blobs(dense, level.grid.step_mm, 0.0, self.diameters_mm, self.minimum_share)
        soft = Level(level.grid, ndimage.gaussian_filter(opened, 1.5 / level.grid.step_mm), level.hull)
        taken = np.zeros(level.hull.shape, dtype=bool)
        found = []
        for patch in patches:
            if level.hull[patch.at] and not taken[patch.at]:
                candidate = self._judged(scene, soft, patch, float(around[patch.at]), taken)
                found += [candidate] if candidate else []
        return found

    def dense(self, scene: Scene) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Tell where the coarse level is as dense as ground glass.

        Returns
        -------
        dense, opened, around : (k, r, c) float32
            1 where it is, else 0; HU without vessels; HU of the lung around each point.
        """
        level = scene.coarse
        opened = without_vessels(level, scene.parenchyma_hu, self.vessel_mm)
        around = surroundings(opened, level, scene.parenchyma_hu, self.surroundings_mm / level.grid.step_mm)
        inner = ndimage.distance_transform_edt(level.hull) * level.grid.step_mm > self.rim_mm
        dense = inner & (opened > around + self.denser_by_hu) & (opened < self.below_hu)
        return dense.astype(np.float32), opened, around

    def _judged(self, scene: Scene, soft: Level, patch: Blob, around_hu: float, taken: np.ndarray) -> Candidate | None:
        cube = cube_of_level(scene, soft, soft.grid.to_volume(patch.at), patch.diameter_mm)
        cube = replace(cube, background_hu=around_hu)
        try:
            judged = self.judge.judge(cube, patch.diameter_mm)
        except EmptySegment:
            return None
        if judged is None:
            return None
        box = _box_in(soft, cube)
        if (taken[box] & judged.mask).any() or not self._even(scene.coarse.hu[box], judged):
            return None
        taken[box] |= judged.mask
        k, r, c = (float(value) for value in cube.grid.to_volume(judged.region.top))
        return Candidate((k, r, c), judged.shape.diameter_mm, judged.score, Channel.GROUND_GLASS)

    def _even(self, hu: Float32Array, judged: Judged) -> bool:
        values = hu[judged.mask]
        return bool(
            values.mean() < self.maximum_mean_hu
            and np.mean(values > self.below_hu - 100) < self.maximum_tissue_share
            and values.std() < self.maximum_unevenness * judged.shape.contrast_hu
        )


def without_vessels(level: Level, lung_hu: float, vessel_mm: float) -> Float32Array:
    """HU of a level, (k, r, c), after a grey opening; outside the lungs that of the lung."""
    size = max(round(vessel_mm / level.grid.step_mm), 1)
    return ndimage.grey_opening(filled_outside(level.hu, level.hull, lung_hu), size=(size, size, size))


def surroundings(opened: Float32Array, level: Level, lung_hu: float, sigma: float) -> Float32Array:
    """Mean density of the aerated lung around each point, (k, r, c); ``sigma`` in grid points."""
    aerated = (level.hull & (opened < -600)).astype(np.float32)
    weight = ndimage.gaussian_filter(aerated, sigma, truncate=2.5)
    total = ndimage.gaussian_filter(opened * aerated, sigma, truncate=2.5)
    return np.where(weight > 0.02, total / np.maximum(weight, np.float32(1e-3)), np.float32(lung_hu))


def _box_in(level: Level, cube: Cube) -> tuple[slice, ...]:
    start = np.round(level.grid.from_volume(cube.grid.origin_krc)).astype(int)
    return tuple(slice(int(a), int(a) + n) for a, n in zip(start, cube.grid.shape, strict=True))
