"""One scan searched and matched with its truth. READ FIRST of the files on detection.

scene -> proposals -> scores -> one candidate per place -> hits, false positives
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import process_time
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ai_engine.candidates import Proposer, own_scores
from ai_engine.candidates.merging import merged, with_scores
from ai_engine.domain import Candidate, CtVolume, FloatArray, NoduleType, Segment
from ai_engine.evaluation.froc import Searched, Target
from ai_engine.evaluation.scores import diameter_mm
from ai_engine.evaluation.segmentation import radius_mm
from ai_engine.lungs import ThresholdLungs
from ai_engine.scene import Scene, scene_of

OWN = "candidates' own score"


class Scorer(Protocol):
    """What ranks the candidates of a scene: the higher, the rather a nodule."""

    def score(self, scene: Scene, candidates: Sequence[Candidate]) -> ArrayLike:
        """Return one score for each candidate."""
        ...


class OwnScore:
    """Ranks candidates as the searches that proposed them do; stands beside every scorer."""

    def score(self, scene: Scene, candidates: Sequence[Candidate]) -> ArrayLike:
        """Return one score for each candidate."""
        return own_scores(list(candidates))


class Standing(StrEnum):
    """What a structure of a scan is to the figures."""

    TARGET = "target"
    IGNORED = "ignored"  # neither to be found nor a false positive


@dataclass(frozen=True)
class Truth:
    """One nodule of a scan.

    Attributes
    ----------
    centre_mm : tuple of float
        Along k, r, c of the turned volume from voxel (0, 0, 0).
    radius_mm : float
        A candidate hits it if its centre lies nearer to the nodule's than this (LUNA16).
    diameter_mm : float
        Mean of long and short axis.
    """

    name: str
    centre_mm: tuple[float, float, float]
    radius_mm: float
    diameter_mm: float
    nodule_type: NoduleType | None
    standing: Standing = Standing.TARGET


@dataclass(frozen=True, eq=False)
class Exam:
    """One scan with all that is known of its nodules; the volume is turned."""

    lung: str
    scan: str
    volume: CtVolume
    truths: tuple[Truth, ...]


@dataclass(frozen=True, eq=False)
class Proposed:
    """A scan's candidates before anything scored them.

    Attributes
    ----------
    searched : Searched
        All candidates, duplicates too, by rank within their channel.
    seconds : float
        CPU seconds of the proposals alone.
    """

    scene: Scene
    candidates: tuple[Candidate, ...]
    searched: Searched
    seconds: float


def truth_of(
    name: str, outline: Segment, volume: CtVolume, nodule_type: NoduleType | None, standing: Standing = Standing.TARGET
) -> Truth:
    """Make the truth of an outline on the grid of a volume."""
    spacing = volume.spacing_krc_mm
    k, r, c = (float(value) for value in outline.middle_krc * spacing)
    diameter = diameter_mm(outline.mask, spacing)
    return Truth(name, (k, r, c), radius_mm(outline, spacing), diameter, nodule_type, standing)


def proposed(exam: Exam, proposer: Proposer) -> Proposed:
    """Search a scan; raises ``NoLungs``."""
    scene = scene_of(exam.volume, ThresholdLungs().find(exam.volume))
    begun = process_time()
    candidates = tuple(proposer.propose(scene))
    seconds = process_time() - begun
    return Proposed(scene, candidates, matched(exam, candidates, own_scores(list(candidates))), seconds)


def judged(exam: Exam, found: Proposed, scorers: Mapping[str, Scorer]) -> dict[str, Searched]:
    """Score the candidates of a scan with every scorer, merge them (``merging``) and match them."""
    return {
        name: ranked(exam, found.candidates, scorer.score(found.scene, found.candidates))
        for name, scorer in scorers.items()
    }


def ranked(exam: Exam, candidates: Sequence[Candidate], scores: ArrayLike) -> Searched:
    """Merge candidates by their scores, as the node does, and match them."""
    kept = merged(with_scores(candidates, scores), exam.volume.spacing_krc_mm)
    return matched(exam, kept, [each.score for each in kept])


def matched(exam: Exam, candidates: Sequence[Candidate], scores: ArrayLike) -> Searched:
    """Match candidates with the truth as LUNA16 does.

    Every candidate belongs to the nodule whose centre it lies nearest to, in radii, if that is below 1. The best one is
    the hit; further ones are neither hits nor false positives, nor are those that hit what is ignored.
    """
    values = np.asarray(scores, dtype=np.float64)
    belongs = _nearest(exam, candidates)
    targets = [
        Target(truth.name, truth.nodule_type, truth.diameter_mm, _best(values[belongs == number]))
        for number, truth in enumerate(exam.truths)
        if truth.standing is Standing.TARGET
    ]
    return Searched(exam.lung, exam.scan, tuple(targets), tuple(values[belongs < 0].tolist()))


def hits(exam: Exam, candidates: Sequence[Candidate], scores: ArrayLike) -> dict[str, int]:
    """Give the index of the best candidate on each nodule that is to be found, by its name; matched as ``matched``."""
    values = np.asarray(scores, dtype=np.float64)
    belongs = _nearest(exam, candidates)
    best = {}
    for number, truth in enumerate(exam.truths):
        mine = np.nonzero(belongs == number)[0]
        if truth.standing is Standing.TARGET and len(mine):
            best[truth.name] = int(mine[values[mine].argmax()])
    return best


def _nearest(exam: Exam, candidates: Sequence[Candidate]) -> NDArray[np.int_]:
    """Give the number of the truth that each candidate hits, (n,) int; -1 for none."""
    if not exam.truths or not candidates:
        return np.full(len(candidates), -1)
    places = np.array([candidate.centre_krc for candidate in candidates]) * exam.volume.spacing_krc_mm
    centres = np.array([truth.centre_mm for truth in exam.truths])
    radii = np.array([truth.radius_mm for truth in exam.truths])
    distances: FloatArray = np.linalg.norm(places[:, None] - centres, axis=2) / radii
    return np.where(distances.min(axis=1) < 1, distances.argmin(axis=1), -1)


def _best(scores: FloatArray) -> float | None:
    return float(scores.max()) if len(scores) else None
