"""What the agreements of a mask say of its Dice, learnt from composites of validation patients."""

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.stats import spearmanr

from ai_engine.candidates.prompted import candidate_of
from ai_engine.errors import EmptySegment, TrainingError
from ai_engine.evaluation.domain import Subject
from ai_engine.evaluation.prompts import box_of
from ai_engine.evaluation.scores import dice, together
from ai_engine.evaluation.segmentation import match
from ai_engine.sam2.confidence import Agreement, Confidence
from ai_engine.sam2.segmenter import Sam2Segmenter
from ai_engine.stages import Detector

# The least sure of all masks are flagged, this share of them: a warning that stands at every third is not read.
FLAGGED = 0.1
FEWEST = 20


@dataclass(frozen=True)
class Example:
    """One mask: what it agrees with, and its Dice with the truth."""

    agreement: Agreement
    dice: float


@dataclass(frozen=True)
class Calibration:
    """A fitted confidence, and how well it does on the examples that it was fitted to.

    Attributes
    ----------
    rank_correlation : float
        Spearman's, of confidence with Dice.
    flagged : int
        Examples below the threshold.
    dice_of_flagged, dice_of_others : float
        Means.
    """

    confidence: Confidence
    n: int
    rank_correlation: float
    flagged: int
    dice_of_flagged: float
    dice_of_others: float


def examples_of(
    subject: Subject, detector: Detector, segmenter: Sam2Segmenter, rng: np.random.Generator
) -> Iterator[Example]:
    """Yield the masks of a subject's lesion: those of the node's own candidates, and that of a jittered box."""
    truth = subject.lesion.truths[0].segment
    prompted = candidate_of(subject.scene, box_of(truth, rng))
    for candidate in (prompted, *detector.detect(subject.scene)):
        try:
            segment, agreement = segmenter.agreed(subject.scene, candidate)
        except EmptySegment:
            continue
        if match(subject, [segment]) is not None:
            yield Example(agreement, dice(*together(truth, segment)))


def fitted(examples: Iterable[Example]) -> Calibration:
    """Fit the line by least squares without negative weights, and flag the least sure tenth of the masks.

    Raises
    ------
    TrainingError
        There are too few examples.
    """
    table = np.array([(*astuple(each.agreement), each.dice) for each in examples]).reshape(-1, 4)
    if len(table) < FEWEST:
        raise TrainingError(f"{len(table)} masks are too few to calibrate on; {FEWEST} are needed")
    agreements, truth = table[:, :3], table[:, 3]
    weights, _ = nnls(agreements - agreements.mean(axis=0), truth - truth.mean())
    offset = truth.mean() - agreements.mean(axis=0) @ weights
    told = np.clip(offset + agreements @ weights, 0, 1)
    threshold = np.quantile(told, FLAGGED)
    flagged = told < threshold
    return Calibration(
        Confidence(*(round(float(value), 4) for value in (offset, *weights, threshold))),
        len(table),
        float(spearmanr(told, truth).statistic),
        int(flagged.sum()),
        float(truth[flagged].mean()),
        float(truth[~flagged].mean()),
    )
