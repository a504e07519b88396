"""Region growing with vessel and wall detachment: the mask of one candidate, without weights.

Follows the idea of Kuhnigk et al., IEEE TMI 25(4), 2006: grow at half the contrast, erode until the nodule comes free
of what it hangs on, keep the part around the seed, and grow it back by the same distance.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoolArray, Candidate, FloatArray, Segment
from ai_engine.errors import EmptySegment
from ai_engine.grid import Float32Array, Grid
from ai_engine.scene import Scene


@dataclass(frozen=True, eq=False)
class Cube:
    """The surroundings of a candidate on an isotropic grid.

    Attributes
    ----------
    hu : (k, r, c) float32
    hull : (k, r, c) bool
        Inside of the lungs.
    seed : (3,) float64
        Grid index of the candidate's centre.
    """

    grid: Grid
    hu: Float32Array
    hull: BoolArray
    seed: FloatArray
    background_hu: float


@dataclass(frozen=True, eq=False)
class Grown:
    """What grew in a cube.

    Attributes
    ----------
    mask : (k, r, c) bool
        The nodule, detached.
    region : (k, r, c) bool
        All that hangs together with it at the same threshold: vessels too.
    """

    mask: BoolArray
    region: BoolArray
    threshold_hu: float


@dataclass(frozen=True)
class RegionGrowing:
    """Segments a candidate at about the scanner's resolution.

    Attributes
    ----------
    opening : float
        Strength of the detachment, as a share of the nodule's inner radius.
    """

    opening: float = 0.4
    finest_mm: float = 0.6
    largest_cube: int = 96

    def segment(self, scene: Scene, candidate: Candidate) -> Segment:
        """Segment one candidate on the grid of the volume.

        Raises
        ------
        EmptySegment
            Nothing stands out from the lung at the candidate's place.
        """
        step = max(self.finest_mm, min(scene.volume.spacing_krc_mm[1:]), side_mm(candidate) / self.largest_cube)
        cube = cube_at(scene, candidate, step)
        return to_volume(scene, cube, self.grow(cube).mask)

    def grow(self, cube: Cube) -> Grown:
        """Grow and detach the nodule at the seed of a cube."""
        near = _ball(cube, 1.5)
        core_hu = float(np.median(cube.hu[near]))
        threshold = (core_hu + cube.background_hu) / 2
        labels, _ = ndimage.label((cube.hu > threshold) & cube.hull)
        touched = labels[_ball(cube, 2.0)]
        if not touched.any():
            raise EmptySegment("nothing stands out from the lung here")
        region = labels == np.bincount(touched[touched > 0]).argmax()
        return Grown(self._detached(cube, region), region, threshold)

    def _detached(self, cube: Cube, region: BoolArray) -> BoolArray:
        depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1, 1:-1]
        top = _climb(depth, region, cube.seed)
        inner = depth[top]
        shell = _box_faces(region.shape)
        for share in np.arange(self.opening, 0.95, 0.1):
            labels, _ = ndimage.label(depth > share * inner)
            core = labels == labels[top]
            reach = share * inner + 1.0
            if not (core & shell).any():
                break
        mask = region & (ndimage.distance_transform_edt(~core) <= reach)
        return ndimage.binary_fill_holes(mask)


def side_mm(candidate: Candidate) -> float:
    """Side of the cube that holds a candidate with its surroundings, in mm."""
    return 2.2 * candidate.diameter_mm + 16.0


def cube_at(scene: Scene, candidate: Candidate, step_mm: float) -> Cube:
    """Cut the cube around a candidate."""
    volume = scene.volume
    half = side_mm(candidate) / 2
    first = np.array(candidate.centre_krc) - half / np.array(volume.spacing_krc_mm)
    n = round(2 * half / step_mm) + 1
    grid = Grid(step_mm, (float(first[0]), float(first[1]), float(first[2])), volume.spacing_krc_mm, (n, n, n))
    hu = np.clip(grid.sample(volume.hu), -1000, 100)
    hull = grid.sample_grid(scene.hull, scene.grid) > 0.5
    lung = hull & (hu < -500)
    background = float(np.median(hu[lung])) if lung.sum() > 100 else scene.parenchyma_hu
    return Cube(grid, hu, hull, grid.from_volume(candidate.centre_krc), background)


def to_volume(scene: Scene, cube: Cube, mask: BoolArray) -> Segment:
    """Carry a mask from the cube to the voxels of the volume: a voxel belongs to it if its centre does."""
    ends = cube.grid.to_volume([(0, 0, 0), np.subtract(mask.shape, 1)])
    shape = scene.volume.hu.shape
    lower = np.clip(np.ceil(ends[0]).astype(int), 0, shape)
    upper = np.clip(np.floor(ends[1]).astype(int) + 1, lower, shape)
    axes = [np.arange(a, b) for a, b in zip(lower, upper, strict=True)]
    index = [cube.grid.from_volume(np.stack([at] * 3, axis=1))[:, i] for i, at in enumerate(axes)]
    nearest = [np.clip(np.round(values).astype(int), 0, n - 1) for values, n in zip(index, mask.shape, strict=True)]
    on_voxels = mask[np.ix_(*nearest)]
    if not on_voxels.any():
        raise EmptySegment("the mask falls between the voxels")
    box = ndimage.find_objects(on_voxels.astype(np.uint8))[0]
    k, r, c = (int(a + part.start) for a, part in zip(lower, box, strict=True))
    return Segment(np.ascontiguousarray(on_voxels[box]), (k, r, c))


def _ball(cube: Cube, radius_mm: float) -> tuple[slice, slice, slice]:
    reach = radius_mm / cube.grid.step_mm
    low = np.maximum(np.floor(cube.seed - reach).astype(int), 0)
    high = np.ceil(cube.seed + reach).astype(int) + 1
    k, r, c = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return k, r, c


def _climb(depth: Float32Array, region: BoolArray, seed: FloatArray) -> tuple[int, int, int]:
    """Deepest point that a steady climb from the seed reaches."""
    inside = np.argwhere(region)
    at = inside[((inside - seed) ** 2).sum(axis=1).argmin()]
    while True:
        low = np.maximum(at - 2, 0)
        window = depth[tuple(slice(a, b + 3) for a, b in zip(low, at, strict=True))]
        best = low + np.unravel_index(window.argmax(), window.shape)
        if depth[tuple(best)] <= depth[tuple(at)]:
            k, r, c = (int(i) for i in at)
            return k, r, c
        at = best


def _box_faces(shape: tuple[int, ...]) -> BoolArray:
    faces = np.ones(shape, dtype=bool)
    faces[1:-1, 1:-1, 1:-1] = False
    return faces
