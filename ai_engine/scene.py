"""What the stages after the lungs look at: the volume, and a 1 mm copy of the box that holds the lungs."""

from dataclasses import dataclass

import numpy as np

from ai_engine.domain import BoolArray, CtVolume
from ai_engine.grid import Float32Array, Grid, part_of
from ai_engine.lungs import Lungs

# soft tissue ends here: bone, calcium and contrast medium above it tell nothing of shape
TISSUE_HU = 100.0
LUNG_HU = -1000.0


@dataclass(frozen=True, eq=False)
class Scene:
    """One examination, ready to be searched.

    Attributes
    ----------
    volume : CtVolume
        Turned, at the resolution of the scanner.
    lungs : Lungs
        Found in that volume.
    grid : Grid
        1 mm grid over the box of the lungs.
    hu : (k, r, c) float32
        On that grid, clipped to ``LUNG_HU``..``TISSUE_HU``.
    hull : (k, r, c) bool
        Inside of the lungs, on that grid.
    parenchyma_hu : float
        Median of the aerated lung.
    """

    volume: CtVolume
    lungs: Lungs
    grid: Grid
    hu: Float32Array
    hull: BoolArray
    parenchyma_hu: float


def scene_of(volume: CtVolume, lungs: Lungs, step_mm: float = 1.0, margin_mm: float = 10.0) -> Scene:
    """Copy the box of the lungs, with a margin, onto an isotropic grid."""
    occupied = [np.nonzero(lungs.sides.any(axis=tuple({0, 1, 2} - {axis})))[0] for axis in range(3)]
    margin = margin_mm / lungs.grid.step_mm
    lower = np.maximum([at[0] - margin for at in occupied], 0)
    upper = np.minimum([at[-1] + margin for at in occupied], np.subtract(lungs.grid.shape, 1))
    grid = part_of(lungs.grid, lower, upper, step_mm)
    hu = np.clip(grid.sample(volume.hu), LUNG_HU, TISSUE_HU)
    hull = grid.sample_grid(lungs.hull, lungs.grid) > 0.5
    air = grid.sample_grid(lungs.air, lungs.grid) > 0.5
    return Scene(volume, lungs, grid, hu, hull, float(np.median(hu[air])))
