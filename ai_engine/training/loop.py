"""The loop of a run: draw a batch, mark it, step, follow; now and then validate, keep the best, write all down.

READ FIRST. What a step draws follows from the plan's seed and the step, so a run that is cut off and resumed goes the
same way as one that is not.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ai_engine.composites import Composite
from ai_engine.sam2 import network as sam2
from ai_engine.training import checkpoints, journal
from ai_engine.training.batches import Batch, batch_of
from ai_engine.training.checkpoints import BEST, Run
from ai_engine.training.losses import Losses, losses
from ai_engine.training.material import Pool
from ai_engine.training.steps import Clock, Course, Told, go_on, prepare
from ai_engine.training.validation import validate


@dataclass(frozen=True, eq=False)
class Material:
    """What a run learns from and what it is judged by; validation composites are of other patients in other lungs."""

    training: Sequence[Composite]
    validation: Sequence[Composite]


def train(
    run: Run, material: Material, folder: Path, watch: Callable[[Told], None], clock: Clock = time.monotonic
) -> None:
    """Go on with a run until its plan ends; checkpoints, log and plot go into ``folder``."""
    pool = Pool(material.training, run.plan.seed)

    def step(progress: float) -> dict[str, Any]:
        loss = one_step(run, pool, progress).as_json()
        return {"kind": run.plan.kind(run.step - 1).name, **loss}

    course = Course(
        step, lambda log: _look(run, material, folder, log), lambda: checkpoints.save(run, folder), "dice_3d"
    )
    go_on(run, course, folder, watch, clock)


def one_step(run: Run, pool: Pool, progress: float) -> Losses:
    """Do one step of a run."""
    step, plan = run.step, run.plan
    device = next(run.network.parameters()).device
    prepare(run, progress)
    batch = batch_of(pool, plan, step, size=sam2.image_size(run.network)).to(device)
    run.network.train()
    parts = _marked(run.network, batch)
    run.optimiser.zero_grad(set_to_none=True)
    parts.total.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), plan.largest_gradient)
    run.optimiser.step()
    run.step += 1
    run.follow()
    return parts


def _marked(network: torch.nn.Module, batch: Batch) -> Losses:
    device = batch.frames.device
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        masks, objects = sam2.forward_clip(network, batch.frames, batch.points, batch.point_labels)
    return losses(masks.float(), objects.float(), batch.truth)


def _look(run: Run, material: Material, folder: Path, log: journal.Journal) -> None:
    """Validate the average of the weights and keep it if it is the best so far."""
    if run.curve and run.curve[-1]["step"] == run.step:
        return
    seen = validate(run.average, material.validation)
    run.curve.append({"step": run.step, "seconds": round(run.seconds, 1), **seen.as_json()})
    log.write(**run.curve[-1])
    if seen.worth > run.best:
        run.best = seen.worth
        checkpoints.save(run, folder, BEST)
    checkpoints.save(run, folder)
    journal.plot(journal.read(folder)).save(folder / "curve.png")
