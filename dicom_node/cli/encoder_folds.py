"""What ``emerald train encoder --folds`` does: each training lung left out in turn, then the network with all of them.

Nobody needs to watch: a fold that is done is passed over, one that was cut off goes on, and places are read once.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from ai_engine.training import checkpoints
from ai_engine.training.encoder.places import Places
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


@dataclass(frozen=True)
class _Fold:
    """One network: whose lung it does not see (None: it sees all), and where its run and its weights lie."""

    held_out: str | None
    folder: Path
    weights: Path


def train(arguments: argparse.Namespace) -> int:
    """Train what is missing, one after the other, and export each."""
    if arguments.hold_out is not None:
        raise SettingsError("--hold-out", "--folds leaves out each lung in turn")
    with told_errors():
        training, validation = (places(sources_of(arguments), split) for split in (Split.TRAINING, Split.VALIDATION))
        folds = _folds(arguments, training)
        for number, fold in enumerate(folds, start=1):
            name = f"{number} of {len(folds)}, {fold.held_out or 'all lungs'}"
            if _is_done(fold, arguments):
                print(f"{name}: done before, {fold.weights}", flush=True)
                continue
            print(f"{name}: into {fold.folder}", flush=True)
            run = train_one(arguments, training, validation, fold.held_out)
            exported(fold.folder, fold.weights)
            print(f"{name}: {said_of(run)}; {fold.weights}", flush=True)
    return 0


def folds_folder(work: Path, text: str = Text.TRUE) -> Path:
    """Say where the weights of the folds lie, as LUNG.safetensors: what ``emerald evaluate`` takes as ``--folds``."""
    return work / ("folds" if text == Text.TRUE else f"folds-text-{text}")


def _folds(arguments: argparse.Namespace, training: Places) -> list[_Fold]:
    """List the lungs by patient, and last the network that is shipped."""
    patients = sorted({series.patient for series in training.series})
    found = []
    for held_out in (*patients, None):
        folder = folder_of(arguments.work, held_out, arguments.text)
        weights = folds_folder(arguments.work, arguments.text) / f"{held_out}.safetensors"
        found.append(_Fold(held_out, folder, weights if held_out else folder / f"{CONFIGURATION}.safetensors"))
    return found


def _is_done(fold: _Fold, arguments: argparse.Namespace) -> bool:
    """Tell whether a run came to the end of the plan that is asked for now, and was exported."""
    if not (fold.weights.is_file() and (fold.folder / checkpoints.LATEST).is_file()):
        return False
    state = checkpoints.read(fold.folder)
    plan: Plan = plan_of(arguments, state["plan"], fold.held_out)
    return plan.progress(state["step"], state["seconds"]) >= 1.0
