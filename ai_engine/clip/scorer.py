"""What the words say of candidates and findings: a score that ranks, and a selection that a prompt asks for.

No torch is imported before the first scene comes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from ai_engine.clip.ensembles import By, Ensembles, ensembles_of, scores
from ai_engine.clip.patches import Views, views_of
from ai_engine.clip.prompt import DEFAULT, Prompt, understand
from ai_engine.clip.weights import weights_of, zeros_of
from ai_engine.domain import Candidate, Finding, FloatArray, Location
from ai_engine.geometry import Turn, lps_mm_to_krc
from ai_engine.scene import Scene

if TYPE_CHECKING:
    from ai_engine.clip.loading import Loaded, Seen

Places = tuple[tuple[float, float, float], ...]

# So many of the best candidates are looked at thoroughly: what is said of the others stays far below any threshold.
_LOOKED_AT_THOROUGHLY = 100
# True and false weigh alike in training (``losses``): they meet here.
_TRUE_ABOVE = 0.0


@dataclass(frozen=True)
class Described:
    """What a selection needs of a finding.

    Attributes
    ----------
    centre_krc : tuple of float
        Middle of its outline, on the turned grid. A candidate may lie up to a radius off it, where the picture is
        another: the rim of a part-solid nodule looks like ground glass.
    diameter_mm : float
        Mean of long and short axis.
    """

    centre_krc: tuple[float, float, float]
    diameter_mm: float
    location: Location


@dataclass(frozen=True)
class Selected:
    """Whether a finding is what a prompt asks for, and why.

    Attributes
    ----------
    likeness : float
        Of the place to the prompt's words; above 0 they are true of it.
    by_words, by_size_and_place : bool
    """

    likeness: float
    by_words: bool
    by_size_and_place: bool

    @property
    def is_asked_for(self) -> bool:
        """Both."""
        return self.by_words and self.by_size_and_place


@dataclass(frozen=True, eq=False)
class Glance:
    """One look at each of some places of a scene: nothing was asked yet.

    Attributes
    ----------
    places_krc : tuple of (k, r, c)
        On the turned grid.
    seen : Seen
        In their order.
    """

    views: Views
    places_krc: Places
    seen: "Seen"


@dataclass(frozen=True)
class TextScorer:
    """Scores candidates by their likeness to the words for a nodule, and selects findings by a prompt.

    Attributes
    ----------
    load : callable
        Gives the encoder; called once, when the first scene comes.
    prompt : str
        What is asked for where no other prompt is given. It selects; the score is always that of a nodule, so that one
        threshold holds under every prompt.
    by : By
        What ranks.
    zero : float
        The logit whose score is 0.5 (``weights.OperatingPoint``).
    """

    load: Callable[[], "Loaded"] = field(compare=False)
    prompt: str = DEFAULT
    by: By = By.TEXT
    zero: float = 0.0

    @cached_property
    def encoder(self) -> "Loaded":
        """The encoder."""
        return self.load()

    @cached_property
    def ensembles(self) -> Ensembles:
        """The words for a nodule, and for what is none."""
        return ensembles_of(self.encoder)

    def score(self, scene: Scene, candidates: Sequence[Candidate]) -> FloatArray:
        """Score the candidates of a scene, (n,) float64, 0 to 1; not a probability."""
        return self.judged(self.glance(scene, candidates))

    def glance(self, scene: Scene, candidates: Sequence[Candidate]) -> Glance:
        """Look once at all candidates; what is seen does not depend on what ranks."""
        views, places = views_of(scene.volume), places_of(candidates)
        return Glance(views, places, self.encoder.look(views, places))

    def judged(self, glance: Glance) -> FloatArray:
        """Score (n,) what was looked at once, after a thorough look at what ranks best: by the text, or as ``by`` says.

        Were the places for that look always chosen by the text, another way to rank would be judged by its choice.
        """
        vectors, head = glance.seen.vectors.copy(), glance.seen.head.copy()
        best = np.argsort(-self._scores(glance.seen), kind="stable")[:_LOOKED_AT_THOROUGHLY]
        again = self.encoder.look(glance.views, [glance.places_krc[i] for i in best], is_thorough=True)
        vectors[best], head[best] = again.vectors, again.head
        return self._scores(replace(glance.seen, vectors=vectors, head=head))

    def _scores(self, seen: "Seen") -> FloatArray:
        return scores(self.encoder, self.ensembles, seen, self.by, self.zero)

    def understood(self, text: str | None = None) -> Prompt:
        """Read a prompt, or the scorer's own; raises ``UnknownWords``."""
        return understand(self.prompt if text is None else text, self.encoder.vocabulary)

    def selection(self, scene: Scene, findings: Sequence[Described], prompt: Prompt | None = None) -> list[Selected]:
        """Say of each finding whether it is what the prompt asks for; nothing is searched anew."""
        vectors = self.closely(views_of(scene.volume), findings)
        return self.chosen(vectors, findings, self.understood() if prompt is None else prompt)

    def closely(self, views: Views, findings: Sequence[Described]) -> FloatArray:
        """Look at findings as a selection needs: vectors (n, dimension)."""
        return self.encoder.closely(views, [each.centre_krc for each in findings])

    def chosen(self, vectors: FloatArray, findings: Sequence[Described], asked: Prompt) -> list[Selected]:
        """Select as ``selection`` does, among findings that were looked at ``closely`` before."""
        likeness = self.encoder.likeness(vectors, self.encoder.read([asked.words]))[:, 0]
        return [
            Selected(float(like), asked.is_plain or like > _TRUE_ABOVE, asked.allows(each.diameter_mm, each.location))
            for like, each in zip(likeness, findings, strict=True)
        ]


def described(finding: Finding, turn: Turn) -> Described:
    """Bring a finding, which lies on the source grid, to the turned grid."""
    k, r, c = (float(v) for v in lps_mm_to_krc(turn.index_affine, finding.segment.middle_krc))
    return Described((k, r, c), finding.measurements.mean_diameter_mm, finding.location)


def places_of(candidates: Sequence[Candidate]) -> Places:
    """Centres of candidates, (k, r, c) on the turned grid."""
    return tuple(candidate.centre_krc for candidate in candidates)


@dataclass(frozen=True, eq=False)
class _Sharing:
    """One way to rank; all ways share the single look, which goes with its scene."""

    scorer: TextScorer
    glances: "WeakKeyDictionary[Scene, Glance]"

    def score(self, scene: Scene, candidates: Sequence[Candidate]) -> FloatArray:
        glance = self.glances.get(scene)
        if glance is None or glance.places_krc != places_of(candidates):
            glance = self.glances[scene] = self.scorer.glance(scene, candidates)
        return self.scorer.judged(glance)


def scorers(path: Path, zeros: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Give every way to rank by one file of weights: by text, by text shuffled between classes, by the head alone.

    Parameters
    ----------
    zeros : mapping or None
        The logit of each whose score is 0.5, 0 where none is named; None takes those in the metadata of the weights.

    Returns
    -------
    dict
        Name -> what has ``score(scene, candidates)`` as ``TextScorer`` has it.
    """
    from ai_engine.clip.loading import load  # noqa: PLC0415 - torch takes seconds to import

    loaded = load(path)
    zeros = zeros_of(weights_of(path).metadata) if zeros is None else zeros
    glances: WeakKeyDictionary[Scene, Glance] = WeakKeyDictionary()
    return {str(by): _Sharing(TextScorer(lambda: loaded, by=by, zero=zeros.get(by, 0.0)), glances) for by in By}
