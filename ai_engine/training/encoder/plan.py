"""What a run of the encoder does at which step; all of it a function of the plan and the step."""

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

#: What of a plan may be another when a run goes on.
LENGTH = ("steps", "hours")


class Text(StrEnum):
    """What the text is worth is told by training with it, with its truth dealt out by chance, and without it."""

    TRUE = "true"
    SHUFFLED = "shuffled"
    NONE = "none"


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes
    ----------
    steps, hours : int or None, float or None
        The run ends, and its learning rate reaches its floor, at whichever comes first; one of them is needed.
    batch : int
        Places in a step; half of them nodules.
    sham_share : float
        Of the places without a nodule.
    held_out : str or None
        Patient whose lung the run does not see.
    """

    seed: int = 1
    steps: int | None = None
    hours: float | None = None
    batch: int = 48
    warm_up: int = 100
    learning_rate: float = 2e-3
    floor: float = 0.02
    weight_decay: float = 0.03
    largest_gradient: float = 1.0
    ema: float = 0.995
    sham_share: float = 0.1
    text: str = Text.TRUE
    held_out: str | None = None
    validate_every: int = 200

    def __post_init__(self) -> None:
        if self.steps is None and self.hours is None:
            raise ValueError("a run needs a number of steps or of hours")

    def progress(self, step: int, seconds: float) -> float:
        """How much of the run is done, 0 to 1."""
        by_steps = 0.0 if self.steps is None else step / self.steps
        by_time = 0.0 if self.hours is None else seconds / (3600 * self.hours)
        return min(1.0, max(by_steps, by_time))

    def rate(self, step: int, progress: float) -> float:
        """Learning rate of a step: a straight rise, then a cosine down to ``floor`` of its height."""
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        fall = 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate * (self.floor + (1 - self.floor) * fall)

    def decay(self, step: int) -> float:
        """Decay of the moving average at a step: short at first."""
        return min(self.ema, (1 + step) / (10 + step))

    def rng(self, step: int, *index: int) -> np.random.Generator:
        """Give the source of chance of a step, or of one part of it."""
        return np.random.default_rng((self.seed, step, *index))

    def as_json(self) -> dict[str, Any]:
        """Say the plan as plain values."""
        return {**asdict(self), "text": str(self.text)}
