"""One place, one candidate: after they were scored, the best of those that lie together stays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ai_engine.domain import BoolArray, Candidate, FloatArray

# A candidate within the larger one of two, or so near to its surface, is the same place: what the encoder sees from
# there is the same nodule, or the same part of the mediastinum. A mass has the size of a ball that fits, not its own.
BEYOND_MM, MOST_MM = 4.0, 18.0
# What scores as a nodule does. All around the rim of a large one places do: each is the same place as the next.
A_NODULE_FROM = 0.5


def merged(
    candidates: Sequence[Candidate],
    scores: ArrayLike,
    spacing_krc_mm: tuple[float, float, float],
    linked_from: float = A_NODULE_FROM,
) -> list[int]:
    """Choose among scored candidates.

    Parameters
    ----------
    candidates : sequence of Candidate
    scores : (n,) float
    spacing_krc_mm : tuple of float
        Of the volume that the centres are given on.
    linked_from : float
        Candidates with this score and more link others to the best of their place, within ``MOST_MM`` of it.

    Returns
    -------
    list of int
        Indices of those that stay, best first.
    """
    values = np.asarray(scores, dtype=np.float64)
    places = np.array([candidate.centre_krc for candidate in candidates]).reshape(-1, 3) * spacing_krc_mm
    diameters = np.array([candidate.diameter_mm for candidate in candidates])
    left = np.ones(len(candidates), dtype=bool)
    kept = []
    for index in np.argsort(-values, kind="stable"):
        if left[index]:
            kept.append(int(index))
            left &= ~_in_place_of(int(index), places, diameters, values >= linked_from)
    return kept


def _in_place_of(best: int, places: FloatArray, diameters: FloatArray, links: BoolArray) -> BoolArray:
    """Say which candidates lie where the best one does, or hang together with it by ``links``: (n,) bool."""
    found = _beside(best, places, diameters)
    within = links & (np.linalg.norm(places - places[best], axis=1) < MOST_MM)
    waiting = list(np.nonzero(found & within)[0])
    while waiting:
        more = _beside(int(waiting.pop()), places, diameters) & within & ~found
        found |= more
        waiting += list(np.nonzero(more)[0])
    return found


def _beside(one: int, places: FloatArray, diameters: FloatArray) -> BoolArray:
    room = np.minimum(np.maximum(diameters, diameters[one]) / 2 + BEYOND_MM, MOST_MM)
    return np.asarray(np.linalg.norm(places - places[one], axis=1) < room)
