"""Places and sentences -> a batch, with every sentence judged against every place."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ai_engine.clip import sentences
from ai_engine.clip.facts import NO, YES, Attribute, Claim, Facts
from ai_engine.clip.loading import shown
from ai_engine.clip.sentences import Sentence
from ai_engine.clip.vocabulary import Vocabulary
from ai_engine.domain import NoduleType
from ai_engine.errors import TrainingError
from ai_engine.training.encoder.anchors import claims_of
from ai_engine.training.encoder.augment import varied
from ai_engine.training.encoder.places import Place, Places
from ai_engine.training.encoder.plan import Plan, Text

# Beside a sentence for each place: some that only say nodule, some of what is none, and some of each claim that prompts
# choose by, so that every step judges all of them.
_N_PLAIN, _N_STRUCTURES, _N_ASKED = 4, 4, 2
_ASKED = (
    *(Claim(Attribute.TYPE, str(kind)) for kind in NoduleType),
    *(Claim(Attribute.CALCIFICATION, value) for value in (YES, NO)),
)

# A sentence of one of these claims alone counts so much: margins and shapes, on which readers differ, drown them else.
_ASKED_WEIGHT = 4.0

# Four of five nodules in lungs are solid: drawn as they come, the others would hardly be learnt.
_CALCIFIED = "calcified"
_SHARES = {NoduleType.SOLID: 0.4, NoduleType.PART_SOLID: 0.25, NoduleType.GROUND_GLASS: 0.2, _CALCIFIED: 0.15}


@dataclass(frozen=True, eq=False)
class Batch:
    """One step.

    Attributes
    ----------
    fine, coarse : (b, 3, k, r, c) float32
    words : (m, LONGEST) int64
        Sentences, each once.
    claims : (m, n) float32
        Of the sentences, ``anchors.claims_of``.
    verdicts : (b, m) float32
        1 true, -1 false, 0 not known.
    nodules : (b,) float32
        1 where there is a nodule.
    weights : (m,) float32
        How much each sentence counts.
    """

    fine: Tensor
    coarse: Tensor
    words: Tensor
    claims: Tensor
    verdicts: Tensor
    nodules: Tensor
    weights: Tensor


_Index = tuple[int, int]


class Pool:
    """Draws places: nodules and what is none by halves, kinds by ``_SHARES``, each lung as often as another."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._groups = {group: self._by_patient(index) for group, index in self._grouped().items()}
        kinds = [kind for kind in _SHARES if kind in self._groups]
        for group, is_there in (("nodule", kinds), ("candidate", "candidate" in self._groups)):
            if not is_there:
                raise TrainingError(f"there is no place of the kind {group} to learn from")
        shares = np.array([_SHARES[kind] for kind in kinds])
        self._kinds, self._shares = kinds, shares / shares.sum()

    def draw(self, plan: Plan, index: int, rng: np.random.Generator) -> Place:
        """Draw the place with this index of a batch."""
        if index % 2 == 0:
            group = str(self._kinds[int(rng.choice(len(self._kinds), p=self._shares))])
        else:
            group = "sham" if "sham" in self._groups and rng.random() < plan.sham_share else "candidate"
        patients = self._groups[group]
        some = patients[int(rng.integers(len(patients)))]
        return self._places.at(some[int(rng.integers(len(some)))])

    def _grouped(self) -> dict[str, list[_Index]]:
        groups: dict[str, list[_Index]] = {}
        for kind in ("nodule", "sham", "candidate"):
            for index in self._places.where(kind):
                groups.setdefault(_group(kind, self._places.facts(index)), []).append(index)
        return groups

    def _by_patient(self, group: list[_Index]) -> list[list[_Index]]:
        patients: dict[str, list[_Index]] = {}
        for index in group:
            patients.setdefault(self._places.series[index[0]].patient, []).append(index)
        return list(patients.values())


def _group(kind: str, facts: Facts) -> str:
    """Name what a place is drawn as: shams and candidates by their kind, nodules by calcium and type."""
    if kind != "nodule":
        return kind
    if facts.values.get(Attribute.CALCIFICATION) == YES:
        return _CALCIFIED
    return facts.values.get(Attribute.TYPE, str(NoduleType.SOLID))


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
    weights = torch.tensor([_ASKED_WEIGHT if _is_asked(sentence) else 1.0 for sentence in said])
    return Batch(fine, coarse, words, claims_of(said), torch.from_numpy(verdicts), nodules, weights)


def verdicts_of(places: list[Place], said: list[Sentence]) -> np.ndarray:
    """Judge sentences against places, (n, m) float32; one that is true of several places is a positive of each."""
    return np.array([[place.facts.verdict(sentence.claims) for sentence in said] for place in places], dtype=np.float32)


def _is_asked(sentence: Sentence) -> bool:
    return len(sentence.claims) == 2 and any(claim in sentence.claims for claim in _ASKED)


def _said(places: list[Place], rng: np.random.Generator) -> list[Sentence]:
    """Draw a true sentence for each place, and those that every step has; each text once."""
    said = [sentences.of(place.facts, rng) for place in places]
    said += [sentences.nodule(rng) for _ in range(_N_PLAIN)]
    said += [sentences.some_structure(rng) for _ in range(_N_STRUCTURES)]
    said += [sentences.said([claim], rng) for claim in _ASKED for _ in range(_N_ASKED)]
    return list({sentence.text: sentence for sentence in said}.values())
