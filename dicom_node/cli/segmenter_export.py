"""``emerald train segmenter --export``: which weights of a run the node gets, if any.

The validation within a run is small, so that it takes little of its time. What is shipped is chosen on more composites
of validation patients, and compared on them with what is there.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ai_engine.composites import Composite, Renderer
from ai_engine.sam2 import loading
from ai_engine.sam2.weights import bundled, weights_of
from ai_engine.training import checkpoints
from ai_engine.training import export as exporting
from ai_engine.training.validation import Validation, validate
from dicom_node.cases.judged_composites import judged_composites
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cli.options import data_of
from dicom_node.cli.training import facts_of
from dicom_node.cli.training_run import told_errors

# Of the composites that weights are compared on.
SEED = 12


def export(arguments: argparse.Namespace) -> int:
    """Write the better of a run's best and last weights to ``--to``; 1 if those that are there do as well."""
    to: Path = arguments.to or weights_of(bundled(), Path()).path
    with told_errors():
        facts = facts_of(arguments)
        judges = _judges(arguments)
        runs = {name: _judged(exporting.network_of(arguments.work, name), judges) for name in _checkpoints(arguments)}
        best = max(runs, key=lambda name: runs[name].worth)
        if to.is_file() and (there := _judged(_shipped(to), judges)).worth >= runs[best].worth:
            print(f"{to} has a validation 3D Dice of {there.worth:.4f}, this run {runs[best].worth:.4f}", end="")
            print(f" on {len(judges)} composites: nothing was written")
            return 1
        told = {"composites": len(judges), "seed": SEED, **runs[best].as_json()}
        metadata = exporting.export(arguments.work, best, {**facts, "validation": told}, to)
    print(f"{to}: step {metadata['steps']}, validation 3D Dice {runs[best].worth:.4f} on {len(judges)} composites")
    return 0


def _checkpoints(arguments: argparse.Namespace) -> list[str]:
    """Name the checkpoints of a run; the best may be the last."""
    names = (checkpoints.BEST, checkpoints.LATEST)
    return list({checkpoints.read(arguments.work, name)["step"]: name for name in names}.values())


def _judges(arguments: argparse.Namespace) -> Sequence[Composite]:
    """Compose what weights are compared on, in the mix of sizes and types that readers outlined."""
    data = data_of(arguments, "ct-backgrounds/")
    made = judged_composites(LidcDatabase(), data, Renderer.A, arguments.judges, SEED, Split.VALIDATION)
    return [composite for composite, _ in made]


def _judged(network: nn.Module, judges: Sequence[Composite]) -> Validation:
    validation = validate(network, judges)
    print(
        f"validation 3D Dice {validation.dice_3d:.4f} by jittered boxes, {validation.dice_searched:.4f} by those of a "
        f"search, {validation.worth:.4f} by both, on {len(judges)} composites"
    )
    return validation


def _shipped(path: Path) -> nn.Module:
    model = bundled()
    return loading.load(path, model.config, model.image_size).network
