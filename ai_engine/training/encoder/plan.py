"""What a run of the encoder does at which step; all of it a function of the plan and the step."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ai_engine.training.schedule import Schedule

#: What of a plan may be another when a run goes on.
LENGTH = ("steps", "hours")


class Text(StrEnum):
    """What the text is worth is told by training with it, with its truth dealt out by chance, and without it."""

    TRUE = "true"
    SHUFFLED = "shuffled"
    NONE = "none"


@dataclass(frozen=True)
class Plan(Schedule):
    """One run.

    Attributes
    ----------
    batch : int
        Places in a step.
    sham_share : float
        Of the places without a nodule.
    held_out : tuple of str
        Patients whose lungs the run does not see.
    only_close : bool
        Whether the close look learns alone: how candidates are scored stays as it was learnt before.
    """

    batch: int = 48
    warm_up: int = 100
    learning_rate: float = 2e-3
    weight_decay: float = 0.03
    ema: float = 0.995
    sham_share: float = 0.1
    text: str = Text.TRUE
    held_out: tuple[str, ...] = ()
    only_close: bool = False
    validate_every: int = 200

    @property
    def nodule_share(self) -> float:
        """Of the places of a step: half, but where nothing is ranked nine of ten."""
        return 0.9 if self.only_close else 0.5

    def as_json(self) -> dict[str, Any]:
        """Say the plan as plain values."""
        return {**asdict(self), "text": str(self.text)}
