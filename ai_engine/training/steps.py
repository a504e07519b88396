"""What the loops of all networks share: step until the plan ends, write each step down, look and save now and then."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from ai_engine.training import journal
from ai_engine.training.schedule import Schedule

FIRST_LOSSES = 200
SAVE_EVERY_S = 300.0

Clock = Callable[[], float]


@dataclass(frozen=True)
class Told:
    """How far a run is, for whoever watches; ``seen`` is the last validation's figure, None before the first."""

    step: int
    progress: float
    loss: float
    seen: float | None


class Going(Protocol):
    """A run, as far as all are alike."""

    optimiser: torch.optim.Optimizer
    step: int
    seconds: float
    curve: list[dict[str, Any]]
    first_losses: list[float]

    @property
    def plan(self) -> Schedule:
        """How long it is, and how it steps."""


@dataclass(frozen=True)
class Course:
    """What is done on the way of a run.

    Attributes
    ----------
    step : callable
        Does one, given the progress; returns the ``loss`` and what else is written down of it.
    look : callable
        Validates, keeps the best and writes to the journal it is given; does nothing twice at one step.
    save : callable
        Writes a checkpoint.
    figure : str
        Of the validations, what is shown.
    """

    step: Callable[[float], dict[str, Any]]
    look: Callable[[journal.Journal], None]
    save: Callable[[], None]
    figure: str


def go_on(
    run: Going, course: Course, folder: Path, watch: Callable[[Told], None], clock: Clock = time.monotonic
) -> None:
    """Go on with a run until its plan ends; its log goes into ``folder``."""
    torch.set_num_threads(1)
    log = journal.Journal(folder, run.step)
    begun, before = clock(), run.seconds
    saved = begun
    while (progress := run.plan.progress(run.step, run.seconds)) < 1.0:
        told = course.step(progress)
        run.seconds = before + clock() - begun
        if run.step <= FIRST_LOSSES:
            run.first_losses.append(told["loss"])
        log.write(step=run.step, **told, seconds=round(run.seconds, 1))
        if run.step % run.plan.validate_every == 0:
            course.look(log)
        if clock() - saved > SAVE_EVERY_S:
            course.save()
            saved = clock()
        watch(Told(run.step, progress, told["loss"], run.curve[-1][course.figure] if run.curve else None))
    course.look(log)
    course.save()


def prepare(run: Going, progress: float) -> None:
    """Make ready for a step: its chance follows from seed and step, its rate from the plan."""
    torch.manual_seed(run.plan.seed * 1_000_003 + run.step)
    for group in run.optimiser.param_groups:
        group["lr"] = run.plan.rate(run.step, progress)
