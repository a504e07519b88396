"""Nodules of known shape: what is asked for, how it is drawn, and what was planted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.distance import pdist

from ai_engine.domain import BoolArray, FloatArray, NoduleType
from ai_engine.errors import VolumeError
from ai_engine.geometry import krc_to_lps_mm, lps_mm_to_krc
from ai_engine.phantom.frame import Frame
from ai_engine.phantom.placing import LungPosition, place

Point = tuple[float, float, float]

#: (x, y, z) offsets from the nodule's centre in LPS mm -> depth below its surface in mm.
Depth = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]

#: Shapes are sampled at least this finely inside a voxel, in mm.
FINE_MM = 0.3


@dataclass(frozen=True)
class Sphere:
    """A ball, with a solid core of another attenuation where ``core_diameter_mm`` is given.

    Attributes
    ----------
    at : LungPosition or (x, y, z)
        Where its centre lies; a point is LPS mm.
    clear_mm : float
        No vessel is drawn within this distance of its surface.
    """

    at: LungPosition | Point
    diameter_mm: float
    hu: float = 35.0
    core_diameter_mm: float | None = None
    core_hu: float = 20.0
    clear_mm: float = 2.0

    @property
    def reach_mm(self) -> float:
        """Radius of a ball that holds the nodule."""
        return self.diameter_mm / 2

    def parts(self) -> list[tuple[Depth, float]]:
        """Depth function and attenuation, the outer part first."""
        diameters = [(self.diameter_mm, self.hu), (self.core_diameter_mm, self.core_hu)]
        return [(_ball(diameter / 2), hu) for diameter, hu in diameters if diameter]


@dataclass(frozen=True, eq=False)
class Outline:
    """A nodule of any shape, for example one reader's outlines.

    Attributes
    ----------
    at : LungPosition or (x, y, z)
        Where the mask's centre of gravity comes to lie.
    mask : (k, r, c) bool
        k towards the head, r towards the back, c towards the patient's left.
    spacing_krc_mm : tuple of float
        Of the mask.
    core : (k, r, c) bool or None
        The solid part of a part-solid nodule, on the same grid.
    """

    at: LungPosition | Point
    mask: BoolArray
    spacing_krc_mm: Point
    hu: float = 35.0
    core: BoolArray | None = None
    core_hu: float = 20.0
    clear_mm: float = 2.0

    @property
    def centre_krc(self) -> Point:
        """Centre of gravity of the mask, voxel index."""
        k, r, c = (float(axis.mean()) for axis in np.nonzero(self.mask))
        return k, r, c

    @property
    def reach_mm(self) -> float:
        """Radius of a ball around the centre that holds the nodule."""
        offsets = (np.argwhere(self.mask) - self.centre_krc) * self.spacing_krc_mm
        return float(np.linalg.norm(offsets, axis=1).max() + max(self.spacing_krc_mm) / 2)

    def parts(self) -> list[tuple[Depth, float]]:
        """Depth function and attenuation, the outer part first."""
        masks = [(self.mask, self.hu), (self.core, self.core_hu)]
        return [(_interpolated(m, self.centre_krc, self.spacing_krc_mm), hu) for m, hu in masks if m is not None]


PlantedNodule = Sphere | Outline


@dataclass(frozen=True)
class Planted:
    """What was planted.

    Attributes
    ----------
    number : int
        Its value in ``Phantom.labels``.
    centre_lps_mm : tuple of float
        Centre of gravity.
    volume_mm3 : float
        Of the shape itself, voxels at its edge counted by their share.
    diameter_mm : float
        Longest diameter in an axial plane.
    solid_volume_mm3 : float
        Of the solid part: the core's, all of a solid nodule's, 0 for ground glass.
    """

    number: int
    centre_lps_mm: Point
    volume_mm3: float
    diameter_mm: float
    nodule_type: NoduleType
    solid_volume_mm3: float


def type_of(nodule: PlantedNodule) -> NoduleType:
    """Attenuation class of a nodule: by its core, else by its attenuation."""
    if len(nodule.parts()) > 1:
        return NoduleType.PART_SOLID
    return NoduleType.GROUND_GLASS if nodule.hu < -300 else NoduleType.SOLID


def centres(frame: Frame, nodules: Sequence[PlantedNodule]) -> list[FloatArray]:
    """Where the nodules come to lie, LPS mm.

    Raises
    ------
    VolumeError
        There is no room for one, two overlap, or one lies outside the volume.
    """
    found: list[FloatArray] = []
    for nodule in nodules:
        gap = nodule.reach_mm + 2
        at = place(frame, nodule.at, gap) if isinstance(nodule.at, LungPosition) else np.asarray(nodule.at, dtype=float)
        for other, point in zip(nodules, found, strict=False):
            if np.linalg.norm(at - point) < nodule.reach_mm + other.reach_mm:
                raise VolumeError(f"nodules {found.index(point) + 1} and {len(found) + 1} overlap")
        index = lps_mm_to_krc(frame.affine, at)
        if np.any(index < 0) or np.any(index > np.array(frame.shape) - 1):
            raise VolumeError(f"nodule {len(found) + 1} lies outside the volume")
        found.append(at)
    return found


@dataclass(frozen=True, eq=False)
class Fine:
    """The parts of one nodule sampled inside the voxels of a box of the volume.

    Attributes
    ----------
    box : tuple of slice
        Along k, r, c.
    parts : list of (k * n, r * n, c * n) bool
        Outer part first; ``n`` of each axis is ``per_voxel``.
    """

    box: tuple[slice, slice, slice]
    per_voxel: tuple[int, int, int]
    parts: list[BoolArray]

    def share(self, part: int) -> np.ndarray:
        """Share of each voxel of the box that the part fills, float32."""
        fine = self.parts[part]
        nk, nr, nc = self.per_voxel
        blocks = fine.reshape(fine.shape[0] // nk, nk, fine.shape[1] // nr, nr, fine.shape[2] // nc, nc)
        return blocks.mean(axis=(1, 3, 5), dtype=np.float32)


def sample(frame: Frame, nodule: PlantedNodule, centre: FloatArray) -> Fine:
    """Sample a nodule around its centre (LPS mm); the box is cut at the volume's ends."""
    middle = lps_mm_to_krc(frame.affine, centre)
    reach = (nodule.reach_mm + 1) / np.array(frame.spacing_krc_mm)
    low = np.maximum(np.floor(middle - reach).astype(int), 0)
    high = np.minimum(np.ceil(middle + reach).astype(int) + 1, frame.shape)
    n = [int(np.ceil(step / FINE_MM)) for step in frame.spacing_krc_mm]
    z, y, x = (_offsets(frame, centre, axis, int(low[axis]), int(high[axis]), n[axis]) for axis in range(3))
    parts = [depth(x[None, None, :], y[None, :, None], z[:, None, None]) > 0 for depth, _ in nodule.parts()]
    k, r, c = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Fine((k, r, c), (n[0], n[1], n[2]), parts)


