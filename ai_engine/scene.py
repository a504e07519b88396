"""What the stages after the lungs look at: the volume, and isotropic copies of the box that holds the lungs."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoolArray, CtVolume
from ai_engine.grid import Float32Array, Grid, part_of
from ai_engine.lungs import Lungs

# Shape is looked for between air and soft tissue: bone, calcium and contrast medium beyond tell nothing of it.
LUNG_HU, TISSUE_HU = -1000.0, 100.0
# Sharp and smooth kernels are brought to about the same resolution, that of a smooth one.
SMOOTHING_MM = 0.7
FINE_MM, COARSE_MM = 1.0, 2.0


@dataclass(frozen=True, eq=False)
class Level:
    """The box of the lungs at one resolution.

    Attributes
    ----------
    hu : (k, r, c) float32
        Smoothed, clipped to ``LUNG_HU``..``TISSUE_HU``.
    hull : (k, r, c) bool
        Inside of the lungs.
    """

    grid: Grid
    hu: Float32Array
    hull: BoolArray


@dataclass(frozen=True, eq=False)
class Scene:
    """One examination, ready to be searched.

    Attributes
    ----------
    volume : CtVolume
        Turned, at the resolution of the scanner.
    lungs : Lungs
        Found in that volume.
    fine, coarse : Level
        At 1 mm and at 2 mm.
    parenchyma_hu : float
        Median of the aerated lung.
    """

    volume: CtVolume
    lungs: Lungs
    fine: Level
    coarse: Level
    parenchyma_hu: float


def scene_of(volume: CtVolume, lungs: Lungs, margin_mm: float = 10.0) -> Scene:
    """Copy the box of the lungs, with a margin, onto isotropic grids."""
    occupied = [np.nonzero(lungs.sides.any(axis=tuple({0, 1, 2} - {axis})))[0] for axis in range(3)]
    margin = margin_mm / lungs.grid.step_mm
    lower = np.maximum([at[0] - margin for at in occupied], 0)
    upper = np.minimum([at[-1] + margin for at in occupied], np.subtract(lungs.grid.shape, 1))
    grid = part_of(lungs.grid, lower, upper, FINE_MM)
    hu = np.clip(grid.sample(volume.hu), LUNG_HU, TISSUE_HU)
    ndimage.gaussian_filter(hu, SMOOTHING_MM / FINE_MM, output=hu, truncate=3)
    fine = Level(grid, hu, grid.sample_grid(lungs.hull, lungs.grid) > 0.5)
    coarse_grid = part_of(lungs.grid, lower, upper, COARSE_MM)
    half = ndimage.gaussian_filter(hu, COARSE_MM / FINE_MM / 2, truncate=2)
    coarse = Level(coarse_grid, coarse_grid.sample_grid(half, grid), coarse_grid.sample_grid(fine.hull, grid) > 0.5)
    air = coarse_grid.sample_grid(lungs.air, lungs.grid) > 0.5
    return Scene(volume, lungs, fine, coarse, float(np.median(coarse.hu[air])))
