"""One place, one candidate: after they were scored, the best of those that lie together stays."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ai_engine.domain import BoolArray, Candidate, FloatArray

# A candidate within the larger one of two, or so near to its surface, is the same place: what the encoder sees from
# there is the same nodule, or the same part of the mediastinum. A mass has the size of a ball that fits, not its own.
BEYOND_MM, MOST_MM = 4.0, 18.0
# What scores as a nodule does: all around the rim of a large one places do. Each is the same place as the next.
LINKED_FROM = 0.5
_LEAST_DOUBT = 1e-12


def with_scores(candidates: Sequence[Candidate], scores: ArrayLike) -> list[Candidate]:
    """Give candidates the scores (n,) of what judged them."""
    values = np.asarray(scores, dtype=np.float64)
    return [replace(each, score=float(score)) for each, score in zip(candidates, values, strict=True)]


def merged(scored: Sequence[Candidate], spacing_krc_mm: tuple[float, float, float]) -> list[Candidate]:
    """Choose among scored candidates.

    Parameters
    ----------
    scored : sequence of Candidate
        Each with the encoder's score.
    spacing_krc_mm : tuple of float
        Of the volume that the centres are given on.

    Returns
    -------
    list of Candidate
        One for each place, best first. Where others link more to the best one than lies beside it, it is laid over all
        that score as a nodule: the best one alone may lie at the rim of theirs, or beyond.
    """
    values = np.array([candidate.score for candidate in scored])
    places = np.array([candidate.centre_krc for candidate in scored]).reshape(-1, 3) * spacing_krc_mm
    diameters = np.array([candidate.diameter_mm for candidate in scored])
    links, left = values >= LINKED_FROM, np.ones(len(scored), dtype=bool)
    kept = []
    for best in map(int, np.argsort(-values, kind="stable")):
        if left[best]:
            beside = left & _beside(best, places, diameters)
            linked = _linked(best, beside, places, diameters, links & left) & ~beside
            left &= ~(beside | linked)
            rim = (beside & links) | linked
            over = _over(scored[best], places[rim], values[rim], spacing_krc_mm) if linked.any() else scored[best]
            kept.append(over)
    return kept


def _over(
    best: Candidate, places_mm: FloatArray, scores: FloatArray, spacing_krc_mm: tuple[float, float, float]
) -> Candidate:
    """Lay a candidate over places: its centre in their middle, the surest counting most, as wide as they lie apart."""
    doubt = np.clip(1 - scores, _LEAST_DOUBT, 1)
    middle = np.average(places_mm, axis=0, weights=-np.log(doubt))
    k, r, c = (float(v) for v in middle / spacing_krc_mm)
    apart_mm = 2 * float(np.linalg.norm(places_mm - middle, axis=1).max())
    return replace(best, centre_krc=(k, r, c), diameter_mm=max(best.diameter_mm, apart_mm))


def _linked(best: int, beside: BoolArray, places: FloatArray, diameters: FloatArray, links: BoolArray) -> BoolArray:
    """Say which of ``links`` hang together with the best one, through others within ``MOST_MM`` of it: (n,) bool."""
    within = links & (np.linalg.norm(places - places[best], axis=1) < MOST_MM)
    found = beside & within
    waiting = list(np.nonzero(found)[0])
    while waiting:
        more = _beside(int(waiting.pop()), places, diameters) & within & ~found
        found |= more
        waiting += list(np.nonzero(more)[0])
    return found


def _beside(one: int, places: FloatArray, diameters: FloatArray) -> BoolArray:
    room = np.minimum(np.maximum(diameters, diameters[one]) / 2 + BEYOND_MM, MOST_MM)
    return np.asarray(np.linalg.norm(places - places[one], axis=1) < room)