def _offsets(frame: Frame, centre: FloatArray, axis: int, low: int, high: int, n: int) -> FloatArray:
    """Offsets in mm from the centre of the sampling points along one voxel axis, n per voxel."""
    index = np.zeros((n * (high - low), 3))
    index[:, axis] = low + (np.arange(n * (high - low)) + 0.5) / n - 0.5
    offsets: FloatArray = (krc_to_lps_mm(frame.affine, index) - centre)[:, 2 - axis]
    return offsets


def draw(hu: np.ndarray, nodule: PlantedNodule, fine: Fine, inside: BoolArray) -> None:
    """Draw one nodule into ``hu`` (k, r, c) float32, in place, where ``inside`` (the lungs) is set.

    Ground glass leaves the vessels inside it visible; solid tissue replaces what was there.
    """
    window = hu[fine.box]
    for part, (_, value) in enumerate(nodule.parts()):
        change = fine.share(part) * inside[fine.box] * (np.float32(value) - window)
        window += np.maximum(change, 0) if value < -300 else change


def describe(number: int, nodule: PlantedNodule, fine: Fine, frame: Frame, inside: BoolArray) -> Planted:
    """Measure what was planted, the part beyond ``inside`` (the lungs) left out."""
    shares = [fine.share(part) * inside[fine.box] for part in range(len(fine.parts))]
    voxel_mm3 = float(np.prod(frame.spacing_krc_mm))
    index = np.indices(shares[0].shape).reshape(3, -1) @ shares[0].ravel() / shares[0].sum()
    x, y, z = krc_to_lps_mm(frame.affine, index + [axis.start for axis in fine.box])
    kind = type_of(nodule)
    solid = 0.0 if kind is NoduleType.GROUND_GLASS else float(shares[-1].sum(dtype=np.float64)) * voxel_mm3
    pixel_mm = np.array(frame.spacing_krc_mm[1:]) / fine.per_voxel[1:]
    return Planted(
        number=number,
        centre_lps_mm=(float(x), float(y), float(z)),
        volume_mm3=float(shares[0].sum(dtype=np.float64)) * voxel_mm3,
        diameter_mm=max(_longest(plane, pixel_mm) for plane in fine.parts[0]),
        nodule_type=kind,
        solid_volume_mm3=solid,
    )


def _longest(plane: BoolArray, pixel_mm: FloatArray) -> float:
    """Longest distance in mm between two edge points of a mask (r, c)."""
    rows = np.nonzero(plane.any(axis=1))[0]
    if not len(rows):
        return 0.0
    first = plane[rows].argmax(axis=1)
    last = plane.shape[1] - 1 - plane[rows, ::-1].argmax(axis=1)
    points = np.stack([np.tile(rows, 2), np.concatenate([first, last])], axis=1) * pixel_mm
    return float(pdist(points).max())


def _ball(radius_mm: float) -> Depth:
    return lambda x, y, z: radius_mm - np.sqrt(x * x + y * y + z * z)


def _interpolated(mask: BoolArray, centre_krc: Point, spacing_krc_mm: Point) -> Depth:
    """Depth below the surface of a mask, interpolated between its slices (shape-based interpolation, Raya 1990)."""
    padded = np.pad(mask, 2)
    inside = ndimage.distance_transform_edt(padded, sampling=spacing_krc_mm)
    signed = inside - ndimage.distance_transform_edt(~padded, sampling=spacing_krc_mm)
    # interpolation rounds corners off; the surface is moved out until the volume is the mask's again
    fine = ndimage.zoom(signed, 4, order=1, grid_mode=True, mode="nearest")
    signed -= np.sort(fine, axis=None)[-int(mask.sum()) * 4**3]

    def depth(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        axes = (
            offset / step + middle + 2
            for offset, step, middle in zip((z, y, x), spacing_krc_mm, centre_krc, strict=True)
        )
        at = np.broadcast_arrays(*axes)
        return np.asarray(ndimage.map_coordinates(signed, at, order=1, mode="nearest"), dtype=np.float64)

    return depth
