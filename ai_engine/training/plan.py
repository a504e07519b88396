"""What a run does at which step; all of it a function of the plan and the step, so that a run can be repeated."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class BatchKind:
    """What one step looks at: ``size`` clips of ``frames`` slices each; one frame is a prompted slice alone."""

    frames: int
    size: int

    @property
    def name(self) -> str:
        """Name in logs and plots."""
        return "slices" if self.frames == 1 else "clips"


@dataclass(frozen=True)
class Plan:
    """One run.

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
    clip_share : tuple of float
        Share of steps that see clips: at the start and from ``clip_steps`` on.
    clip_frames : tuple of int
        How many slices clips have, each as often as it stands here.
    clip_slices : int
        All clips of a step have about this many slices together.
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
    slices: int = 8
    clip_share: tuple[float, float] = (0.25, 0.65)
    clip_steps: int = 6000
    clip_frames: tuple[int, ...] = (4, 4, 5, 5, 6, 6, 7, 8, 10, 12)
    clip_slices: int = 26
    validate_every: int = 1500

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

    def kind(self, step: int) -> BatchKind:
        """Draw what a step looks at."""
        rng = self.rng(step)
        first, last = self.clip_share
        share = first + (last - first) * min(1.0, step / self.clip_steps)
        if rng.random() >= share:
            return BatchKind(1, self.slices)
        frames = int(rng.choice(self.clip_frames))
        return BatchKind(frames, max(1, round(self.clip_slices / frames)))

    def rng(self, step: int, *index: int) -> np.random.Generator:
        """Give the source of chance of a step, or of one part of it: no other step's draws change it."""
        return np.random.default_rng((self.seed, step, *index))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Plan":
        """Read what ``as_json`` said."""
        fields: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}
        return cls(**fields)

    def as_json(self) -> dict[str, Any]:
        """Say the plan as plain values."""
        return asdict(self)
