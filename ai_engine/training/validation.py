"""How good a network is in the middle of a run: prompted as a reader does and as the search, in lungs kept for this."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from ai_engine.composites import Composite
from ai_engine.domain import BoolArray, BoxPrompt, CtVolume, FloatArray
from ai_engine.sam2 import roi
from ai_engine.sam2.loading import Loaded
from ai_engine.sam2.prompting import box_of_largest
from ai_engine.sam2.propagate import outlined
from ai_engine.training.aim import box_of, is_whole, loose_box

JITTER = 0.1
_INNER = 0.5
_EMPTY_LUNG_HU = -750.0
_EMPTY_BOX_MM = 10.0


@dataclass(frozen=True)
class Validation:
    """Figures over the validation composites.

    Attributes
    ----------
    dice_3d, median_3d : float
        Mean and median 3D Dice of the targets, prompted with jittered boxes; nothing found counts as 0.
    dice_searched : float
        Mean 3D Dice of the targets, prompted with boxes as the search draws them, and refined as the node does.
    on_distractor : float
        Share of distractors that were segmented with a Dice of at least 0.5 when they were prompted.
    silent : float
        Share of boxes on empty lung that gave nothing.
    """

    dice_3d: float
    median_3d: float
    dice_searched: float
    on_distractor: float
    silent: float

    @property
    def worth(self) -> float:
        """What weights are chosen by: either prompt counts as much."""
        return (self.dice_3d + self.dice_searched) / 2

    def as_json(self) -> dict[str, float]:
        """Say the figures as plain values."""
        return {name: round(float(value), 4) for name, value in vars(self).items()}


def validate(network: nn.Module, composites: Sequence[Composite]) -> Validation:
    """Judge a network in evaluation mode, as the node runs it; the prompts are the same each time."""
    targets: list[float] = []
    searched: list[float] = []
    distractors: list[float] = []
    empty: list[bool] = []
    loaded = Loaded(network, next(network.parameters()).device, roi.windowed)
    for number in range(len(composites)):
        composite = composites[number]
        rng = np.random.default_rng((0, number))
        for label in (int(value) for value in np.unique(composite.labels) if value):
            mask = composite.labels == label
            if label == 1 or is_whole(mask):
                dice = _dice(mask, segmented(loaded, composite, jittered_box(mask, rng)))
                (targets if label == 1 else distractors).append(dice)
        truth = composite.labels == 1
        searched.append(_dice(truth, refined(loaded, composite, searched_box(truth, rng))))
        place = _empty_box(composite, rng)
        if place is not None:
            empty.append(not segmented(loaded, composite, place).any())
    followed = [dice >= 0.5 for dice in distractors]
    median = float(np.median(targets or [0.0]))
    return Validation(_mean(targets), median, _mean(searched), _mean(followed), _mean(empty))


def jittered_box(mask: BoolArray, rng: np.random.Generator) -> BoxPrompt:
    """Draw the box around a mask on its largest slice, each edge off by up to a tenth of the box."""
    k = int(mask.sum(axis=(1, 2)).argmax())
    box = box_of(mask[k])
    return _prompt(k, box + rng.uniform(-JITTER, JITTER, (2, 2)) * (box[1] - box[0]))


def searched_box(mask: BoolArray, rng: np.random.Generator) -> BoxPrompt:
    """Draw a loose square on a slice through the inner part of a mask, as the search proposes it."""
    areas = mask.sum(axis=(1, 2))
    k = int(rng.choice(np.flatnonzero(areas >= _INNER * areas.max())))
    return _prompt(k, loose_box(box_of(mask[int(areas.argmax())]), rng))


def refined(loaded: Loaded, composite: Composite, box: BoxPrompt) -> BoolArray:
    """Segment what a box of the search holds, then again with the box around that: (k, r, c) bool."""
    rough = segmented(loaded, composite, box)
    return segmented(loaded, composite, box_of_largest(rough, (0, 0, 0))) if rough.any() else rough


def segmented(loaded: Loaded, composite: Composite, box: BoxPrompt) -> BoolArray:
    """Segment what a box holds, as the node's stage does but for the lungs' border: (k, r, c) bool."""
    return outlined(CtVolume(composite.hu, np.diag([*composite.spacing_krc_mm, 1.0])), box, loaded)


def _empty_box(composite: Composite, rng: np.random.Generator) -> BoxPrompt | None:
    """Draw a box on lung without anything in it; None where none is found."""
    shape = np.array(composite.hu.shape)
    half = _EMPTY_BOX_MM / 2 / composite.spacing_krc_mm[1]
    reach = int(np.ceil(half)) + 2
    for _ in range(20):
        k, r, c = (int(value) for value in rng.integers([1, reach, reach], shape - [1, reach, reach]))
        part = (slice(k - 1, k + 2), slice(r - reach, r + reach + 1), slice(c - reach, c + reach + 1))
        if composite.hu[part].mean() < _EMPTY_LUNG_HU and not composite.labels[part].any():
            return _prompt(k, np.array([[r - half, c - half], [r + half, c + half]]))
    return None


def _prompt(k: int, box_rc: FloatArray) -> BoxPrompt:
    (r0, c0), (r1, c1) = box_rc.tolist()
    return BoxPrompt(k, (r0, c0), (r1, c1))


def _dice(truth: BoolArray, mask: BoolArray) -> float:
    return float(2 * (truth & mask).sum() / max(1, truth.sum() + mask.sum()))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
