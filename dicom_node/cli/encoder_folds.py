"""What ``emerald train encoder --folds`` does: each training lung left out in turn, then the network with all of them.

What networks can share they learn once: lungs are left out in groups, and from the network without a group goes on, for
each lung of it, one that learns from the others of the group too. None ever sees the lung that it leaves out. Nobody
needs to watch: what is done is passed over, what was cut off goes on, and places are read once.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ai_engine.training import checkpoints
from ai_engine.training.encoder.plan import Plan, Text
from dicom_node.cases.lidc_database import Split
from dicom_node.cli.encoder_material import folder_of, places
from dicom_node.cli.encoder_training import (
    CONFIGURATION,
    exported,
    plan_of,
    said_of,
    sources_of,
    train_one,
)
from dicom_node.cli.training_run import told_errors
from dicom_node.errors import SettingsError

_WEIGHTS = f"{CONFIGURATION}.safetensors"
_GROUP = 3
# Of the length of each, so much is learnt without the whole group.
_SHARED = 2 / 3


@dataclass(frozen=True)
class _Stage:
    """One network.

    Attributes
    ----------
    held_out : tuple of str
        Whose lungs it does not see.
    folder, weights : Path
        Where its run and its weights lie.
    share : float
        How much of the length that is asked for.
    start : Path or None
        The run that it begins with.
    """

    held_out: tuple[str, ...]
    folder: Path
    weights: Path
    share: float = 1.0
    start: Path | None = None


def train(arguments: argparse.Namespace) -> int:
    """Train what is missing, one after the other, and export each."""
    if arguments.hold_out or arguments.start_from is not None:
        option = "--hold-out" if arguments.hold_out else "--start-from"
        raise SettingsError(option, "--folds leaves out each lung in turn, and says with what each begins")
    with told_errors():
        training, validation = (places(sources_of(arguments), split) for split in (Split.TRAINING, Split.VALIDATION))
        stages = list(_stages(arguments, sorted({series.patient for series in training.series})))
        for number, stage in enumerate(stages, start=1):
            name = f"{number} of {len(stages)}, without {' and '.join(stage.held_out) or 'none'}"
            if _is_done(stage, arguments):
                print(f"{name}: done before, {stage.weights}", flush=True)
                continue
            print(f"{name}: into {stage.folder}", flush=True)
            run = train_one(_long(arguments, stage.share), training, validation, stage.held_out, stage.start)
            exported(stage.folder, stage.weights)
            print(f"{name}: {said_of(run)}; {stage.weights}", flush=True)
    return 0


def folds_folder(work: Path, text: str = Text.TRUE) -> Path:
    """Say where the weights of the folds lie, as LUNG.safetensors: what ``emerald evaluate`` takes as ``--folds``."""
    return work / ("folds" if text == Text.TRUE else f"folds-text-{text}")


def _stages(arguments: argparse.Namespace, patients: list[str]) -> Iterator[_Stage]:
    """List the lungs by patient, and last the network that is shipped."""
    folds = folds_folder(arguments.work, arguments.text)
    for group in np.array_split(patients, max(2, math.ceil(len(patients) / _GROUP))):
        named = tuple(map(str, group))
        shared = folder_of(arguments.work, named, arguments.text) if len(named) > 1 else None
        if shared is not None:
            yield _Stage(named, shared, shared / _WEIGHTS, _SHARED)
        for patient in named:
            own = folder_of(arguments.work, (patient,), arguments.text)
            share = 1.0 if shared is None else 1 - _SHARED
            yield _Stage((patient,), own, folds / f"{patient}.safetensors", share, shared)
    whole = folder_of(arguments.work, (), arguments.text)
    yield _Stage((), whole, whole / _WEIGHTS)


def _long(arguments: argparse.Namespace, share: float) -> argparse.Namespace:
    """Ask for a share of the length."""
    plan = plan_of(arguments, None, ())
    length = {"steps": plan.steps and round(plan.steps * share), "hours": plan.hours and plan.hours * share}
    return argparse.Namespace(**{**vars(arguments), **length})


def _is_done(stage: _Stage, arguments: argparse.Namespace) -> bool:
    """Tell whether a run came to the end of the plan that is asked for now, and was exported."""
    if not (stage.weights.is_file() and (stage.folder / checkpoints.LATEST).is_file()):
        return False
    state = checkpoints.read(stage.folder)
    plan: Plan = plan_of(_long(arguments, stage.share), state["plan"], stage.held_out)
    return plan.progress(state["step"], state["seconds"]) >= 1.0
