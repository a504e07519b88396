"""The loop of an adapter's run: draw slices, name a part of each, step; now and then validate and keep the best.

What a step draws follows from the plan's seed and the step, as in ``training.loop``.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ai_engine.clip.parts import Part
from ai_engine.sam2 import network as sam2
from ai_engine.sam2.adapter import Adapter, build, channels_of
from ai_engine.training import checkpoints, journal
from ai_engine.training.adapter.material import Examples, Slices, slices_of
from ai_engine.training.checkpoints import BEST, Run
from ai_engine.training.losses import Losses, losses
from ai_engine.training.steps import Clock, Course, Told, go_on, prepare

PARTS = tuple(Part)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a run learns with and from.

    Attributes
    ----------
    network : nn.Module
        SAM2, frozen, in evaluation mode.
    names : mapping of Part to Tensor
        What names each part, (n, dimension) float32: vectors of its wordings, or one-hot ones.
    """

    network: nn.Module
    training: Examples
    validation: Examples
    names: Mapping[Part, Tensor]


def begun_with(lesson: Lesson, seed: int) -> Adapter:
    """Make an adapter with random weights for what a lesson teaches."""
    return build([lesson.names[part] for part in PARTS], channels_of(lesson.network), seed)


def train(run: Run, lesson: Lesson, folder: Path, watch: Callable[[Told], None], clock: Clock = time.monotonic) -> None:
    """Go on with a run until its plan ends; checkpoints, log and plot go into ``folder``."""
    course = Course(
        lambda progress: one_step(run, lesson, progress).as_json(),
        lambda log: _look(run, lesson, folder, log),
        lambda: checkpoints.save(run, folder),
        "dice_3d",
    )
    go_on(run, course, folder, watch, clock)


def one_step(run: Run, lesson: Lesson, progress: float) -> Losses:
    """Do one step of a run; only the adapter learns."""
    step, plan = run.step, run.plan
    prepare(run, progress)
    rng, examples = plan.rng(step), lesson.training.examples
    numbers = rng.integers(len(examples), size=plan.slices)
    at = [(int(number), int(rng.integers(len(examples[number].whole)))) for number in numbers]
    parts = [PARTS[int(i)] for i in rng.integers(len(PARTS), size=plan.slices)]
    vectors = [lesson.names[part][int(rng.integers(len(lesson.names[part])))] for part in parts]
    run.network.train()
    masks, objects = _asked(lesson.network, slices_of(lesson.training, at, rng), run.network(torch.stack(vectors)))
    truth = torch.stack([examples[number].truth(part)[k] for (number, k), part in zip(at, parts, strict=True)])
    told = losses(masks, objects, truth[:, None].float())
    run.optimiser.zero_grad(set_to_none=True)
    (told.total + _mistaken(run.network, lesson)).backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), plan.largest_gradient)
    run.optimiser.step()
    run.step += 1
    run.follow()
    return told


def _mistaken(adapter: nn.Module, lesson: Lesson) -> Tensor:
    """Cross entropy of the part that each of all wordings names, each part as much as another."""
    parts = [adapter.named(lesson.names[part]) for part in PARTS]  # type: ignore[operator]
    costs = [cross_entropy(told, torch.full((len(told),), number)) for number, told in enumerate(parts)]
    return torch.stack(costs).mean()


def _asked(network: nn.Module, slices: Slices, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Ask for the object in each box: mask logits (n, 1, size, size), object logits (n, 1)."""
    labels = torch.tensor([[sam2.BOX_LOW, sam2.BOX_HIGH]] * len(slices.boxes))
    return sam2.forward_seen(network, slices.features, slices.boxes, labels, tokens)


@torch.no_grad()
def validate(adapter: nn.Module, lesson: Lesson) -> dict[str, float]:
    """Judge an adapter on the validation examples: 3D Dice with the named part, and with the other one.

    Returns
    -------
    dict
        ``dice_3d``: the mean of both parts; ``difference``: by how much it exceeds that with the other part; and of
        each part ``named`` and ``other``.
    """
    adapter.eval()
    told: dict[str, float] = {}
    for part in PARTS:
        dices = [_dices(adapter, lesson, number, part) for number in range(len(lesson.validation.examples))]
        named, other = np.mean(dices, axis=0)
        told |= {f"{part.name.lower()}_named": float(named), f"{part.name.lower()}_other": float(other)}
    named, other = (float(np.mean([told[f"{part.name.lower()}_{of}"] for part in PARTS])) for of in ("named", "other"))
    return {name: round(v, 4) for name, v in {"dice_3d": named, "difference": named - other, **told}.items()}


def _dices(adapter: nn.Module, lesson: Lesson, number: int, part: Part) -> tuple[float, float]:
    rng = np.random.default_rng((0, number))
    example, names = lesson.validation.examples[number], lesson.names[part]
    slices = slices_of(lesson.validation, [(number, k) for k in range(len(example.whole))], rng)
    tokens = adapter(names[int(rng.integers(len(names)))][None])
    masks, objects = _asked(lesson.network, slices, tokens.expand(len(slices.boxes), -1, -1))
    found = (masks.sigmoid() * objects.sigmoid()[..., None, None] > 0.5)[:, 0]
    named, other = (_dice(found, example.truth(each)) for each in (part, *(p for p in PARTS if p is not part)))
    return named, other


def _dice(found: Tensor, truth: Tensor) -> float:
    return float(2 * (found & truth).sum() / max(1, int(found.sum() + truth.sum())))


def _look(run: Run, lesson: Lesson, folder: Path, log: journal.Journal) -> None:
    """Validate the average of the weights; the best so far is kept: where the named part stands out most."""
    if run.curve and run.curve[-1]["step"] == run.step:
        return
    run.curve.append({"step": run.step, "seconds": round(run.seconds, 1), **validate(run.average, lesson)})
    log.write(**run.curve[-1])
    if run.curve[-1]["difference"] > run.best:
        run.best = run.curve[-1]["difference"]
        checkpoints.save(run, folder, BEST)
    checkpoints.save(run, folder)
    journal.plot(journal.read(folder)).save(folder / "curve.png")
