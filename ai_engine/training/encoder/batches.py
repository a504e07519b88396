"""Places and sentences -> a batch, with every sentence judged against every place."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ai_engine.clip import sentences
from ai_engine.clip.facts import NO, YES, Attribute, Claim
from ai_engine.clip.loading import shown
from ai_engine.clip.sentences import Sentence
from ai_engine.clip.vocabulary import Vocabulary
from ai_engine.domain import NoduleType
from ai_engine.training.encoder.anchors import claims_of
from ai_engine.training.encoder.augment import varied
from ai_engine.training.encoder.places import Place
from ai_engine.training.encoder.plan import Plan, Text
from ai_engine.training.encoder.pool import Pool, Spot

# Beside a sentence for each place: some that only say nodule, some of what is none, and some of each claim that prompts
# choose by, so that every step judges all of them.
_N_PLAIN, _N_STRUCTURES, _N_ASKED = 4, 4, 2
_ASKED = (
    *(Claim(Attribute.TYPE, str(kind)) for kind in NoduleType),
    *(Claim(Attribute.CALCIFICATION, value) for value in (YES, NO)),
)

_NODULE = Claim(Attribute.NODULE, YES)

# A sentence of one of these claims alone counts so much: margins and shapes, on which readers differ, drown them else.
_ASKED_WEIGHT = 4.0


@dataclass(frozen=True, eq=False)
class Batch:
    """One step.

    Attributes
    ----------
    fine, coarse, close : (b, 3, k, r, c) float32
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
    says_nodule, says_none : (m,) bool
        Sentences that claim a nodule and nothing else, and those that claim none: what the score is made of.
    spots : tuple of Spot or None
        Of each place, where it is one of those that are drawn by how hard they are.
    """

    fine: Tensor
    coarse: Tensor
    close: Tensor
    words: Tensor
    claims: Tensor
    verdicts: Tensor
    nodules: Tensor
    weights: Tensor
    says_nodule: Tensor
    says_none: Tensor
    spots: tuple[Spot | None, ...]


def batch_of(pool: Pool, plan: Plan, vocabulary: Vocabulary, step: int) -> Batch:
    """Draw the batch of a step."""
    places, cubes, spots = [], [], []
    for index in range(plan.batch):
        rng = plan.rng(step, index)
        place, spot = pool.draw(plan, index, rng)
        places.append(place)
        spots.append(spot)
        cubes.append(varied(place, rng, is_regrained=not plan.only_close))
    said = _said(places, plan.rng(step, plan.batch))
    verdicts, true = verdicts_of(places, said), said
    if plan.text == Text.SHUFFLED:
        dealt = plan.rng(step, plan.batch + 1).permutation(len(said))
        verdicts, true = verdicts[:, dealt], [said[i] for i in dealt]
    fine, coarse, close = (shown(np.stack(scale)) for scale in zip(*cubes, strict=True))
    words = torch.from_numpy(vocabulary.encode([sentence.text for sentence in said]))
    nodules = torch.tensor([float(place.facts.is_nodule) for place in places])
    weights = torch.tensor([_ASKED_WEIGHT if _is_asked(sentence) else 1.0 for sentence in said])
    says_nodule, says_none = (
        torch.tensor([test(sentence) for sentence in true]) for test in (_says_nodule, _says_none)
    )
    return Batch(
        fine,
        coarse,
        close,
        words,
        claims_of(said),
        torch.from_numpy(verdicts),
        nodules,
        weights,
        says_nodule,
        says_none,
        tuple(spots),
    )


def verdicts_of(places: list[Place], said: list[Sentence]) -> np.ndarray:
    """Judge sentences against places, (n, m) float32; one that is true of several places is a positive of each."""
    return np.array([[place.facts.verdict(sentence.claims) for sentence in said] for place in places], dtype=np.float32)


def _says_nodule(sentence: Sentence) -> bool:
    return sentence.claims == {_NODULE}


def _says_none(sentence: Sentence) -> bool:
    return _NODULE not in sentence.claims


def _is_asked(sentence: Sentence) -> bool:
    return len(sentence.claims) == 2 and any(claim in sentence.claims for claim in _ASKED)


def _said(places: list[Place], rng: np.random.Generator) -> list[Sentence]:
    """Draw a true sentence for each place, and those that every step has; each text once."""
    said = [sentences.of(place.facts, rng) for place in places]
    said += [sentences.nodule(rng) for _ in range(_N_PLAIN)]
    said += [sentences.some_structure(rng) for _ in range(_N_STRUCTURES)]
    said += [sentences.said([claim], rng) for claim in _ASKED for _ in range(_N_ASKED)]
    return list({sentence.text: sentence for sentence in said}.values())
