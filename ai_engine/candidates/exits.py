"""How much leaves a round place: a nodule ends on most sides, a vessel goes on at both of its ends, a fork at three.

The curvature of ``peaks`` sees what is near the middle; this looks further out, at half to three quarters of the
diameter beyond the surface.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from ai_engine.candidates.peaks import Peak
from ai_engine.domain import FloatArray
from ai_engine.grid import Float32Array

N_DIRECTIONS = 42
# Distances from the middle, in diameters; a direction that stays above half of the contrast at all of them is an exit.
AT_DIAMETERS = (0.7, 1.0, 1.4)
HALF = 0.5
POWER = 4


def weighed(found: Sequence[Peak], image: Float32Array, step_mm: float, background: float) -> list[Peak]:
    """Weigh peaks by the share of directions that are no exits, to a power; best first.

    Parameters
    ----------
    found : sequence of Peak
    image : (k, r, c) float32
        What they were found in.
    step_mm : float
    background : float
        Value of the image where nothing is.
    """
    if not found:
        return []
    share = exits(found, image, step_mm, background)
    weighted = [replace(peak, score=peak.score * (1 - float(s)) ** POWER) for peak, s in zip(found, share, strict=True)]
    return sorted(weighted, key=lambda peak: -peak.score)


def exits(found: Sequence[Peak], image: Float32Array, step_mm: float, background: float) -> FloatArray:
    """Share of directions in which something goes on, (n,) float64."""
    middles = np.array([peak.at for peak in found], dtype=np.float64)
    reach = np.array([peak.diameter_mm for peak in found]) / step_mm
    middle = ndimage.map_coordinates(image, middles.T, order=1, mode="nearest") - background
    goes_on = np.ones((len(found), N_DIRECTIONS), dtype=bool)
    for times in AT_DIAMETERS:
        points = middles[:, None] + (times * reach)[:, None, None] * _directions()
        values = ndimage.map_coordinates(image, points.reshape(-1, 3).T, order=1, mode="nearest").reshape(goes_on.shape)
        goes_on &= values - background > HALF * middle[:, None]
    return np.asarray(goes_on.mean(axis=1), dtype=np.float64)


def _directions() -> FloatArray:
    """Give unit vectors (n, 3), evenly spread over the sphere along a spiral."""
    index = np.arange(N_DIRECTIONS) + 0.5
    along = 1 - 2 * index / N_DIRECTIONS
    turn = np.pi * (1 + np.sqrt(5)) * index
    around = np.sqrt(1 - along**2)
    return np.stack([around * np.cos(turn), around * np.sin(turn), along], axis=1)
