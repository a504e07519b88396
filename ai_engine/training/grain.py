"""What scanners and kernels do to HU, by chance: scale, offset, noise, blur, sharpening."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float32Array = NDArray[np.float32]


def regrained(hu: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Change the look of slices (t, r, c) in HU without moving anything."""
    changed = hu
    if rng.random() < 0.5:
        scale, offset = rng.uniform(0.94, 1.06), rng.uniform(-40, 40)
        changed = (changed + 1000) * np.float32(scale) + np.float32(offset - 1000)
    kernel = rng.random()
    if kernel < 0.25:
        changed = _blurred(changed, rng.uniform(0.4, 1.0))
    elif kernel < 0.5:
        changed = changed + np.float32(rng.uniform(0.2, 1.2)) * (changed - _blurred(changed, 0.8))
    if rng.random() < 0.45:
        changed = changed + _noise(changed.shape, rng)
    return changed


def _blurred(hu: Float32Array, sigma: float) -> Float32Array:
    """Blur in the plane; sigma in voxels."""
    return ndimage.gaussian_filter(hu, (0, sigma, sigma), truncate=3.0)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> Float32Array:
    """White or, as after a soft kernel, smooth noise of up to 45 HU."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if rng.random() < 0.5:
        sigma = rng.uniform(0.5, 1.0)
        noise = _blurred(noise, sigma) * np.float32(2 * np.sqrt(np.pi) * sigma)
    return noise * np.float32(rng.uniform(5, 45))
