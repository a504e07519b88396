"""The mask of one candidate by region growing, at about the scanner's resolution; no weights."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ai_engine.candidates.ground_glass import ground_glass_judge
from ai_engine.domain import BoolArray, Candidate, Channel, Segment
from ai_engine.errors import EmptySegment
from ai_engine.growing import Cube, Judge, Preparation, cube_of_volume, detached, grow, half_side_mm
from ai_engine.scene import COARSE_MM, Scene


@dataclass(frozen=True)
class Growth:
    """How candidates of one kind are grown."""

    preparation: Preparation
    judge: Judge


def _solid() -> Growth:
    return Growth(Preparation(finest_mm=0.6, coarsest_mm=1.0, smoothing_mm=0.6), Judge())


def _ground_glass() -> Growth:
    return Growth(Preparation(finest_mm=1.5, coarsest_mm=2.0, smoothing_mm=1.2, vessel_mm=6.0), ground_glass_judge())


@dataclass(frozen=True)
class RegionGrowing:
    """Grows a candidate again, finer than the detector did.

    Attributes
    ----------
    largest_cube : int
        Points along the side of a cube; large masses are sampled more coarsely instead.
    """

    largest_cube: int = 110
    solid: Growth = field(default_factory=_solid)
    ground_glass: Growth = field(default_factory=_ground_glass)

    def segment(self, scene: Scene, candidate: Candidate) -> Segment:
        """Segment one candidate on the voxels of the turned volume.

        Raises
        ------
        EmptySegment
            Nothing stands out from the lung at the candidate's place.
        """
        growth = self.ground_glass if candidate.channel is Channel.GROUND_GLASS else self.solid
        finest = self._cube(scene, candidate, growth.preparation, min(scene.volume.spacing_krc_mm[1:]))
        # where noise or texture at full resolution spoils the shape, that of the search is taken
        for cube in (finest, self._cube(scene, candidate, growth.preparation, COARSE_MM)):
            judged = growth.judge.judge(cube, candidate.diameter_mm)
            if judged is not None:
                return _on_voxels(scene, cube, ndimage.binary_fill_holes(judged.mask))
        mask = detached(grow(finest, growth.judge.height, growth.judge.brightest_hu), growth.judge.shares[-1])
        return _on_voxels(scene, finest, ndimage.binary_fill_holes(mask))

    def _cube(self, scene: Scene, candidate: Candidate, preparation: Preparation, step_mm: float) -> Cube:
        least = 2 * half_side_mm(candidate.diameter_mm) / self.largest_cube
        step = max(min(max(step_mm, preparation.finest_mm), preparation.coarsest_mm), least)
        return cube_of_volume(scene, candidate.centre_krc, candidate.diameter_mm, step, preparation)


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
