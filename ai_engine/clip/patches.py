"""What the encoder looks at: isotropic cubes around a place, HU as three windows. Shared by training and inference.

Needs numpy and scipy alone. Arrays are of a turned volume (``geometry.Turn``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ai_engine.domain import CtVolume, FloatArray, HuArray
from ai_engine.grid import Float32Array, Grid

# Aerated lung and ground glass; soft tissue; calcium and bone: each becomes one channel from -1 to 1.
WINDOWS_HU = ((-1000.0, -350.0), (-400.0, 200.0), (0.0, 800.0))
# What a byte holds of HU: fine steps where noise is low, coarse ones for calcium.
_KNEE_HU, _LOWEST_HU, _FINE_HU, _COARSE_HU = 200.0, -1024.0, 6.0, 17.0
_KNEE = (_KNEE_HU - _LOWEST_HU) / _FINE_HU


@dataclass(frozen=True)
class Scale:
    """A cube of ``side_mm`` with ``points`` grid points along each axis."""

    side_mm: float
    points: int

    @property
    def step_mm(self) -> float:
        """Distance of grid points."""
        return self.side_mm / self.points


# The nodule and its surface; where it hangs: vessels, wall, mediastinum.
FINE, COARSE = Scale(30.0, 28), Scale(80.0, 24)
# As fine as scanners are, for what the others blur: a rim of 2 mm. Looked at only where a prompt selects.
CLOSE = Scale(16.0, 24)


@dataclass(frozen=True, eq=False)
class Views:
    """A volume at both scales.

    Attributes
    ----------
    volume : CtVolume
        As it came.
    reduced : CtVolume
        Averaged over blocks of voxels, for the coarse scale: averaging once costs less than for each place.
    block_krc : (3,) int
        Those blocks.
    """

    volume: CtVolume
    reduced: CtVolume
    block_krc: NDArray[np.int_]

    def close(self, centre_krc: ArrayLike, margin: int = 0, stretch_krc: ArrayLike = 1.0) -> Float32Array:
        """Sample the close cube around a place; parameters as of ``cubes``."""
        return _cube(self.volume, np.asarray(centre_krc, dtype=np.float64), CLOSE, margin, stretch_krc)

    def cubes(
        self, centre_krc: ArrayLike, margin: int = 0, stretch_krc: ArrayLike = 1.0
    ) -> tuple[Float32Array, Float32Array]:
        """Sample the fine and the coarse cube around a place.

        Parameters
        ----------
        centre_krc : (3,) float
            Voxel index of the middle, in ``volume``.
        margin : int
            So many grid points more on each side.
        stretch_krc : float or (3,) float
            How many times larger than it is the volume is taken to be along each axis.

        Returns
        -------
        fine, coarse : (k, r, c) float32
            HU; beyond the volume its border goes on.
        """
        centre = np.asarray(centre_krc, dtype=np.float64)
        on_reduced = (centre - (self.block_krc - 1) / 2) / self.block_krc
        return (
            _cube(self.volume, centre, FINE, margin, stretch_krc),
            _cube(self.reduced, on_reduced, COARSE, margin, stretch_krc),
        )


def views_of(volume: CtVolume) -> Views:
    """Prepare a volume to be looked at in many places."""
    block = np.maximum(np.floor(COARSE.step_mm / np.array(volume.spacing_krc_mm)).astype(int), 1)
    block = np.minimum(block, volume.hu.shape)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ ((block - 1) / 2)
    affine[:3, :3] *= block
    return Views(volume, CtVolume(_averaged(volume.hu, block), affine, volume.contrast), block)


def _averaged(hu: HuArray, block_krc: NDArray[np.int_]) -> HuArray:
    """Mean over blocks, int16; the last, incomplete ones are dropped."""
    n = hu.shape // block_krc
    whole = hu[tuple(slice(int(size)) for size in n * block_krc)]
    total = np.zeros(tuple(int(size) for size in n), dtype=np.int32)
    for k, r, c in np.ndindex(*(int(size) for size in block_krc)):
        total += whole[k :: block_krc[0], r :: block_krc[1], c :: block_krc[2]]
    return np.rint(total / block_krc.prod()).astype(np.int16)


def _cube(volume: CtVolume, centre_krc: FloatArray, scale: Scale, margin: int, stretch_krc: ArrayLike) -> Float32Array:
    k, r, c = (float(v) for v in np.array(volume.spacing_krc_mm) * stretch_krc)
    n = scale.points + 2 * margin
    first_k, first_r, first_c = (float(v) for v in centre_krc - (n - 1) / 2 * scale.step_mm / np.array([k, r, c]))
    return Grid(scale.step_mm, (first_k, first_r, first_c), (k, r, c), (n, n, n)).sample(volume.hu)


def windowed(hu: Float32Array) -> Float32Array:
    """Turn cubes (n, k, r, c) in HU into channels (n, 3, k, r, c) from -1 to 1; those of a point lie side by side."""
    channels = np.empty((*hu.shape, len(WINDOWS_HU)), dtype=np.float32)
    for i, (low, high) in enumerate(WINDOWS_HU):
        np.clip((hu - low) * (2 / (high - low)) - 1, -1, 1, out=channels[..., i])
    return np.moveaxis(channels, -1, 1)


def packed(hu: Float32Array) -> NDArray[np.uint8]:
    """Round HU to bytes: steps of 6 HU up to 200 HU, of 17 HU above."""
    below = (np.minimum(hu, _KNEE_HU) - _LOWEST_HU) / _FINE_HU
    above = np.maximum(hu - _KNEE_HU, 0) / _COARSE_HU
    return np.clip(np.rint(below + above), 0, 255).astype(np.uint8)


def unpacked(packed_hu: NDArray[np.uint8]) -> Float32Array:
    """Turn bytes back into HU, float32."""
    value = packed_hu.astype(np.float32)
    fine = _LOWEST_HU + np.float32(_FINE_HU) * np.minimum(value, np.float32(_KNEE))
    return np.asarray(fine + np.float32(_COARSE_HU) * np.maximum(value - np.float32(_KNEE), 0), dtype=np.float32)
