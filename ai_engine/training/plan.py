"""What a run does at which step; all of it a function of the plan and the step, so that a run can be repeated."""

from dataclasses import asdict, dataclass
from typing import Any

from ai_engine.training.schedule import Schedule


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
class Plan(Schedule):
    """One run.

    Attributes
    ----------
    clip_share : tuple of float
        Share of steps that see clips: at the start and from ``clip_steps`` on.
    clip_frames : tuple of int
        How many slices clips have, each as often as it stands here.
    clip_slices : int
        All clips of a step have about this many slices together.
    """

    slices: int = 8
    clip_share: tuple[float, float] = (0.25, 0.65)
    clip_steps: int = 6000
    clip_frames: tuple[int, ...] = (4, 4, 5, 5, 6, 6, 7, 8, 10, 12)
    clip_slices: int = 26
    validate_every: int = 1500

    def kind(self, step: int) -> BatchKind:
        """Draw what a step looks at."""
        rng = self.rng(step)
        first, last = self.clip_share
        share = first + (last - first) * min(1.0, step / self.clip_steps)
        if rng.random() >= share:
            return BatchKind(1, self.slices)
        frames = int(rng.choice(self.clip_frames))
        return BatchKind(frames, max(1, round(self.clip_slices / frames)))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Plan":
        """Read what ``as_json`` said."""
        fields: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}
        return cls(**fields)

    def as_json(self) -> dict[str, Any]:
        """Say the plan as plain values."""
        return asdict(self)
