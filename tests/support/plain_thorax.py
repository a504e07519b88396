"""A thorax of ellipses, drawn in a few lines, so that tests of the engine do not lean on the engine's own phantom."""

from collections.abc import Sequence

import numpy as np

from ai_engine.domain import CtVolume, FloatArray

AIR, TISSUE, LUNG, NODULE = -1000, 40, -850, 40
LUNG_SEMI_AXES_MM = (80.0, 52.0)  # along r and c
LUNG_MIDDLE_MM = 70.0  # to either side of the midline

Ball = tuple[float, float, float, float]  # x, y, z of the centre and the diameter, LPS mm


def plain_thorax(
    balls: Sequence[Ball] = (), shape: tuple[int, int, int] = (40, 240, 240), step_mm: tuple[float, float] = (2.5, 1.4)
) -> CtVolume:
    """Draw body, two lungs that run through all slices, and balls of soft tissue.

    The volume's middle slice lies at z = 0, its in-plane middle at x = y = 0; k runs to the head.
    """
    dz, pixel = step_mm
    z, y, x = axes_mm(shape, step_mm)
    hu = np.full(shape, AIR, dtype=np.int16)
    hu[np.broadcast_to((x / 155) ** 2 + (y / 110) ** 2 < 1, shape)] = TISSUE
    for side in (-1, 1):
        a, b = LUNG_SEMI_AXES_MM
        hu[np.broadcast_to((y / a) ** 2 + ((x - side * LUNG_MIDDLE_MM) / b) ** 2 < 1, shape)] = LUNG
    for bx, by, bz, diameter in balls:
        hu[(x - bx) ** 2 + (y - by) ** 2 + (z - bz) ** 2 < (diameter / 2) ** 2] = NODULE
    affine = np.array(
        [[0, 0, pixel, x.min()], [0, pixel, 0, y.min()], [dz, 0, 0, z.min()], [0, 0, 0, 1]], dtype=np.float64
    )
    return CtVolume(hu, affine)


def axes_mm(shape: tuple[int, int, int], step_mm: tuple[float, float]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give z, y, x in LPS mm of the voxel centres, ready to be broadcast to (k, r, c)."""
    steps = (step_mm[0], step_mm[1], step_mm[1])
    z, y, x = ((np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, steps, strict=True))
    return z[:, None, None], y[None, :, None], x[None, None, :]


def turned(volume: CtVolume, flips: tuple[bool, bool, bool], swap_rows_and_columns: bool = False) -> CtVolume:
    """Write the same patient another way: axes reversed, rows and columns exchanged; the affine tells."""
    hu, affine = volume.hu, volume.affine.copy()
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (hu.shape[axis] - 1)
            affine[:3, axis] *= -1
            hu = np.flip(hu, axis)
    if swap_rows_and_columns:
        hu, affine = hu.transpose(0, 2, 1), affine[:, [0, 2, 1, 3]]
    return CtVolume(np.ascontiguousarray(hu), affine, volume.contrast)
