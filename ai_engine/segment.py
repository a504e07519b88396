"""The mask of one candidate by region growing, at about the scanner's resolution; no weights."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoolArray, Candidate, Segment
from ai_engine.errors import EmptySegment
from ai_engine.growing import Cube, Judge, cube_of_volume, detached, grow
from ai_engine.growing.cube import half_side_mm
from ai_engine.scene import Scene


@dataclass(frozen=True)
class RegionGrowing:
    """Grows a candidate again, finer than the detector did.

    Attributes
    ----------
    finest_mm : float
        No cube is sampled finer than this.
    largest_cube : int
        Points along the side of a cube; large masses are sampled more coarsely instead.
    smoothing_mm : float
        Sigma; against noise, below the resolution of the scanner.
    """

    finest_mm: float = 0.6
    largest_cube: int = 110
    smoothing_mm: float = 0.5
    judge: Judge = field(default_factory=Judge)

    def segment(self, scene: Scene, candidate: Candidate) -> Segment:
        """Segment one candidate on the voxels of the turned volume.

        Raises
        ------
        EmptySegment
            Nothing stands out from the lung at the candidate's place.
        """
        step = max(
            self.finest_mm,
            min(scene.volume.spacing_krc_mm[1:]),
            2 * half_side_mm(candidate.diameter_mm) / self.largest_cube,
        )
        cube = cube_of_volume(scene, candidate.centre_krc, candidate.diameter_mm, step, self.smoothing_mm)
        judged = self.judge.judge(cube, candidate.diameter_mm)
        mask = detached(grow(cube), self.judge.shares[-1]) if judged is None else judged.mask
        return _on_voxels(scene, cube, ndimage.binary_fill_holes(mask))


def _on_voxels(scene: Scene, cube: Cube, mask: BoolArray) -> Segment:
    """Carry a mask from the cube to the voxels of the volume: a voxel belongs to it if its centre does."""
    shape = np.array(scene.volume.hu.shape)
    low = np.clip(np.ceil(cube.grid.to_volume((0, 0, 0))).astype(int), 0, shape - 1)
    high = np.clip(np.floor(cube.grid.to_volume(np.subtract(mask.shape, 1))).astype(int) + 1, low + 1, shape)
    k, r, c = (int(n) for n in high - low)
    stride = 1 / cube.grid.stride_krc
    inside = ndimage.affine_transform(
        mask.astype(np.float32), stride, cube.grid.from_volume(low), (k, r, c), order=1, mode="constant"
    )
    on_voxels = inside >= 0.5
    if not on_voxels.any():
        raise EmptySegment("the mask falls between the voxels")
    box = ndimage.find_objects(on_voxels.astype(np.uint8))[0]
    k, r, c = (int(start + part.start) for start, part in zip(low, box, strict=True))
    return Segment(np.ascontiguousarray(on_voxels[box]), (k, r, c))
