"""Places and sentences -> a batch, with every sentence judged against every place."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ai_engine.clip import sentences
from ai_engine.clip.loading import shown
from ai_engine.clip.sentences import Sentence
from ai_engine.clip.vocabulary import Vocabulary
from ai_engine.errors import TrainingError
from ai_engine.training.encoder.augment import varied
from ai_engine.training.encoder.places import Place, Places
from ai_engine.training.encoder.plan import Plan, Text

# Beside a sentence for each place: some that only say nodule, and some of what is none.
_N_PLAIN, _N_STRUCTURES = 4, 4


@dataclass(frozen=True, eq=False)
class Batch:
    """One step.

    Attributes
    ----------
    fine, coarse : (b, 3, k, r, c) float32
    words : (m, LONGEST) int64
        Sentences, each once.
    verdicts : (b, m) float32
        1 true, -1 false, 0 not known.
    nodules : (b,) float32
        1 where there is a nodule.
    """

    fine: Tensor
    coarse: Tensor
    words: Tensor
    verdicts: Tensor
    nodules: Tensor


class Pool:
    """Draws places: nodules and what is none by halves, each patient's lung as often as any other's."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._kinds = {kind: self._by_patient(kind) for kind in ("nodule", "sham", "candidate")}
        for kind in ("nodule", "candidate"):
            if not self._kinds[kind]:
                raise TrainingError(f"there is no place of the kind {kind} to learn from")

    def draw(self, plan: Plan, index: int, rng: np.random.Generator) -> Place:
        """Draw the place with this index of a batch."""
        if index % 2 == 0:
            kind = "nodule"
        else:
            kind = "sham" if self._kinds["sham"] and rng.random() < plan.sham_share else "candidate"
        patients = self._kinds[kind]
        some = patients[int(rng.integers(len(patients)))]
        return self._places.at(some[int(rng.integers(len(some)))])

    def _by_patient(self, kind: str) -> list[list[tuple[int, int]]]:
        patients: dict[str, list[tuple[int, int]]] = {}
        for index in self._places.where(kind):
            patients.setdefault(self._places.series[index[0]].patient, []).append(index)
        return list(patients.values())


def batch_of(pool: Pool, plan: Plan, vocabulary: Vocabulary, step: int) -> Batch:
    """Draw the batch of a step."""
    places, cubes = [], []
    for index in range(plan.batch):
        rng = plan.rng(step, index)
        places.append(pool.draw(plan, index, rng))
        cubes.append(varied(places[-1], rng))
    said = _said(places, plan.rng(step, plan.batch))
    verdicts = verdicts_of(places, said)
    if plan.text == Text.SHUFFLED:
        verdicts = verdicts[:, plan.rng(step, plan.batch + 1).permutation(len(said))]
    fine, coarse = (shown(np.stack([pair[i] for pair in cubes])) for i in range(2))
    words = torch.from_numpy(vocabulary.encode([sentence.text for sentence in said]))
    nodules = torch.tensor([float(place.facts.is_nodule) for place in places])
    return Batch(fine, coarse, words, torch.from_numpy(verdicts), nodules)


def verdicts_of(places: list[Place], said: list[Sentence]) -> np.ndarray:
    """Judge sentences against places, (n, m) float32; one that is true of several places is a positive of each."""
    return np.array([[place.facts.verdict(sentence.claims) for sentence in said] for place in places], dtype=np.float32)


def _said(places: list[Place], rng: np.random.Generator) -> list[Sentence]:
    """Draw a true sentence for each place and the plain ones; each text once."""
    said = [sentences.of(place.facts, rng) for place in places]
    said += [sentences.nodule(rng) for _ in range(_N_PLAIN)]
    said += [sentences.some_structure(rng) for _ in range(_N_STRUCTURES)]
    return list({sentence.text: sentence for sentence in said}.values())
