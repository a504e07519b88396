"""How long a run is and how it steps: what the plans of all networks share."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Schedule:
    """All of it a function of itself and the step, so that a run can be repeated.

    Attributes
    ----------
    steps, hours : int or None, float or None
        The run ends, and its learning rate reaches its floor, at whichever comes first; one of them is needed.
    warm_up : int
        Steps over which the learning rate rises.
    learning_rate : float
        At the end of the warm-up.
    ema : float
        Decay of the moving average of the weights, which is what validation sees and what is exported.
    validate_every : int
        Steps between two validations.
    """

    seed: int = 1
    steps: int | None = None
    hours: float | None = None
    warm_up: int = 400
    learning_rate: float = 5e-4
    floor: float = 0.02
    weight_decay: float = 0.02
    largest_gradient: float = 1.0
    ema: float = 0.999
    validate_every: int = 250

    def __post_init__(self) -> None:
        if self.steps is None and self.hours is None:
            raise ValueError("a run needs a number of steps or of hours")

    def progress(self, step: int, seconds: float) -> float:
        """How much of the run is done after ``step`` steps and ``seconds`` seconds, 0 to 1."""
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
        """Decay of the moving average at a step: short at first, when the weights still run."""
        return min(self.ema, (1 + step) / (10 + step))

    def rng(self, step: int, *index: int) -> np.random.Generator:
        """Give the source of chance of a step, or of one part of it: no other step's draws change it."""
        return np.random.default_rng((self.seed, step, *index))
