"""One place, one candidate: after they were scored, the best of those that lie together stays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ai_engine.domain import Candidate

# A candidate within the larger one of two, or so near to its surface, is the same place: what the encoder sees from
# there is the same nodule, or the same part of the mediastinum. A mass has the size of a ball that fits, not its own.
BEYOND_MM, MOST_MM = 4.0, 18.0


def merged(candidates: Sequence[Candidate], scores: ArrayLike, spacing_krc_mm: tuple[float, float, float]) -> list[int]:
    """Choose among scored candidates.

    Parameters
    ----------
    candidates : sequence of Candidate
    scores : (n,) float
    spacing_krc_mm : tuple of float
        Of the volume that the centres are given on.

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
            room = np.minimum(np.maximum(diameters, diameters[index]) / 2 + BEYOND_MM, MOST_MM)
            left &= np.linalg.norm(places - places[index], axis=1) >= room
    return kept
