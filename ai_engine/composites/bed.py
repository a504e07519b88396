"""The box of lung around one nodule that is about to be painted."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.composites.background import Background
from ai_engine.composites.body import Body
from ai_engine.composites.noise import SoftTissue
from ai_engine.domain import BoolArray, FloatArray
from ai_engine.grid import Float32Array

Box = tuple[slice, slice, slice]
# Room around the nodule for blur and strands.
MARGIN_MM = 9.0
# Half way between lung and tissue: what is denser and hangs on the outside within this distance is wall.
WALL_HU, WALL_MM = -400.0, 3.0
# The hull's grid is coarse: air so near outside of it is lung too.
HULL_SHARE, AIR_SHARE = 0.5, 0.1
# A nodule on the pleura covers the blurred edge of the wall.
SEAM_MM = 1.5
AERATED_HU, USUAL_PARENCHYMA_HU = -600.0, -850.0


@dataclass(frozen=True, eq=False)
class Bed:
    """Where a body lies.

    Attributes
    ----------
    hu : (k, r, c) float32
        What is there now.
    box : tuple of slice
        Where that lies in the volume.
    centre_mm : (3,) float64
        Of the body, along k, r, c from voxel (0, 0, 0) of the volume.
    spacing_krc_mm : (3,) float64
        Of the volume.
    hull : (k, r, c) float32
        Share of hull around each voxel, 0 to 1.
    contrast : bool
        Whether contrast medium was given, as far as known.
    """

    hu: Float32Array
    box: Box
    body: Body
    centre_mm: FloatArray
    spacing_krc_mm: FloatArray
    hull: Float32Array
    tissue: SoftTissue
    contrast: bool

    @cached_property
    def wall(self) -> BoolArray:
        """(k, r, c) bool: tissue outside of the lung, and the rim of it that the coarse hull took in."""
        dense = ndimage.gaussian_filter(self.hu, (0, 0.7, 0.7), truncate=2) > WALL_HU
        outer = dense & (self.hull < HULL_SHARE)
        if not outer.any():
            return outer
        reach = round(WALL_MM / float(self.spacing_krc_mm[1]))
        return np.asarray(ndimage.binary_dilation(outer, _in_plane(), reach, mask=dense), dtype=bool)

    @cached_property
    def inside(self) -> BoolArray:
        """(k, r, c) bool: lung, in which a nodule can be."""
        return (self.hull > AIR_SHARE) & ~self.wall

    @cached_property
    def seam(self) -> BoolArray:
        """(k, r, c) bool: blurred edge of the wall."""
        reach = max(round(SEAM_MM / float(self.spacing_krc_mm[1])), 1)
        return np.asarray(ndimage.binary_dilation(self.inside, _in_plane(), reach) & self.wall, dtype=bool)

    @cached_property
    def parenchyma_hu(self) -> float:
        """Median of the aerated lung here."""
        aerated = self.hu[self.inside & (self.hu < AERATED_HU)]
        return float(np.median(aerated)) if aerated.size else USUAL_PARENCHYMA_HU

    @cached_property
    def parenchyma_sd_hu(self) -> float:
        """Spread of the aerated lung here, by its quartiles so that vessels do not count."""
        aerated = self.hu[self.inside & (self.hu < AERATED_HU)]
        return float(np.subtract(*np.percentile(aerated, (75, 25))) / 1.35) if aerated.size else 0.0

    @cached_property
    def label(self) -> BoolArray:
        """(k, r, c) bool: voxels whose centre lies in the body and in the lung."""
        return (self.depth_mm(1) > 0) & self.inside

    def with_hu(self, hu: Float32Array) -> "Bed":
        """Return the same bed after something was painted; what is lung and what is wall stays."""
        other = replace(self, hu=hu)
        for name in ("wall", "inside", "seam", "parenchyma_hu", "label"):
            other.__dict__[name] = getattr(self, name)
        return other

    def depth_mm(self, per_slice: int, thickness: float = 1.0) -> Float32Array:
        """Sample the depth below the body's surface several times over the thickness of each slice.

        Returns
        -------
        (k * per_slice, r, c) float32
            Sub-slices of one slice are evenly spread over ``thickness`` times the slice spacing.
        """
        k, r, c = self.hu.shape
        first = np.array([axis.start for axis in self.box]) * self.spacing_krc_mm - self.centre_mm
        if thickness == 1.0:
            step = self.spacing_krc_mm / (per_slice, 1, 1)
            first[0] += step[0] / 2 - self.spacing_krc_mm[0] / 2
            return self.body.sample(first, step, (k * per_slice, r, c))
        along_k = np.array([thickness * self.spacing_krc_mm[0], 0, 0])
        shifts = (np.arange(per_slice) + 0.5) / per_slice - 0.5
        parts = [self.body.sample(first + along_k * s, self.spacing_krc_mm, (k, r, c)) for s in shifts]
        return np.stack(parts, axis=1).reshape(k * per_slice, r, c)

    def over_slices(self, fine: Float32Array, weights: FloatArray) -> Float32Array:
        """Average sub-slices of ``depth_mm``, with a weight for each, (k, r, c) float32."""
        k, r, c = self.hu.shape
        share = (weights / weights.sum()).astype(np.float32)
        return np.einsum("knrc,n->krc", fine.reshape(k, len(weights), r, c), share)

    def offsets_mm(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Offsets of the voxel centres from the body's centre along k, r, c, open for broadcasting."""
        axes = [
            np.arange(axis.start, axis.stop) * step - at
            for axis, step, at in zip(self.box, self.spacing_krc_mm, self.centre_mm, strict=True)
        ]
        return axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]


