"""The score: how much more a place is like the words for a nodule than like the words for what is none.

Only vectors here, no network. A mean over wordings is steadier than any one of them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from ai_engine.clip import sentences, wordings
from ai_engine.domain import FloatArray

if TYPE_CHECKING:
    from ai_engine.clip.loading import Loaded, Seen

_N_WORDINGS = 24


class By(StrEnum):
    """What ranks candidates; the others are there to tell what the text is worth."""

    TEXT = "text"
    SHUFFLED = "text shuffled between classes"
    HEAD = "nodule head alone"


@dataclass(frozen=True, eq=False)
class Ensembles:
    """Mean vectors of wordings.

    Attributes
    ----------
    nodule : (dimension,) float64
        Of ``wordings.NODULE``, in many sentences.
    others : (n, dimension) float64
        Of each structure that is no nodule, and of normal lung.
    """

    nodule: FloatArray
    others: FloatArray

    def shuffled(self) -> "Ensembles":
        """Give each class the words of the next: the nodule those of a vessel, and so on."""
        every = np.roll(np.vstack([self.nodule[None], self.others]), -1, axis=0)
        return Ensembles(every[0], every[1:])


def ensembles_of(loaded: "Loaded") -> Ensembles:
    """Read the wordings of all classes."""
    rng = np.random.default_rng(0)
    nodule = [sentences.nodule(rng).text for _ in range(_N_WORDINGS)]
    others = [
        [pattern.format(phrase) for phrase in phrases for pattern in wordings.PATTERNS[2:5]]
        for phrases in (*wordings.STRUCTURES.values(), wordings.NOT_A_NODULE)
    ]
    return Ensembles(_mean(loaded.read(nodule)), np.stack([_mean(loaded.read(texts)) for texts in others]))


def scores(loaded: "Loaded", ensembles: Ensembles, seen: "Seen", by: By = By.TEXT, zero: float = 0.0) -> FloatArray:
    """Score places (n,) float64, 0 to 1; not a probability.

    The likeness to the nodule's words against the mean likeness to what is none, each class once. ``zero`` is the logit
    that becomes 0.5.
    """
    if by is By.HEAD:
        return sigmoid(seen.head - zero)
    words = ensembles.shuffled() if by is By.SHUFFLED else ensembles
    nodule = loaded.likeness(seen.vectors, words.nodule[None])[:, 0]
    others = loaded.likeness(seen.vectors, words.others)
    highest = others.max(axis=1, initial=-np.inf)
    soft = highest + np.log(np.exp(others - highest[:, None]).mean(axis=1))
    return sigmoid(nodule - soft - zero)


def _mean(vectors: FloatArray) -> FloatArray:
    mean = vectors.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def sigmoid(x: FloatArray) -> FloatArray:
    """Turn logits into scores, 0 to 1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))
