"""What chance does to a place before the encoder sees it: shifts, mirrors, and all that scanners do to HU."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.clip.patches import CLOSE, FINE, unpacked
from ai_engine.grid import Float32Array
from ai_engine.training.encoder.places import MARGIN, Place

# Grid points. Places are cut off their middle already, about as far as the search misses that of planted nodules in
# validation lungs (1 to 2 mm); a shift by twice as much cost the encoder sensitivity where nodules are small.
_SHIFT = 1

# Fine, coarse, close.
Cubes = tuple[Float32Array, Float32Array, Float32Array]

# Scanners are calibrated: were HU moved further, calcium could not be told from contrast medium.
_SCALE, _OFFSET_HU = (0.97, 1.03), (-25.0, 25.0)
_P_BLUR, _P_SHARPEN, _P_NOISE = 0.3, 0.25, 0.5
_NOISE_HU = (5.0, 60.0)
# Averaging over a coarse grid point leaves so much of the noise.
_COARSE_NOISE = 0.25
# Grid points of the close cube for one of the fine one.
_CLOSER = FINE.step_mm / CLOSE.step_mm


def plain(place: Place) -> Cubes:
    """Return the cubes of a place as they are, HU, without their margin."""
    inner = slice(MARGIN, -MARGIN)
    fine, coarse, close = (unpacked(cube[inner, inner, inner]) for cube in (place.fine, place.coarse, place.close))
    return fine, coarse, close


def varied(place: Place, rng: np.random.Generator, *, is_regrained: bool = True) -> Cubes:
    """Return the cubes of a place as they might have been.

    Parameters
    ----------
    is_regrained : bool
        Whether some are blurred or sharpened: that may hide a rim of 2 mm, of which sentences are still true.
    """
    flips = [int(rng.choice((-1, 1))) for _ in range(3)]
    axes = (0, 2, 1) if rng.random() < 0.5 else (0, 1, 2)
    fine, coarse, close = (_moved(cube, flips, axes, rng) for cube in (place.fine, place.coarse, place.close))
    scale, offset = np.float32(rng.uniform(*_SCALE)), np.float32(rng.uniform(*_OFFSET_HU))
    if rng.random() < 0.6:
        fine, coarse, close = ((cube + 1000) * scale + (offset - 1000) for cube in (fine, coarse, close))
    grain = _grain(rng) if is_regrained else _Grain()
    fine, close = _regrained(fine, grain, 1.0), _regrained(close, grain, _CLOSER)
    if rng.random() < _P_NOISE:
        sd = np.float32(rng.uniform(*_NOISE_HU))
        fine = fine + sd * _noise(fine.shape, rng)
        coarse = coarse + np.float32(_COARSE_NOISE) * sd * rng.standard_normal(coarse.shape, dtype=np.float32)
        close = close + sd * _noise(close.shape, rng)
    return fine, coarse, close


def _moved(packed: np.ndarray, flips: list[int], axes: tuple[int, int, int], rng: np.random.Generator) -> Float32Array:
    low = rng.integers(MARGIN - _SHIFT, MARGIN + _SHIFT + 1, 3)
    n = packed.shape[0] - 2 * MARGIN
    k, r, c = (slice(int(first), int(first) + n) for first in low)
    return unpacked(packed[k, r, c][:: flips[0], :: flips[1], :: flips[2]].transpose(axes))


@dataclass(frozen=True)
class _Grain:
    """A blur along k and in the plane, in points of the fine cube; or how much is sharpened."""

    blur: tuple[float, float] | None = None
    sharpen: float = 0.0


def _grain(rng: np.random.Generator) -> _Grain:
    """Draw what a smooth kernel or thick slices do, or a sharp kernel, or nothing."""
    kind = rng.random()
    if kind < _P_BLUR:
        return _Grain(blur=(rng.uniform(0.2, 1.3), rng.uniform(0.3, 0.9)))
    return _Grain(sharpen=rng.uniform(0.2, 1.0)) if kind < _P_BLUR + _P_SHARPEN else _Grain()


def _regrained(hu: Float32Array, grain: _Grain, points: float) -> Float32Array:
    """Blur or sharpen a cube that has so many points for one of the fine cube."""
    if grain.blur is not None:
        along_k, in_plane = np.multiply(grain.blur, points)
        return ndimage.gaussian_filter(hu, (along_k, in_plane, in_plane), truncate=2.5)
    if not grain.sharpen:
        return hu
    soft = ndimage.gaussian_filter(hu, (0, 0.8 * points, 0.8 * points), truncate=2.5)
    return np.asarray(hu + np.float32(grain.sharpen) * (hu - soft), dtype=np.float32)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> Float32Array:
    """Draw white noise, or noise smooth in the plane; of unit variance."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if rng.random() < 0.5:
        return noise
    sigma = rng.uniform(0.5, 1.0)
    smooth = ndimage.gaussian_filter(noise, (0, sigma, sigma), truncate=2.5)
    return np.asarray(smooth / max(float(smooth.std()), 1e-6), dtype=np.float32)
