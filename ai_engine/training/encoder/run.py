"""A run of the encoder on disk: weights, their average, optimiser, and the best so far, so that it can go on."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ai_engine.clip import network as clip
from ai_engine.clip.loading import Loaded, placed, save
from ai_engine.clip.vocabulary import Vocabulary
from ai_engine.errors import TrainingError
from ai_engine.sam2.weights import sha256_of
from ai_engine.training import checkpoints
from ai_engine.training.checkpoints import LATEST
from ai_engine.training.encoder.anchors import Anchors
from ai_engine.training.encoder.plan import LENGTH, Plan

# Of ``network.Encoder``.
_CLOSE = "close"


@dataclass
class Run:
    """What changes while a run goes on; ``average`` is the moving average of ``network``, ``hardness`` the pool's."""

    plan: Plan
    vocabulary: Vocabulary
    network: clip.Encoder
    average: clip.Encoder
    anchors: Anchors
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    first_losses: list[float] = field(default_factory=list)
    hardness: dict[str, Tensor] = field(default_factory=dict)

    def wake(self) -> None:
        """Make ready to learn; what does not learn sees as it will when it is asked."""
        for name, part in self.network.named_children():
            part.train(name == _CLOSE or not self.plan.only_close)

    def follow(self) -> None:
        """Move the average towards the weights; what batch normalisation counts is taken over."""
        decay = self.plan.decay(self.step)
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
            for counted, now in zip(self.average.buffers(), self.network.buffers(), strict=True):
                counted.copy_(now)

    def ready(self) -> Loaded:
        """Return the average, ready to be asked."""
        return placed(self.average, self.vocabulary)


def begin(plan: Plan, vocabulary: Vocabulary, start: Path | None = None) -> Run:
    """Start a run.

    Parameters
    ----------
    plan : Plan
        Its seed says with which random weights, where there is no ``start``.
    start : Path or None
        Folder of a run whose best weights this one begins with.

    Raises
    ------
    TrainingError
        There is no such run, or it knows other words.
    """
    network = clip.build(clip.Config(len(vocabulary.words)), plan.seed)
    network = network.to(memory_format=torch.channels_last_3d)
    anchors = Anchors(network.config.dimension, plan.seed)
    if start is not None:
        state = checkpoints.read(start, checkpoints.BEST)
        _check_words(state, vocabulary, start)
        _begin_with(network, state["average"])
        anchors.load_state_dict(state["anchors"])
    if plan.only_close:
        network.requires_grad_(False)
        network.get_submodule(_CLOSE).requires_grad_(True)
        anchors.requires_grad_(False)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimiser = checkpoints.optimiser_of(plan, network, anchors.parameters())
    return Run(plan, vocabulary, network, average, anchors, optimiser)


def _begin_with(network: clip.Encoder, weights: dict[str, Tensor]) -> None:
    """Take weights over; those of a network without a close look leave it as it begins."""
    own = {name: value for name, value in network.state_dict().items() if name.startswith(f"{_CLOSE}.")}
    network.load_state_dict(own | weights)


def write(run: Run, folder: Path, name: str = LATEST) -> None:
    """Write a checkpoint."""
    state = {
        "plan": run.plan.as_json(),
        "words": list(run.vocabulary.words),
        "network": run.network.state_dict(),
        "average": run.average.state_dict(),
        "anchors": run.anchors.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        **{name: getattr(run, name) for name in ("step", "seconds", "best", "curve", "first_losses", "hardness")},
    }
    checkpoints.write(state, folder, name)


def restore(run: Run, folder: Path, name: str = LATEST) -> None:
    """Bring a run to where its checkpoint was.

    Raises
    ------
    TrainingError
        There is no checkpoint, or it is of a run with another plan, but for its length, or other words.
    """
    state = checkpoints.read(folder, name)
    plan = run.plan.as_json()
    others = [
        f"{each} {was}, not {plan.get(each)}"
        for each, was in state["plan"].items()
        if each not in LENGTH and was != plan.get(each)
    ]
    if others:
        raise TrainingError(f"the run in {folder} has {'; '.join(others)}")
    _check_words(state, run.vocabulary, folder)
    run.network.load_state_dict(state["network"])
    run.average.load_state_dict(state["average"])
    run.anchors.load_state_dict(state["anchors"])
    run.optimiser.load_state_dict(state["optimiser"])
    for each in ("step", "seconds", "best", "curve", "first_losses", "hardness"):
        setattr(run, each, state[each])


def _check_words(state: dict[str, Any], vocabulary: Vocabulary, folder: Path) -> None:
    if tuple(state["words"]) != vocabulary.words:
        raise TrainingError(f"the run in {folder} knows other words than this version")


def export(folder: Path, name: str, facts: dict[str, Any], to: Path) -> dict[str, Any]:
    """Write the average of a checkpoint as ``to`` (safetensors); return what belongs beside it as ``.json``."""
    state = checkpoints.read(folder, name)
    vocabulary = Vocabulary(tuple(state["words"]))
    network = clip.build(clip.Config(len(vocabulary.words)), seed=0)
    _begin_with(network, state["average"])
    save(network, vocabulary, to)
    return {
        "size": to.stat().st_size,
        "sha256": sha256_of(to),
        **facts,
        "parameters": sum(value.numel() for value in network.parameters()),
        **{name: state[name] for name in ("plan", "curve", "first_losses", "best")},
        "steps": state["step"],
        "seconds": round(state["seconds"]),
    }
