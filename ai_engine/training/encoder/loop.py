"""The loop of a run: draw places and sentences, mark them, step, follow; validate now and then and keep the best.

READ FIRST. What a step draws follows from the plan's seed and the step, so a run that is cut off and resumed goes the
same way as one that is not.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ai_engine.training import journal
from ai_engine.training.checkpoints import BEST
from ai_engine.training.encoder.batches import Batch, batch_of
from ai_engine.training.encoder.losses import Losses, Said, losses, score_of
from ai_engine.training.encoder.places import Places
from ai_engine.training.encoder.plan import Text
from ai_engine.training.encoder.pool import Pool
from ai_engine.training.encoder.run import Run, write
from ai_engine.training.encoder.validation import Judged
from ai_engine.training.steps import Clock, Course, Told, go_on, prepare


def train(
    run: Run,
    training: Places,
    judged: Judged,
    folder: Path,
    watch: Callable[[Told], None],
    clock: Clock = time.monotonic,
) -> None:
    """Go on with a run until its plan ends; checkpoints and log go into ``folder``."""
    pool = Pool(training, run.hardness)
    course = Course(
        lambda progress: one_step(run, pool, progress).as_json(),
        lambda log: _look(run, judged, folder, log),
        lambda: write(run, folder),
        "mean_sensitivity",
    )
    go_on(run, course, folder, watch, clock)


def one_step(run: Run, pool: Pool, progress: float) -> Losses:
    """Do one step of a run."""
    step, plan = run.step, run.plan
    prepare(run, progress)
    batch = batch_of(pool, plan, run.vocabulary, step)
    run.wake()
    with torch.autocast("cpu", torch.bfloat16):
        looks = (
            *run.network.images(batch.fine, batch.coarse),
            run.network.closely(batch.fine, batch.coarse, batch.close),
        )
    images, head, closely = (each.float() for each in looks)
    said = _said(run, batch, images, head, closely)
    parts = losses(said, batch.verdicts, batch.nodules, batch.weights, 0.0 if plan.text == Text.NONE else 1.0)
    run.optimiser.zero_grad(set_to_none=True)
    parts.total.backward()
    torch.nn.utils.clip_grad_norm_([*run.network.parameters(), *run.anchors.parameters()], plan.largest_gradient)
    run.optimiser.step()
    pool.learn(batch.spots, softplus(head.detach().float()))
    run.step += 1
    run.follow()
    return parts


def _said(run: Run, batch: Batch, images: Tensor, head: Tensor, closely: Tensor) -> Said:
    """Hold sentences and their claims against images; claims are moved by images alone, sentences by both."""
    words, claims = run.network.sentences(batch.words), run.anchors(batch.claims)
    apart = (1 - (words * claims.detach()).sum(1)).mean()
    likeness = run.network.likeness(images, words)
    score = score_of(likeness, batch.says_nodule, batch.says_none)
    by_claims, from_near = run.network.likeness(images, claims), run.network.likeness(closely, words)
    return Said(likeness, by_claims, from_near, apart, head, score)


def _look(run: Run, judged: Judged, folder: Path, log: journal.Journal) -> None:
    """Validate the average of the weights and keep it if it is the best so far; of a close look, always.

    Types of some dozen places in two lungs say less of a close look than how much it learnt: one of them is 0.01.
    """
    if run.curve and run.curve[-1]["step"] == run.step:
        return
    seen = judged.validate(run.ready())
    run.curve.append({"step": run.step, "seconds": round(run.seconds, 1), **seen.as_json()})
    log.write(**run.curve[-1])
    # without text the head is what is left to choose by
    value = seen.sensitivity_head if run.plan.text == Text.NONE else seen.worth
    if value > run.best or run.plan.only_close:
        run.best = value
        write(run, folder, BEST)
    write(run, folder)
