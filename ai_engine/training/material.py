"""The composites that a run learns from: which outlines go into which lungs; cached, and the same for the same seed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ai_engine.composites import Background, Composite, NoduleShape, Renderer, Shards, compose, sham
from ai_engine.domain import FloatArray
from ai_engine.errors import NoRoom, TrainingError

SHARD = 40
WINDOW = 256

_P_SHAM = 0.08
_P_DISTRACTORS = (0.35, 0.40, 0.17, 0.08)  # none, one, two, three
_TRIES, _TRIES_WANTED = 25, 5000
# Ground glass and part-solid are rare among the outlines (LIDC texture 1 to 4), and so are large ones.
_TEXTURE_WEIGHT = {1: 3.0, 2: 3.0, 3: 2.5, 4: 1.5, 5: 1.0}
_WEIGHT_MM = 9.0


@dataclass(frozen=True, eq=False)
class Ingredients:
    """What composites are made of; all of one split, which the caller has checked.

    Attributes
    ----------
    wanted : callable or None
        Which nodules are kept; None keeps all, and shams.
    """

    shapes: Sequence[NoduleShape]
    backgrounds: Sequence[Background]
    seed: int
    renderer: Renderer = Renderer.A
    wanted: Callable[[Composite], bool] | None = None


def fill(shards: Shards, ingredients: Ingredients, n: int, *, shams: bool, watch: Callable[[int], None]) -> None:
    """Compose into a cache until it holds ``n``; those that it holds already stay.

    Parameters
    ----------
    shams : bool
        Whether some are shams, which teach the network to say that there is nothing.
    watch : callable
        Told how many there are.

    Raises
    ------
    TrainingError
        A nodule found no room in any lung, or none became what is wanted.
    """
    weights = weights_of(ingredients.shapes)
    for first in range(0, n, SHARD):
        watch(first)
        if not shards.holds(first // SHARD):
            numbers = range(first, min(first + SHARD, n))
            shards.write(first // SHARD, [_composed(ingredients, weights, number, shams) for number in numbers])
    watch(n)


class Pool:
    """Composites in random order, of which a window is in memory: reading each one anew would cost half of a step.

    The window moves on by one composite per step, so that each is seen some times in a row and then, an epoch later,
    again.
    """

    def __init__(self, composites: Sequence[Composite], seed: int) -> None:
        self._n = len(composites)
        self._seed = seed
        self._read = lru_cache(maxsize=2 * WINDOW)(composites.__getitem__)
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def draw(self, step: int, rng: np.random.Generator) -> Composite:
        """Draw from the window of a step."""
        epoch, place = divmod(step + int(rng.integers(WINDOW)), self._n)
        return self._read(int(self._order(epoch)[place]))

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(self._n)


def weights_of(shapes: Sequence[NoduleShape]) -> FloatArray:
    """Chance of each shape to be planted (n,), summing to 1: the rare kinds come more often than they occur."""
    wanted = [_TEXTURE_WEIGHT[shape.texture] * np.clip(_side_mm(shape) / _WEIGHT_MM, 1.5, 5.0) for shape in shapes]
    weights = np.array(wanted, dtype=np.float64)
    return weights / weights.sum()


def _side_mm(shape: NoduleShape) -> float:
    return float(max(np.array(shape.mask.shape[1:]) * shape.spacing_krc_mm[1:]))


def _composed(ingredients: Ingredients, weights: FloatArray, number: int, shams: bool) -> Composite:
    """Make one composite; its number and the seed say which."""
    rng = np.random.default_rng((ingredients.seed, number))
    wanted = ingredients.wanted
    for _ in range(_TRIES_WANTED if wanted else _TRIES):
        target, *distractors = _drawn(ingredients.shapes, weights, rng)
        background = _lung(ingredients.backgrounds, rng)
        try:
            if shams and rng.random() < _P_SHAM:
                return sham(target, background, ingredients.renderer, rng)
            composite = compose(target, distractors, background, ingredients.renderer, rng)
        except NoRoom:
            continue
        if wanted is None or wanted(composite):
            return composite
    what = "no nodule became what is wanted" if wanted else "no room for a nodule"
    raise TrainingError(f"{what} in {len(ingredients.backgrounds)} lungs")


def _lung(backgrounds: Sequence[Background], rng: np.random.Generator) -> Background:
    """Draw a patient, then one of that patient's series."""
    patients = sorted({background.patient for background in backgrounds})
    patient = patients[int(rng.integers(len(patients)))]
    series = [background for background in backgrounds if background.patient == patient]
    return series[int(rng.integers(len(series)))]


def _drawn(shapes: Sequence[NoduleShape], weights: FloatArray, rng: np.random.Generator) -> Iterator[NoduleShape]:
    count = 1 + int(rng.choice(len(_P_DISTRACTORS), p=_P_DISTRACTORS))
    return (shapes[int(i)] for i in rng.choice(len(shapes), count, p=weights))
