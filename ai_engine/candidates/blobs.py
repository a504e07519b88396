"""Blobs of any size by difference of Gaussians, on a cascade that gets coarser as the blobs get larger."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.domain import BoolArray
from ai_engine.grid import Float32Array

# A ball of diameter d answers strongest to a Gaussian second derivative of sigma = d / (2 sqrt 3).
DIAMETER_PER_SIGMA = 2 * np.sqrt(3)
RATIO = float(np.sqrt(2))


@dataclass(frozen=True)
class Blob:
    """A maximum over place and scale.

    Attributes
    ----------
    at : tuple of int
        Grid index.
    contrast : float
        Contrast of an ideal ball of this diameter that would answer as strongly, in the units of the image.
    """

    at: tuple[int, int, int]
    diameter_mm: float
    contrast: float


@dataclass(frozen=True, eq=False)
class Scale:
    """How strongly balls of one diameter answer.

    Attributes
    ----------
    shrink : int
        Every so many-th point of the image along each axis is held here.
    response : (k, r, c) float32
        Contrast of an ideal ball that would answer as strongly.
    """

    diameter_mm: float
    shrink: int
    response: Float32Array


def blobs(
    image: Float32Array, step_mm: float, smoothed_mm: float, diameters_mm: tuple[float, float], minimum: float
) -> list[Blob]:
    """Find the blobs of an image, strongest first.

    Parameters
    ----------
    image : (k, r, c) float32
        On an isotropic grid.
    step_mm, smoothed_mm : float
        Of the grid; sigma of the smoothing that the image has already.
    diameters_mm : tuple of float
        Smallest and largest.
    minimum : float
        Contrast.
    """
    scales = responses(image, step_mm, smoothed_mm, diameters_mm)
    found = [blob for index in range(1, len(scales) - 1) for blob in _maxima(scales[index - 1 : index + 2], minimum)]
    return sorted(found, key=lambda blob: -blob.contrast)


def responses(
    image: Float32Array, step_mm: float, smoothed_mm: float, diameters_mm: tuple[float, float]
) -> list[Scale]:
    """Responses over the range of diameters, with one scale more at either end to compare with."""
    first = diameters_mm[0] / DIAMETER_PER_SIGMA / RATIO**1.5
    count = int(np.ceil(np.log(diameters_mm[1] / diameters_mm[0]) / np.log(RATIO))) + 3
    have, shrink, found = smoothed_mm, 1, list[Scale]()
    for low, high in pairwise(first * RATIO**i for i in range(count + 1)):
        if low > 2.6 * shrink * step_mm:  # smooth enough to be looked at on every second point
            image, shrink = image[::2, ::2, ::2], shrink * 2
        image, have = _smoothed(image, have, max(low, have), shrink * step_mm), max(low, have)
        wider = _smoothed(image, have, high, shrink * step_mm)
        diameter = float(np.sqrt(low * high) * DIAMETER_PER_SIGMA)
        response = image - wider
        response /= _answer_of_ball(low, high)
        found.append(Scale(diameter, shrink, response))
        image, have = wider, high
    return found


def _smoothed(image: Float32Array, have_mm: float, want_mm: float, step_mm: float) -> Float32Array:
    if want_mm <= have_mm:
        return image
    return ndimage.gaussian_filter(image, np.sqrt(want_mm**2 - have_mm**2) / step_mm, mode="nearest", truncate=3)


def _answer_of_ball(low: float, high: float) -> float:
    """Answer at the centre of a ball of contrast 1 whose diameter fits the two sigmas."""
    radius = np.sqrt(low * high) * DIAMETER_PER_SIGMA / 2
    r = np.linspace(0, radius, 400)
    shells = [4 * np.pi * r**2 * np.exp(-(r**2) / (2 * s**2)) / (s * np.sqrt(2 * np.pi)) ** 3 for s in (low, high)]
    return float(np.trapezoid(shells[0] - shells[1], r))


def _maxima(scales: list[Scale], minimum: float) -> list[Blob]:
    """Maxima of the middle scale that neither neighbouring scale exceeds at the same place."""
    middle = scales[1]
    points = np.argwhere(middle.response > minimum)
    values = middle.response[tuple(points.T)]
    best = np.ones(len(points), dtype=bool)
    for other in (middle, scales[0], scales[2]):
        near = np.round(points[best] * (middle.shrink / other.shrink)).astype(int)
        best[best] = values[best] >= highest_near(other.response, near)
    return [
        Blob((int(k), int(r), int(c)), middle.diameter_mm, float(value))
        for (k, r, c), value in zip(points[best] * middle.shrink, values[best], strict=True)
    ]


def highest_near(response: Float32Array, points: NDArray[np.int_]) -> Float32Array:
    """Highest value among each point (n, 3) and its 26 neighbours."""
    last = np.subtract(response.shape, 1)
    highest = np.full(len(points), -np.inf, dtype=np.float32)
    for shift in np.ndindex(3, 3, 3):
        at = np.clip(points + np.array(shift) - 1, 0, last)
        np.maximum(highest, response[tuple(at.T)], out=highest)
    return highest


def filled_outside(hu: Float32Array, hull: BoolArray, lung_hu: float) -> Float32Array:
    """Replace all that lies outside of the lungs by lung, so that what sits on the wall stands free."""
    return np.where(hull, hu, np.float32(lung_hu))
