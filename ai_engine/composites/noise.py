"""The noise of a series, taken from its own soft tissue: what planted tissue has to be covered with."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ai_engine.domain import CtVolume
from ai_engine.grid import Float32Array
from ai_engine.lungs import Lungs

# A block of soft tissue: its height in mm and in slices, and its side in pixels with the rim that smoothing spoils.
HEIGHT_MM, SLICES = 15.0, (2, 8)
SIDE, RIM = 20, 6
# Whatever is smoother than this many pixels is taken for anatomy, the rest for noise.
ANATOMY_PIXELS = 4.0
TISSUE_HU = (-40.0, 150.0)
MOST_BLOCKS, MOST_TRIES = 200, 20000
# The noise's correlation is kept so far, in pixels and in slices.
REACH = 7


@dataclass(frozen=True, eq=False)
class SoftTissue:
    """Noise read off blocks of soft tissue.

    Attributes
    ----------
    blocks : (n, k, r, c) float32
        HU as scanned; soft tissue all through.
    residuals : (n, k, r, c) float32
        The same without what is smoother than a few pixels.
    """

    blocks: Float32Array
    residuals: Float32Array

    @cached_property
    def sd_hu(self) -> NDArray[np.float64]:
        """(n,) float64: standard deviation of each residual, ascending with the index."""
        return self.residuals.std(axis=(1, 2, 3)).astype(np.float64)

    @cached_property
    def kernel(self) -> Float32Array:
        """(k, r, c) float32 of unit energy: white noise convolved with it has the mean spectrum of the residuals."""
        unit = self.residuals / np.maximum(self.sd_hu, 1e-3)[:, None, None, None]
        # windowed in the plane: the jump from one border to the other would pass for fine noise
        window = np.hanning(unit.shape[-1] + 2)[1:-1].astype(np.float32)
        power = (np.abs(np.fft.fftn(unit * window * window[:, None], axes=(1, 2, 3))) ** 2).mean(axis=0)
        kernel = np.fft.fftshift(np.fft.ifftn(np.sqrt(power)).real)
        middle = [slice(max(n // 2 - REACH, 0), n // 2 + REACH + 1) for n in kernel.shape]
        cut = kernel[tuple(middle)]
        return (cut / np.sqrt((cut**2).sum())).astype(np.float32)

    @cached_property
    def _fine_hu(self) -> NDArray[np.float64]:
        """(n,) float64: root sum of squares of each residual's second differences, per voxel."""
        return np.array([_finest(residual) / np.sqrt(residual[..., 2:].size) for residual in self.residuals])

    def synthesised(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float32Array:
        """Draw Gaussian noise of the series' mean spectrum and of one block's strength, (k, r, c) float32 HU.

        Strength is that of the finest part: what is left of anatomy in a block does not make its noise stronger.
        """
        # a convolution over a ring: what wraps around is cut off
        wide = [fft.next_fast_len(n + m, real=True) for n, m in zip(shape, self.kernel.shape, strict=True)]
        white = rng.standard_normal(wide, dtype=np.float32)
        field = fft.irfftn(fft.rfftn(white) * fft.rfftn(self.kernel, wide), wide)[tuple(map(slice, shape))]
        return (field * np.float32(rng.choice(self._fine_hu) / _finest(self.kernel))).astype(np.float32)

    def quilted(self, shape: tuple[int, ...], rng: np.random.Generator, alike: int) -> Float32Array:
        """Sew residuals of about equal strength together, their variance kept across the seams, (k, r, c) float32 HU.

        Parameters
        ----------
        shape : tuple of int
            What is to be covered.
        rng : numpy.random.Generator
        alike : int
            From how many blocks of about the same strength the pieces are taken.
        """
        size = self.residuals.shape[1:]
        first = int(rng.integers(max(len(self.residuals) - alike, 0) + 1))
        half = [max(n // 2, 1) for n in size]
        weight = _window(size)
        padded = [n + 2 * m for n, m in zip(shape, size, strict=True)]
        total, energy = np.zeros(padded, dtype=np.float32), np.full(padded, 1e-6, dtype=np.float32)
        corner = [int(rng.integers(h)) for h in half]
        starts = np.meshgrid(
            *(np.arange(c, p - s + 1, h) for c, p, s, h in zip(corner, padded, size, half, strict=True))
        )
        for k, r, c in zip(*(axis.ravel() for axis in starts), strict=True):
            box = (slice(k, k + size[0]), slice(r, r + size[1]), slice(c, c + size[2]))
            patch = self.residuals[min(first + int(rng.integers(alike)), len(self.residuals) - 1)]
            total[box] += weight * _flipped(patch, rng)
            energy[box] += weight**2
        sewn = total / np.sqrt(energy)
        return np.ascontiguousarray(sewn[tuple(slice(m, m + n) for n, m in zip(shape, size, strict=True))])


def soft_tissue(volume: CtVolume, lungs: Lungs, seed: int = 0) -> SoftTissue:
    """Collect blocks of soft tissue outside the lungs of a turned volume.

    Where a series shows hardly any, the criterion is widened until some are found.
    """
    rng = np.random.default_rng(seed)
    k, r, c = volume.hu.shape
    height = int(np.clip(round(HEIGHT_MM / volume.spacing_krc_mm[0]), *SLICES))
    side = SIDE + 2 * RIM
    corners = rng.integers(0, [k - height + 1, r - side + 1, c - side + 1], (MOST_TRIES, 3))
    for widen_hu in (0.0, 40.0, 80.0, 160.0):
        found: list[Float32Array] = []
        for at in corners:
            block = volume.hu[tuple(slice(a, a + n) for a, n in zip(at, (height, side, side), strict=True))]
            if _is_soft(block, widen_hu):
                found.append(block.astype(np.float32))
            if len(found) == MOST_BLOCKS:
                break
        if len(found) >= MOST_BLOCKS // 10:
            break
    return _collected(np.stack(found))


def _is_soft(block: NDArray[np.int16], widen_hu: float) -> bool:
    """Whether soft tissue fills a block, judged after smoothing so that noise does not tell against it."""
    low, high = TISSUE_HU[0] - widen_hu, TISSUE_HU[1] + widen_hu
    middle = block[:, RIM:-RIM, RIM:-RIM]
    if not low < float(middle[::2, ::4, ::4].mean()) < high:
        return False
    smooth = ndimage.uniform_filter(middle.astype(np.float32), (1, 7, 7))
    return bool(smooth.min() > low and smooth.max() < high)


def _collected(blocks: Float32Array) -> SoftTissue:
    residuals = blocks - ndimage.gaussian_filter(blocks, (0, 0, ANATOMY_PIXELS, ANATOMY_PIXELS), truncate=2)
    middle = (slice(None), slice(None), slice(RIM, -RIM), slice(RIM, -RIM))
    order = np.argsort(residuals[middle].std(axis=(1, 2, 3)))
    return SoftTissue(blocks[middle][order], np.ascontiguousarray(residuals[middle][order]))


def _finest(array: Float32Array) -> float:
    """Root sum of squares of second differences along a row."""
    return float(np.sqrt((np.diff(array, 2, axis=-1) ** 2).sum()))


def _window(size: tuple[int, ...]) -> Float32Array:
    """Weight of a patch, high in its middle and never zero, (k, r, c) float32."""
    k, r, c = (np.sin(np.pi * (np.arange(n) + 0.5) / n).astype(np.float32) + np.float32(1e-3) for n in size)
    return k[:, None, None] * r[None, :, None] * c[None, None, :]


def _flipped(patch: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Turn a patch over in the plane; noise looks the same from behind."""
    return patch[:, :: int(rng.choice((-1, 1))), :: int(rng.choice((-1, 1)))]
