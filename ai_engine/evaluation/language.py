"""What is asked of planted nodules in words, and how much of what comes back was meant. READ FIRST.

Only paraphrases that no training sentence holds are asked (``wordings.HELD_OUT``): what was learnt by heart is no
understanding. A nodule that the search did not propose cannot be selected, and is counted apart.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ai_engine.clip.facts import Claim, Facts
from ai_engine.clip.patches import views_of
from ai_engine.clip.prompt import Prompt
from ai_engine.clip.scorer import Described, TextScorer
from ai_engine.describe import look_at
from ai_engine.domain import Candidate, Location
from ai_engine.errors import EmptySegment
from ai_engine.evaluation.detection import Exam, Proposed, hits
from ai_engine.measure import mean_diameter_mm
from ai_engine.scene import Scene
from ai_engine.stages import Segmenter


class About(StrEnum):
    """What a prompt chooses by."""

    TYPE = "type"
    SIZE = "size"
    PLACE = "place"
    SEVERAL = "several at once"


@dataclass(frozen=True)
class Asked:
    """One prompt.

    Attributes
    ----------
    meaning : str
        In one word or few, such as "ground-glass".
    wording : str
        What the prompt is a pattern of.
    claims : frozenset of Claim
        What the words claim of a nodule; size and place stand in the prompt itself.
    """

    about: About
    meaning: str
    wording: str
    prompt: Prompt
    claims: frozenset[Claim] = frozenset()


@dataclass(frozen=True)
class Planted:
    """A nodule with the truth about it.

    Attributes
    ----------
    kind : str
        Solid, part-solid, ground-glass or calcified.
    diameter_mm : float
        Of the planted outline.
    location : Location
        Where the planted outline lies, by the engine's own division of the lungs.
    """

    name: str
    lung: str
    renderer: str
    kind: str
    facts: Facts
    diameter_mm: float
    location: Location

    def is_meant(self, asked: Asked) -> bool:
        """Tell whether a prompt means this nodule."""
        return self.facts.verdict(asked.claims) == 1 and asked.prompt.allows(self.diameter_mm, self.location)


@dataclass(frozen=True)
class Answered:
    """What the prompts made of one nodule.

    Attributes
    ----------
    measured_mm : float
        Mean diameter of the node's own outline, by which sizes select.
    selected : frozenset of int
        Numbers of the prompts that selected it.
    likeness : tuple of float
        To each prompt.
    """

    planted: Planted
    measured_mm: float
    selected: frozenset[int]
    likeness: tuple[float, ...]


@dataclass(frozen=True)
class Figures:
    """How well prompts select; None where nothing was meant, or nothing selected.

    Attributes
    ----------
    n_meant, n_selected : int
        Over all the prompts that were pooled.
    """

    n_meant: int
    n_selected: int
    n_both: int

    @property
    def precision(self) -> float | None:
        """Share of what was selected that was meant."""
        return self.n_both / self.n_selected if self.n_selected else None

    @property
    def recall(self) -> float | None:
        """Share of what was meant that was selected."""
        return self.n_both / self.n_meant if self.n_meant else None


def figures(asked: Mapping[int, Asked], answers: Iterable[Answered]) -> Figures:
    """Pool some prompts, by their numbers, over answers."""
    pairs = [
        (answer.planted.is_meant(prompt), number in answer.selected)
        for answer in answers
        for number, prompt in asked.items()
    ]
    return Figures(
        sum(meant for meant, _ in pairs),
        sum(selected for _, selected in pairs),
        sum(meant and selected for meant, selected in pairs),
    )


def answered(
    exam: Exam,
    found: Proposed,
    scorer: TextScorer,
    segmenter: Segmenter,
    asked: Sequence[Asked],
    planted: Mapping[str, Planted],
) -> Iterator[Answered]:
    """Ask all prompts of the planted nodules of one scan, as the node would: at the middle of its own outlines.

    Parameters
    ----------
    planted : mapping
        The truth by the name of a nodule in ``exam``; others are not asked for.

    Yields
    ------
    Answered
        Of each nodule that has a candidate which can be outlined.
    """
    best = {name: each for name, each in _best(exam, found, scorer).items() if name in planted}
    described = dict(_described(found.scene, best, segmenter))
    if not described:
        return
    vectors = scorer.closely(views_of(found.scene.volume), list(described.values()))
    chosen = [scorer.chosen(vectors, list(described.values()), each.prompt) for each in asked]
    for i, name in enumerate(described):
        selected = frozenset(number for number, each in enumerate(chosen) if each[i].is_asked_for)
        likeness = tuple(round(each[i].likeness, 3) for each in chosen)
        yield Answered(planted[name], described[name].diameter_mm, selected, likeness)


def _best(exam: Exam, found: Proposed, scorer: TextScorer) -> dict[str, Candidate]:
    """Give the candidate of each nodule that the node would report: the one that scores best."""
    scores = np.asarray(scorer.score(found.scene, found.candidates))
    return {name: found.candidates[i] for name, i in hits(exam, found.candidates, scores).items()}


def _described(
    scene: Scene, candidates: Mapping[str, Candidate], segmenter: Segmenter
) -> Iterator[tuple[str, Described]]:
    for name, candidate in candidates.items():
        try:
            segment = segmenter.segment(scene, candidate)
        except EmptySegment:
            continue
        location = look_at(scene, candidate, segment).location
        k, r, c = (float(at) for at in segment.middle_krc)
        yield name, Described((k, r, c), mean_diameter_mm(scene.volume, segment), location)
