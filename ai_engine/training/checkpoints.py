"""A run on disk, so that it can go on where it was cut off: weights, their average, optimiser, and the best so far.

Chance needs no place here: what a step draws follows from seed and step (``plan.Plan.rng``).
"""

import copy
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ai_engine.errors import TrainingError
from ai_engine.training.plan import Plan
from ai_engine.training.schedule import Schedule

LATEST = "latest.pt"
BEST = "best.pt"


@dataclass
class Run:
    """What changes while a run goes on.

    Attributes
    ----------
    average : nn.Module
        Moving average of the weights of ``network``.
    step : int
        Steps done.
    seconds : float
        Wall seconds spent on them, over all restarts.
    curve : list of dict
        Validations so far.
    first_losses : list of float
        Of the first 200 steps: a repeated run must give them again.
    """

    plan: Plan
    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    curve: list[dict[str, float]] = field(default_factory=list)
    first_losses: list[float] = field(default_factory=list)

    def follow(self) -> None:
        """Move the average towards the weights."""
        decay = self.plan.decay(self.step)
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)


def begin(plan: Plan, network: nn.Module) -> Run:
    """Start a run with a network that was just initialised."""
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return Run(plan, network, average, optimiser_of(plan, network))


def optimiser_of(plan: Schedule, network: nn.Module, unpulled: Iterable[nn.Parameter] = ()) -> torch.optim.Optimizer:
    """AdamW; biases, norms, single tokens and what is given as ``unpulled`` are not pulled towards zero."""
    matrices = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    others += [p for p in unpulled if p.requires_grad]
    groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=plan.learning_rate)


def save(run: Run, folder: Path, name: str = LATEST) -> None:
    """Write a checkpoint."""
    state = {
        "plan": run.plan.as_json(),
        "network": run.network.state_dict(),
        "average": run.average.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "step": run.step,
        "seconds": run.seconds,
        "best": run.best,
        "curve": run.curve,
        "first_losses": run.first_losses,
    }
    write(state, folder, name)


def write(state: dict[str, Any], folder: Path, name: str) -> None:
    """Write a checkpoint's values; one that is cut off while it is written leaves the one before."""
    part = folder / f"{name}.part"
    torch.save(state, part)
    os.replace(part, folder / name)


def load(run: Run, folder: Path, name: str = LATEST) -> None:
    """Bring a run to where its checkpoint was.

    Raises
    ------
    TrainingError
        There is no checkpoint, or it is of a run with another seed.
    """
    state = read(folder, name)
    if state["plan"]["seed"] != run.plan.seed:
        raise TrainingError(f"the run in {folder} has seed {state['plan']['seed']}, not {run.plan.seed}")
    run.network.load_state_dict(state["network"])
    run.average.load_state_dict(state["average"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.step, run.seconds = int(state["step"]), float(state["seconds"])
    run.best, run.curve, run.first_losses = state["best"], state["curve"], state["first_losses"]


def read(folder: Path, name: str = LATEST) -> dict[str, Any]:
    """Read a checkpoint's values, tensors on the CPU; raises ``TrainingError`` where there is none."""
    path = folder / name
    if not path.is_file():
        raise TrainingError(f"no checkpoint at {path}")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Round weights to 16 bits, for shipping."""
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in weights.items()
    }
