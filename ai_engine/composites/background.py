"""A real lung to plant nodules into, and what is read off it once: room, vessels, fissures, noise."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.composites.fissures import Sheets, sheets
from ai_engine.composites.noise import SoftTissue, soft_tissue
from ai_engine.domain import BoolArray, CtVolume, FloatArray
from ai_engine.lungs import Lungs

# Vessels are looked for away from the pleura, where the hull's own border holds dense voxels.
VESSEL_DEPTH_MM = 8.0


@dataclass(frozen=True, eq=False)
class Background:
    """A real lung.

    Attributes
    ----------
    name : str
        Of the series; its split hangs on it.
    volume : CtVolume
        Turned (``geometry.Turn``): k to the head, r to the back, c to the left.
    lungs : Lungs
        Found in that volume.
    avoid : (k, r, c) bool or None
        On the grid of ``lungs``: where nothing may be planted (known lesions and the like, with a margin).
    known : (k, r, c) bool or None
        The part of it where lesions are known to lie.
    """

    name: str
    volume: CtVolume
    lungs: Lungs
    avoid: BoolArray | None = None
    known: BoolArray | None = None

    @property
    def patient(self) -> str:
        """Whose lung it is: two series of one patient share it."""
        return self.name.split("/")[0]

    @cached_property
    def inside(self) -> NDArray[np.uint8]:
        """(k, r, c) uint8 on the lungs' grid: 0 outside, 1 aerated lung, 2 dense lung (vessels), 3 to be avoided."""
        kinds = self.lungs.hull.astype(np.uint8)
        kinds[self.lungs.hull & ~self.lungs.air] = 2
        if self.avoid is not None:
            kinds[self.avoid] = 3
        return kinds

    @cached_property
    def depth_mm(self) -> NDArray[np.float32]:
        """(k, r, c) float32 on the lungs' grid: distance to the outside of the hull; ends of the scan do not count."""
        return (ndimage.distance_transform_edt(self.lungs.hull) * self.lungs.grid.step_mm).astype(np.float32)

    @cached_property
    def by_depth(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Places in the lung, deepest last: depth in mm (n,) and grid index (n, 3)."""
        at = np.argwhere((self.inside == 1) | (self.inside == 2)).astype(np.int32)
        depth = self.depth_mm[tuple(at.T)]
        order = np.argsort(depth)
        return depth[order], at[order]

    @cached_property
    def vessels(self) -> NDArray[np.int32]:
        """Grid indices (n, 3) of voxels in vessels."""
        return np.argwhere((self.inside == 2) & (self.depth_mm > VESSEL_DEPTH_MM)).astype(np.int32)

    @cached_property
    def fissures(self) -> Sheets:
        """Places on thin sheets inside the lung."""
        return sheets(self.lungs.grid.sample(self.volume.hu), self.inside == 1, self.depth_mm, self.lungs.grid.step_mm)

    @cached_property
    def tissue(self) -> SoftTissue:
        """Noise of real soft tissue outside the lung, of this series."""
        return soft_tissue(self.volume, self.lungs)

    def grid_mm(self, points_mm: FloatArray) -> NDArray[np.int_]:
        """Map places (n, 3) in mm along k, r, c from voxel (0, 0, 0) to the nearest index of the lungs' grid."""
        points = self.lungs.grid.from_volume(points_mm / np.array(self.volume.spacing_krc_mm))
        return np.clip(np.rint(points).astype(int), 0, np.subtract(self.lungs.grid.shape, 1))

    def mm(self, grid_index: NDArray[np.int32]) -> FloatArray:
        """Map an index of the lungs' grid to mm along k, r, c from voxel (0, 0, 0)."""
        return self.lungs.grid.to_volume(grid_index) * np.array(self.volume.spacing_krc_mm)
