"""A nodule's shape as a distance to its surface, turned about the body axis, ready to be sampled at any spacing."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from ai_engine.composites.domain import NoduleShape
from ai_engine.domain import FloatArray
from ai_engine.grid import Float32Array

# The distance is known so far outside of the outline; beyond, it stays.
RIM_MM = 5.0
# A shape's volume is kept: it is measured on a grid of this many steps to the radius, or finer than this.
STEPS_PER_RADIUS, FINEST_MM = 16, 0.5
MOST_POINTS = 300


@dataclass(frozen=True, eq=False)
class Body:
    """One shape in one attitude.

    Attributes
    ----------
    depth_mm : (k, r, c) float32
        Depth below the surface, negative outside, on the outline's own grid.
    centre_krc : (3,) float64
        Index in it of the centre of gravity.
    spacing_krc_mm : (3,) float64
        Of that grid.
    turn : (3, 3) float64
        Orthogonal; offsets in the lung (mm along k, r, c) to offsets in the outline's grid.
    """

    depth_mm: Float32Array
    centre_krc: FloatArray
    spacing_krc_mm: FloatArray
    turn: FloatArray

    @cached_property
    def points_mm(self) -> FloatArray:
        """(n, 3) float64: offsets from the centre of some points all over the inside, in the lung's directions."""
        at = np.argwhere(self.depth_mm > 0)
        step = max(len(at) // MOST_POINTS, 1)
        return ((at[::step] - self.centre_krc) * self.spacing_krc_mm) @ self.turn

    @cached_property
    def half_krc_mm(self) -> FloatArray:
        """(3,) float64: largest distance of the surface from the centre along k, r and c."""
        at = np.argwhere(self.depth_mm > 0)
        offsets = ((at - self.centre_krc) * self.spacing_krc_mm) @ self.turn
        return np.asarray(np.abs(offsets).max(axis=0) + self.spacing_krc_mm / 2)

    @property
    def radius_mm(self) -> float:
        """Half of the mean extent in the plane."""
        return float(self.half_krc_mm[1:].mean())

    def sample(self, first_mm: FloatArray, step_mm: FloatArray, shape: tuple[int, int, int]) -> Float32Array:
        """Sample the depth on a grid, (k, r, c) float32 mm.

        Parameters
        ----------
        first_mm : (3,) float64
            Offset of the grid's first point from the nodule's centre.
        step_mm : (3,) float64
            Between grid points.
        shape : tuple of int
            Number of grid points.
        """
        matrix = (self.turn / self.spacing_krc_mm[:, None]) * step_mm[None, :]
        offset = self.centre_krc + (self.turn @ first_mm) / self.spacing_krc_mm
        return ndimage.affine_transform(self.depth_mm, matrix, offset, shape, np.float32, order=1, mode="nearest")


def body_of(shape: NoduleShape, rng: np.random.Generator) -> Body:
    """Turn a shape by a random angle about the body axis, mirrored or not."""
    spacing = np.array(shape.spacing_krc_mm)
    rim = np.ceil(RIM_MM / spacing).astype(int)
    padded = np.pad(shape.mask, [(int(n), int(n)) for n in rim])
    inner = ndimage.distance_transform_edt(padded, sampling=spacing)
    depth = (inner - ndimage.distance_transform_edt(~padded, sampling=spacing)).astype(np.float32)
    centre = np.argwhere(padded).mean(axis=0)
    upright = Body(depth, centre, spacing, np.eye(3))
    turned = _turn(rng)
    return Body(
        depth + np.float32(_lost_mm(upright, float(shape.mask.sum() * spacing.prod()))), centre, spacing, turned
    )


def _turn(rng: np.random.Generator) -> FloatArray:
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.diag(rng.choice((-1.0, 1.0), 3))
    cos, sin = np.cos(angle), np.sin(angle)
    turn[1:, 1:] = np.array([[cos, -sin], [sin, cos]]) @ turn[1:, 1:]
    return turn


def _lost_mm(body: Body, volume_mm3: float) -> float:
    """How far the surface has to move out: interpolation rounds corners off."""
    step = max(FINEST_MM, body.radius_mm / STEPS_PER_RADIUS)
    extent = 2 * body.half_krc_mm + 2 * step
    k, r, c = (int(n) for n in np.ceil(extent / step))
    depth = body.sample(-extent / 2, np.full(3, step), (k, r, c)).ravel()
    wanted = min(round(volume_mm3 / step**3), depth.size - 1)
    return -float(np.partition(depth, depth.size - wanted)[depth.size - wanted])
