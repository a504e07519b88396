"""Sentences: what is said of a place, and what it claims, so that each can be judged against any place's facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ai_engine.clip import wordings
from ai_engine.clip.facts import NO, YES, Attribute, Claim, Facts

_T = TypeVar("_T")

# How many characteristics a sentence names: none to three. One claim alone teaches its words best.
_HOW_MANY = (0.15, 0.5, 0.25, 0.1)
_P_BEFORE = 0.55
# Type and calcification are what prompts ask for; a pattern is rare.
_WEIGHT = {Attribute.TYPE: 4.0, Attribute.CALCIFICATION: 2.0, Attribute.INTERNAL: 0.2}

_NODULE = Claim(Attribute.NODULE, YES)


@dataclass(frozen=True)
class Sentence:
    """A text and what it claims: true of a place where every claim is."""

    text: str
    claims: frozenset[Claim]


def of(facts: Facts, rng: np.random.Generator) -> Sentence:
    """Draw a true sentence of a place, in one of the wordings for training."""
    if not facts.is_nodule:
        return no_nodule(facts.values.get(Attribute.STRUCTURE), rng)
    known = [claim for claim in map(_claim, facts.values.items()) if claim in wordings.AFTER]
    weight = np.array([_WEIGHT.get(claim.attribute, 1.0) for claim in known])
    n = min(int(rng.choice(len(_HOW_MANY), p=_HOW_MANY)), len(known))
    if not n:
        return nodule(rng)
    chosen = rng.choice(len(known), n, replace=False, p=weight / weight.sum())
    return said([known[int(i)] for i in chosen], rng)


def nodule(rng: np.random.Generator) -> Sentence:
    """Draw a sentence that claims a nodule and nothing else."""
    return said([], rng)


def no_nodule(structure: str | None, rng: np.random.Generator) -> Sentence:
    """Draw a sentence of something that is no nodule."""
    if structure is None or rng.random() < 0.3:
        phrase, claim = _any(wordings.NOT_A_NODULE, rng), Claim(Attribute.NODULE, NO)
    else:
        phrase, claim = _any(wordings.STRUCTURES[structure], rng), Claim(Attribute.STRUCTURE, structure)
    return Sentence(_any(wordings.PATTERNS, rng).format(phrase), frozenset({claim}))


def some_structure(rng: np.random.Generator) -> Sentence:
    """Draw a sentence of any structure that is no nodule."""
    return no_nodule(_any((*wordings.STRUCTURES, None), rng), rng)


def said(claims: Sequence[Claim], rng: np.random.Generator) -> Sentence:
    """Say claims about a nodule in wordings for training."""
    before, after = [], []
    for claim in claims:
        if claim in wordings.BEFORE and rng.random() < _P_BEFORE:
            before.append(_any(wordings.BEFORE[claim], rng))
        else:
            after.append(_any(wordings.AFTER[claim], rng))
    return _joined(before, after, frozenset(claims), wordings.PATTERNS, rng)


def paraphrases(claim: Claim, pattern: str = wordings.HELD_OUT_PATTERNS[0]) -> list[Sentence]:
    """List all held-out wordings of one claim, in one pattern."""
    before, after = wordings.HELD_OUT[claim]
    claims = frozenset({claim, _NODULE})
    noun = f"{wordings.NODULE[1]}s"
    texts = [f"{phrase} {noun}" for phrase in before] + [f"{noun} {phrase}" for phrase in after]
    return [Sentence(pattern.format(text), claims) for text in texts]


def _joined(
    before: list[str], after: list[str], claims: frozenset[Claim], patterns: Sequence[str], rng: np.random.Generator
) -> Sentence:
    is_mass = Claim(Attribute.SIZE, "mass") in claims
    nouns = wordings.NODULE if rng.random() < 0.85 else wordings.OPACITY
    noun = _any(wordings.MASS, rng) if is_mass and rng.random() < 0.6 else _any(nouns, rng)
    if rng.random() < 0.2:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    text = " ".join([*before, noun, " and ".join(after)]).strip()
    return Sentence(_any(patterns, rng).format(text), claims | {_NODULE})


def _claim(known: tuple[Attribute, str]) -> Claim:
    return Claim(*known)


def _any(of_these: Sequence[_T], rng: np.random.Generator) -> _T:
    return of_these[int(rng.integers(len(of_these)))]
