"""Round places at every scale, also where a larger or brighter thing hides them from a search for blobs.

A vessel answers to a blob filter as a ridge: strong, but hardly curved along its axis. So the answer is weighted by the
least curvature over the mean curvature (of the answer itself), and maxima are those of the weighted answer: a nodule on
a vessel is one, the vessel beside it is not. After Li Q, Sone S, Doi K, Med Phys 2003;30:2040 (dot enhancement).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ai_engine.candidates.blobs import Scale, highest_near, responses
from ai_engine.domain import BoolArray, FloatArray
from ai_engine.grid import Float32Array

# Two places nearer than this share of the smaller one's diameter are one, and any two that are nearer than so many mm.
APART, LEAST_APART_MM = 0.5, 2.0


@dataclass(frozen=True)
class Peak:
    """A round place.

    Attributes
    ----------
    at : tuple of int
        Grid index.
    score : float
        Contrast of an ideal ball that answers as strongly, times the root of its roundness (0 to 1).
    """

    at: tuple[int, int, int]
    diameter_mm: float
    score: float


def peaks(
    image: Float32Array,
    within: BoolArray,
    grid_mm: tuple[float, float],
    diameters_mm: tuple[float, float],
    minimum: float,
) -> list[Peak]:
    """Find the round places of an image, best first; several scales may name the same place.

    Parameters
    ----------
    image : (k, r, c) float32
        On an isotropic grid.
    within : (k, r, c) bool
        Where centres may lie.
    grid_mm : tuple of float
        Step of the grid; sigma of the smoothing that the image has already.
    diameters_mm : tuple of float
        Smallest and largest.
    minimum : float
        Contrast, before it is weighted.
    """
    scales = responses(image, *grid_mm, diameters_mm)[1:-1]
    found = [peak for scale in scales for peak in _of_scale(scale, within, minimum)]
    return sorted(found, key=lambda peak: -peak.score)


def apart(found: list[Peak], step_mm: float, most: int) -> list[Peak]:
    """Keep the best of those that name the same place, and at most so many."""
    kept: list[Peak] = []
    places, sizes = np.empty((most, 3)), np.empty(most)
    for peak in found:
        n = len(kept)
        if n == most:
            break
        distances = np.linalg.norm((places[:n] - peak.at) * step_mm, axis=1)
        room = np.maximum(APART * np.minimum(sizes[:n], peak.diameter_mm), LEAST_APART_MM)
        if not (distances < room).any():
            places[n], sizes[n] = peak.at, peak.diameter_mm
            kept.append(peak)
    return kept


def _of_scale(scale: Scale, within: BoolArray, minimum: float) -> list[Peak]:
    step, response = scale.shrink, scale.response
    inside = within[::step, ::step, ::step]
    k, r, c = (min(a, b) for a, b in zip(inside.shape, response.shape, strict=True))
    points = np.argwhere(inside[:k, :r, :c] & (response[:k, :r, :c] > minimum))
    scores = np.zeros(response.shape, dtype=np.float32)
    values = response[tuple(points.T)] * np.sqrt(roundness(response, points))
    scores[tuple(points.T)] = values
    best = values > 0
    best[best] = values[best] >= highest_near(scores, points[best])
    return [
        Peak((int(k), int(r), int(c)), scale.diameter_mm, float(value))
        for (k, r, c), value in zip(points[best] * step, values[best], strict=True)
    ]


def roundness(response: Float32Array, points: NDArray[np.int_]) -> Float32Array:
    """Least curvature over the mean curvature at points (n, 3): 1 in a ball, 0 on a line or a saddle."""
    curvatures = -np.linalg.eigvalsh(_hessian(response, points))
    mean = np.maximum(curvatures.mean(axis=1), 1e-6)
    return np.clip(curvatures[:, -1] / mean, 0, 1).astype(np.float32)


def _hessian(response: Float32Array, points: NDArray[np.int_]) -> FloatArray:
    """Second differences, (n, 3, 3); beyond the array its border goes on."""
    last = np.subtract(response.shape, 1)
    unit = np.eye(3, dtype=int)

    def at(shift: NDArray[np.int_]) -> FloatArray:
        return response[tuple(np.clip(points + shift, 0, last).T)].astype(np.float64)

    here = at(np.zeros(3, dtype=int))
    hessian = np.empty((len(points), 3, 3))
    for i in range(3):
        hessian[:, i, i] = at(unit[i]) + at(-unit[i]) - 2 * here
    for i, j in combinations(range(3), 2):
        along, across = unit[i] + unit[j], unit[i] - unit[j]
        hessian[:, i, j] = hessian[:, j, i] = (at(along) + at(-along) - at(across) - at(-across)) / 4
    return hessian
