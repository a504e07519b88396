"""The surroundings of a candidate on an isotropic grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ai_engine.domain import BoolArray
from ai_engine.grid import Float32Array, Grid
from ai_engine.scene import LUNG_HU, TISSUE_HU, Level, Scene

AERATED_BELOW_HU = -500.0


@dataclass(frozen=True, eq=False)
class Cube:
    """The surroundings of a candidate.

    Attributes
    ----------
    hu : (k, r, c) float32
    hull : (k, r, c) bool
        Inside of the lungs.
    seed : (3,) int
        Grid index of the candidate's centre.
    background_hu : float
        Median of the aerated lung around the candidate.
    """

    grid: Grid
    hu: Float32Array
    hull: BoolArray
    seed: NDArray[np.int_]
    background_hu: float


def half_side_mm(diameter_mm: float) -> float:
    """Half of the side of the cube that holds a nodule of this diameter and what it hangs on."""
    return 1.2 * diameter_mm + 6.0


def cube_of_level(scene: Scene, level: Level, centre_krc: ArrayLike, diameter_mm: float) -> Cube:
    """Cut the cube around a candidate out of a level of the scene; views, no copies."""
    at = np.round(level.grid.from_volume(centre_krc)).astype(int)
    at = np.clip(at, 0, np.subtract(level.hu.shape, 1))
    half = int(np.ceil(half_side_mm(diameter_mm) / level.grid.step_mm))
    lower, upper = np.maximum(at - half, 0), np.minimum(at + half + 1, level.hu.shape)
    box = tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))
    start = level.grid.to_volume(lower)
    k, r, c = (int(n) for n in upper - lower)
    origin = (float(start[0]), float(start[1]), float(start[2]))
    grid = Grid(level.grid.step_mm, origin, level.grid.spacing_krc_mm, (k, r, c))
    return _cube(scene, grid, level.hu[box], level.hull[box], at - lower)


@dataclass(frozen=True)
class Preparation:
    """What is done to the voxels of the volume before something is grown in them.

    Attributes
    ----------
    finest_mm, coarsest_mm : float
        Cubes are sampled at the pixel spacing, but no finer and no coarser than this.
    smoothing_mm : float
        Sigma; against noise, below the resolution that is asked for.
    vessel_mm : float
        Then, bright things thinner than this are taken away, and what is left is smoothed once more; 0 takes nothing.
    """

    finest_mm: float
    coarsest_mm: float
    smoothing_mm: float
    vessel_mm: float = 0.0


def cube_of_volume(
    scene: Scene, centre_krc: ArrayLike, diameter_mm: float, step_mm: float, preparation: Preparation
) -> Cube:
    """Sample the cube around a candidate from the volume at a step of its own."""
    half = half_side_mm(diameter_mm)
    n = 2 * int(np.ceil(half / step_mm)) + 1
    spacing = scene.volume.spacing_krc_mm
    start = np.asarray(centre_krc, dtype=np.float64) - (n - 1) / 2 * step_mm / np.array(spacing)
    grid = Grid(step_mm, (float(start[0]), float(start[1]), float(start[2])), spacing, (n, n, n))
    hull = grid.sample_grid(scene.fine.hull, scene.fine.grid) > 0.5
    hull &= _within_scan(grid, scene.volume.hu.shape)
    sigma, size = preparation.smoothing_mm / step_mm, round(preparation.vessel_mm / step_mm)
    hu = ndimage.gaussian_filter(np.clip(grid.sample(scene.volume.hu), LUNG_HU, TISSUE_HU), sigma)
    if size > 1:
        hu = ndimage.grey_opening(np.where(hull, hu, np.float32(scene.parenchyma_hu)), size=(size, size, size))
        hu = ndimage.gaussian_filter(hu, sigma)
    return _cube(scene, grid, hu, hull, np.full(3, (n - 1) // 2))


def _within_scan(grid: Grid, shape: tuple[int, ...]) -> BoolArray:
    """Points of a grid that lie within the volume."""
    ends = grid.to_volume(np.stack([np.arange(max(grid.shape))] * 3, axis=1))
    inside = [(ends[:n, i] > -0.5) & (ends[:n, i] < shape[i] - 0.5) for i, n in enumerate(grid.shape)]
    return inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]


def _cube(scene: Scene, grid: Grid, hu: Float32Array, hull: BoolArray, seed: NDArray[np.int_]) -> Cube:
    lung = hu[hull & (hu < AERATED_BELOW_HU)]
    background = float(np.median(lung)) if len(lung) > 50 else scene.parenchyma_hu
    return Cube(grid, hu, hull, seed, background)
