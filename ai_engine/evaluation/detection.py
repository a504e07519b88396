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
from ai_engine.candidates.merging import merged
from ai_engine.domain import Candidate, CtVolume, FloatArray, HuArray, NoduleType, Segment
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
class FalsePositive:
    """A candidate that hits nothing, with its slice of the scan, (r, c) int16."""

    scan: str
    candidate: Candidate
    score: float
    hu: HuArray
    pixel_mm: float


@dataclass(frozen=True, eq=False)
class Judged:
    """What one scorer made of one scan.

    Attributes
    ----------
    searched : Searched
    false_positives : tuple of (Candidate, float)
        All of them with their scores, the best first.
    """

    searched: Searched
    false_positives: tuple[tuple[Candidate, float], ...]


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
    return Proposed(scene, candidates, matched(exam, candidates, own_scores(list(candidates)))[0], seconds)


def judged(exam: Exam, found: Proposed, scorers: Mapping[str, Scorer]) -> dict[str, Judged]:
    """Score the candidates of a scan with every scorer and match them."""
    results = {}
    for name, scorer in scorers.items():
        scores = np.asarray(scorer.score(found.scene, found.candidates), dtype=np.float64)
        kept = merged(found.candidates, scores, exam.volume.spacing_krc_mm)
        searched, wrong = matched(exam, [found.candidates[i] for i in kept], scores[kept])
        results[name] = Judged(searched, tuple((found.candidates[kept[i]], float(scores[kept[i]])) for i in wrong))
    return results


def matched(exam: Exam, candidates: Sequence[Candidate], scores: ArrayLike) -> tuple[Searched, list[int]]:
    """Match candidates with the truth as LUNA16 does.

    Every candidate belongs to the nodule whose centre it lies nearest to, in radii, if that is below 1. The best one is
    the hit; further ones are neither hits nor false positives, nor are those that hit what is ignored.

    Returns
    -------
    Searched, list of int
        And the indices of the false positives, in the order given.
    """
    values = np.asarray(scores, dtype=np.float64)
    belongs = _nearest(exam, candidates)
    targets = [
        Target(truth.name, truth.nodule_type, truth.diameter_mm, _best(values[belongs == number]))
        for number, truth in enumerate(exam.truths)
        if truth.standing is Standing.TARGET
    ]
    wrong = [int(i) for i in np.nonzero(belongs < 0)[0]]
    return Searched(exam.lung, exam.scan, tuple(targets), tuple(float(values[i]) for i in wrong)), wrong


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


# Half the side of a false positive's picture.
_HALF_MM = 30.0


def pictured(exam: Exam, candidate: Candidate, score: float) -> FalsePositive:
    """Cut a false positive's slice out of its scan."""
    volume = exam.volume
    k, *middle = (round(value) for value in candidate.centre_krc)
    half = np.ceil(_HALF_MM / np.array(volume.spacing_krc_mm[1:])).astype(int)
    rows, columns = (
        np.clip(np.arange(at - n, at + n + 1), 0, size - 1)
        for at, n, size in zip(middle, half, volume.hu.shape[1:], strict=True)
    )
    hu = volume.hu[min(max(k, 0), volume.hu.shape[0] - 1)][np.ix_(rows, columns)]
    return FalsePositive(exam.scan, candidate, score, hu, volume.spacing_krc_mm[1])