def bed_of(
    background: Background, body: Body, centre_mm: FloatArray, hu: NDArray[np.floating], origin: NDArray[np.int_]
) -> Bed:
    """Cut the box around a body out of a crop.

    Parameters
    ----------
    background : Background
    body : Body
    centre_mm : (3,) float64
        Where its centre comes to lie, mm along k, r, c from voxel (0, 0, 0) of the volume.
    hu : (k, r, c) float32
        The crop as it is now.
    origin : (3,) int
        Index in the volume of the crop's first voxel.
    """
    spacing = np.array(background.volume.spacing_krc_mm)
    reach = body.half_krc_mm + MARGIN_MM
    low = np.maximum(np.floor((centre_mm - reach) / spacing).astype(int), origin)
    high = np.minimum(np.ceil((centre_mm + reach) / spacing).astype(int) + 1, origin + hu.shape)
    k, r, c = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    local = tuple(slice(int(a - o), int(b - o)) for a, b, o in zip(low, high, origin, strict=True))
    hull = _hull(background, low, high)
    tissue, contrast = background.tissue, bool(background.volume.contrast)
    return Bed(hu[local].astype(np.float32), (k, r, c), body, centre_mm, spacing, hull, tissue, contrast)


def _hull(background: Background, low: NDArray[np.int_], high: NDArray[np.int_]) -> Float32Array:
    """Share of hull around the voxels of a box of the volume."""
    grid = background.lungs.grid
    first, last = np.floor(grid.from_volume(low)).astype(int) - 1, np.ceil(grid.from_volume(high)).astype(int) + 2
    first, last = np.clip(first, 0, grid.shape), np.clip(last, first + 1, grid.shape)
    part = background.lungs.sides[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] > 0
    offset = grid.from_volume(low) - first
    shape = tuple(int(n) for n in high - low)
    return ndimage.affine_transform(
        part.astype(np.float32), 1 / grid.stride_krc, offset, shape, np.float32, order=1, mode="nearest"
    )


def _in_plane() -> BoolArray:
    return ndimage.generate_binary_structure(3, 1) & np.array([False, True, False])[:, None, None]
