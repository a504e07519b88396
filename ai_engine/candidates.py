"""Suspicious places: blobs in the lungs, found by difference of Gaussians over a range of sizes."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from ai_engine.domain import Candidate, Channel
from ai_engine.grid import Float32Array
from ai_engine.scene import Scene

# a ball of diameter d answers strongest to a Gaussian second derivative of sigma = d / (2 sqrt 3)
DIAMETER_PER_SIGMA = 2 * np.sqrt(3)


@dataclass(frozen=True)
class BlobDetector:
    """Proposes solid nodules and masses.

    Attributes
    ----------
    minimum_mm, maximum_mm : float
        Range of diameters searched.
    minimum_contrast_hu : float
        Contrast to the lung of an ideal ball that would answer as strongly.
    """

    minimum_mm: float = 4.0
    maximum_mm: float = 60.0
    minimum_contrast_hu: float = 250.0

    def detect(self, scene: Scene) -> list[Candidate]:
        """Find the blobs of a scene, strongest first."""
        found = []
        image = np.where(scene.hull, scene.hu, np.float32(scene.parenchyma_hu))
        sigmas = self._sigmas()
        responses, shrink = [], 1
        smooth, at = image, 0.0
        for low, high in pairwise(sigmas):
            if low / shrink > 4.0:  # coarse scales on a coarser grid
                smooth, shrink = smooth[::2, ::2, ::2], shrink * 2
            lower = _smoothed(smooth, at / shrink, low / shrink)
            upper = _smoothed(lower, low / shrink, high / shrink)
            responses.append((low, high, shrink, (lower - upper) / _unit_response(low, high)))
            smooth, at = lower, low
        for low, high, step, response in responses:
            peaks = _peaks(response, self.minimum_contrast_hu)
            diameter = float(np.sqrt(low * high) * DIAMETER_PER_SIGMA)
            for peak in peaks:
                at_grid = (peak * step).astype(int)
                if scene.hull[tuple(np.minimum(at_grid, np.subtract(scene.hull.shape, 1)))]:
                    centre = scene.grid.to_volume(at_grid)
                    found.append(Candidate(tuple(centre), diameter, float(response[tuple(peak)]), Channel.SOLID))
        return sorted(found, key=lambda candidate: -candidate.score)

    def _sigmas(self) -> list[float]:
        ratio = np.sqrt(2)
        first = self.minimum_mm / DIAMETER_PER_SIGMA / np.sqrt(ratio)
        count = int(np.ceil(np.log(self.maximum_mm / self.minimum_mm) / np.log(ratio))) + 2
        return [float(first * ratio**i) for i in range(count)]


def _smoothed(image: Float32Array, have: float, want: float) -> Float32Array:
    return ndimage.gaussian_filter(image, np.sqrt(want**2 - have**2), mode="nearest", truncate=3)


def _unit_response(low: float, high: float) -> float:
    """Answer at the centre of a ball of contrast 1 whose diameter fits the two sigmas."""
    radius = np.sqrt(low * high) * np.sqrt(3)
    r = np.linspace(0, radius, 400)
    shells = [np.exp(-(r**2) / (2 * s**2)) / (s**3 * np.sqrt(2 * np.pi) ** 3) * 4 * np.pi * r**2 for s in (low, high)]
    return float(np.trapezoid(shells[0] - shells[1], r))


def _peaks(response: Float32Array, minimum: float) -> np.ndarray:
    maxima = (ndimage.maximum_filter(response, 5) == response) & (response > minimum)
    return np.argwhere(maxima)
