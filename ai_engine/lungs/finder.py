"""Finds the lungs by threshold, connection and closing; no weights."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.domain import BoolArray, CtVolume
from ai_engine.errors import NoLungs
from ai_engine.grid import Float32Array, Grid, grid_over
from ai_engine.lungs.airways import airways
from ai_engine.lungs.body import bounding_box, enclosed_air, lung_parts, middle_column
from ai_engine.lungs.hull import Closing, hull_of
from ai_engine.lungs.sides import parted

# Complete lungs end in a tip; a larger cross-section at the end of the scan says that they go on.
CUT_ABOVE_MM2 = 1000.0


@dataclass(frozen=True, eq=False)
class Lungs:
    """Both lungs on a grid over the whole volume.

    Attributes
    ----------
    sides : (k, r, c) uint8
        The hull of the lungs: 0 outside, ``RIGHT`` or ``LEFT`` inside. Holds vessels, nodules and masses.
    air : (k, r, c) bool
        Aerated lung alone.
    cut : tuple of str
        ``"top"`` and/or ``"bottom"`` where the volume ends inside the lungs.
    """

    grid: Grid
    sides: NDArray[np.uint8]
    air: BoolArray
    cut: tuple[str, ...]

    @property
    def hull(self) -> BoolArray:
        """(k, r, c) bool: inside either lung."""
        return self.sides > 0

    @property
    def volume_ml(self) -> float:
        """Volume of the hull."""
        return float(np.count_nonzero(self.sides)) * self.grid.step_mm**3 / 1000


@dataclass(frozen=True)
class ThresholdLungs:
    """Finds the lungs on a coarse grid.

    Air inside the body is found slice by slice, so that lungs cut at both ends of the scan are found too.

    Attributes
    ----------
    step_mm : float
        Of the grid.
    air_below_hu : float
        Half way between aerated lung and soft tissue.
    minimum_ml : float
        A part of the enclosed air smaller than this is not taken for lung.
    """

    step_mm: float = 2.0
    air_below_hu: float = -400.0
    minimum_ml: float = 100.0
    closing: Closing = field(default_factory=Closing)

    def find(self, volume: CtVolume) -> Lungs:
        """Find the lungs of a turned volume.

        Raises
        ------
        NoLungs
            There is no lung, or too little of it.
        """
        grid = grid_over(volume.hu.shape, volume.spacing_krc_mm, self.step_mm)
        hu = grid.sample(volume.hu)
        inside = enclosed_air(hu, self.air_below_hu)
        box = bounding_box(inside, margin=8)
        middle = middle_column(hu, inside, self.air_below_hu) - box[2].start
        air, sides = self._lungs(hu[box], inside[box], middle)
        whole_air, whole_sides = np.zeros(hu.shape, dtype=bool), np.zeros(hu.shape, dtype=np.uint8)
        whole_air[box], whole_sides[box] = air, sides
        return Lungs(grid, whole_sides, whole_air, _cut(whole_air, self.step_mm))

    def _lungs(self, hu: Float32Array, inside: BoolArray, middle: float) -> tuple[BoolArray, NDArray[np.uint8]]:
        wall = ndimage.binary_dilation(airways(hu, inside, self.step_mm))
        air = lung_parts(hu, inside & ~wall, self.minimum_ml * 1000 / self.step_mm**3)
        if not air.any():
            raise NoLungs("no lung found: too little air inside the body, or none with the texture of lung")
        return air, hull_of(parted(air, middle), self.step_mm, self.closing)


def _cut(air: BoolArray, step_mm: float) -> tuple[str, ...]:
    """Name the ends of the scan at which the lungs still have a large cross-section."""
    ends = (("bottom", air[0]), ("top", air[-1]))
    return tuple(name for name, image in ends if np.count_nonzero(image) * step_mm**2 > CUT_ABOVE_MM2)
