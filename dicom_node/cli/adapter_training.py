"""What ``emerald train adapter`` does: part-solid nodules through the split guard, a run on them, its export."""

import argparse
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from ai_engine.clip import loading as encoder_loading
from ai_engine.clip import weights as encoder_weights
from ai_engine.clip.parts import WORDINGS, Part
from ai_engine.composites import Composite, Renderer
from ai_engine.sam2 import loading
from ai_engine.sam2.weights import Weights, bundled, sha256_of, weights_of
from ai_engine.training import checkpoints
from ai_engine.training import export as exporting
from ai_engine.training.adapter.loop import Lesson, begun_with
from ai_engine.training.adapter.loop import train as train_run
from ai_engine.training.adapter.material import Examples, examples_of
from ai_engine.training.plan import Plan
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cases.part_solid import part_solid_composites
from dicom_node.cases.splits import check_use
from dicom_node.cli.options import data_of
from dicom_node.cli.training_run import circumstances, shown, told_errors
from dicom_node.errors import SettingsError

CONFIGURATION = "adapter"
ONE_HOT = "one-hot"

_DEFAULT_STEPS = 1500
_BEGUN, _MADE_FROM = "begun.json", "made_from.json"
_VALIDATION, _VALIDATION_SEED = 40, 7
_SMOKE = {"composites": 2, "validation": 2, "steps": 20}


def train(arguments: argparse.Namespace) -> int:
    """Begin a run, or go on with it."""
    torch.set_num_threads(1)
    folder = _folder(arguments)
    folder.mkdir(parents=True, exist_ok=True)
    with told_errors():
        begun = _begun(arguments)
        plan = _plan(arguments)
        lesson = _lesson(arguments)
        run = checkpoints.begin(plan, begun_with(lesson, plan.seed))
        if (folder / checkpoints.LATEST).is_file():
            checkpoints.load(run, folder)
        else:
            (folder / _BEGUN).write_text(json.dumps(begun | {"material": _made(arguments)}), encoding="utf-8")
        with shown("validation Dice") as watch:
            train_run(run, lesson, folder, watch)
        if arguments.smoke:
            exported(folder, folder / f"{CONFIGURATION}.safetensors")
    print(f"best of validation {run.best:.3f} after {run.step} steps and {run.seconds:.0f} s; {run.curve[-1]}")
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Write the best weights of a run where the node finds them; 1 if those that are there did as well."""
    own = Path(str(resources.files("ai_engine.sam2").joinpath("weights", f"{CONFIGURATION}.safetensors")))
    to: Path = arguments.to or own
    folder = _folder(arguments)
    with told_errors():
        best = checkpoints.read(folder, checkpoints.BEST)["best"]
        there = _worth(to.with_suffix(".json"), folder)
        if there is not None and there >= best:
            print(f"{to} tells the parts apart by {there:.3f} of Dice, this run by {best:.3f}: nothing was written")
            return 1
        metadata = exported(folder, to)
    print(f"{to}: step {metadata['steps']}, {metadata['size'] / 1e6:.2f} MB, {metadata['curve'][-1]}")
    return 0


def exported(folder: Path, to: Path) -> dict[str, Any]:
    """Write the best weights of a run, and beside them what they are; that is returned."""
    facts = {"configuration": CONFIGURATION, "best": checkpoints.read(folder, checkpoints.BEST)["best"]}
    begun = json.loads((folder / _BEGUN).read_text(encoding="utf-8"))
    return exporting.export(folder, checkpoints.BEST, {**facts, **begun}, to)


def _worth(metadata: Path, folder: Path) -> float | None:
    """Say how well the adapter that is there does; None without one, or if it is for other networks than the run's."""
    if not metadata.is_file():
        return None
    there, begun = (json.loads(path.read_text(encoding="utf-8")) for path in (metadata, folder / _BEGUN))
    same = all(there[name] == begun[name] for name in ("text", "segmenter"))
    return float(there["best"]) if same else None


def _folder(arguments: argparse.Namespace) -> Path:
    work: Path = arguments.work
    return work / f"{CONFIGURATION}-{ONE_HOT if arguments.one_hot else 'text'}"


def _plan(arguments: argparse.Namespace) -> Plan:
    if arguments.smoke:
        return Plan(seed=arguments.seed, steps=_SMOKE["steps"], warm_up=5, validate_every=10, slices=4)
    return Plan(
        seed=arguments.seed,
        steps=arguments.steps or _DEFAULT_STEPS,
        warm_up=40,
        learning_rate=3e-3,
        weight_decay=0.0,
        ema=0.99,
        slices=16,
        validate_every=250,
    )


def _begun(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say by which code and what networks a run begins; one that goes on must have the same networks.

    Raises
    ------
    SettingsError
        The run in the folder has others.
    """
    names = {
        "text": ONE_HOT if arguments.one_hot else encoder_of(arguments.text).sha256,
        "segmenter": _segmenter().sha256,
    }
    path = _folder(arguments) / _BEGUN
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else names
    if any(before[name] != value for name, value in names.items()):
        raise SettingsError("--work", f"{path.parent} holds a run with other networks; take another folder")
    return circumstances("cpu") | names


def encoder_of(file: Path | None) -> Weights:
    """Return the encoder whose text is read, checked: a file, or that of this package."""
    own = encoder_weights.weights_of(file, sha256_of(file) if file is not None and file.is_file() else "")
    own.check()
    return own


def _segmenter() -> Weights:
    own = weights_of(bundled(), Path())
    own.check()
    return own


def _lesson(arguments: argparse.Namespace) -> Lesson:
    segmenter = _segmenter()
    network = loading.load(segmenter.path, segmenter.model.config, segmenter.model.image_size, "cpu").network
    training, validation = (_examples(arguments, network, split) for split in (Split.TRAINING, Split.VALIDATION))
    return Lesson(network, training, validation, _names(arguments))


def _names(arguments: argparse.Namespace) -> dict[Part, torch.Tensor]:
    """Give what names the parts: the vectors of their wordings, or one of as many numbers."""
    encoder = encoder_loading.load(encoder_of(arguments.text).path) if not arguments.one_hot else None
    if encoder is None:
        return one_hot()
    return {part: torch.from_numpy(encoder.read(list(texts))).float() for part, texts in WORDINGS.items()}


def one_hot() -> dict[Part, torch.Tensor]:
    """Name parts without words: (1, 128) each, as long as vectors of a text."""
    rows = torch.eye(128)
    return {part: rows[number][None] for number, part in enumerate(Part)}


def _examples(arguments: argparse.Namespace, network: torch.nn.Module, split: Split) -> Examples:
    """Read what the image encoder said of the nodules of a split, or ask it once."""
    n, seed = _how_many(arguments, split)
    folder: Path = arguments.work / f"{CONFIGURATION}-nodules"
    path, beside = folder / f"{split}.pt", folder / f"{split}-{_MADE_FROM}"
    wanted = {"nodules": n, "seed": seed, "segmenter": _segmenter().sha256}
    if not beside.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        used: dict[str, set[str]] = {"patients": set(), "lungs": set()}
        composites = part_solid_composites(
            LidcDatabase(), data_of(arguments, "ct-backgrounds/"), Renderer.A, n, seed, split
        )
        watched = track(_noted(composites, used), f"composing {split}", total=n)
        examples_of(network, watched, seed).save(path)
        made = wanted | {name: sorted(values) for name, values in used.items()}
        beside.write_text(json.dumps(made), encoding="utf-8")
    made = json.loads(beside.read_text(encoding="utf-8"))
    if any(made[name] != value for name, value in wanted.items()):
        raise SettingsError("--work", f"{folder} was made otherwise; take another folder")
    check_use(split, made["patients"], made["lungs"])
    return Examples.read(path)


def _how_many(arguments: argparse.Namespace, split: Split) -> tuple[int, int]:
    if split is Split.VALIDATION:
        return (_SMOKE["validation"] if arguments.smoke else _VALIDATION), _VALIDATION_SEED
    return (_SMOKE["composites"] if arguments.smoke else arguments.composites), arguments.seed


def _noted(composites: Iterator[Composite], used: dict[str, set[str]]) -> Iterator[Composite]:
    for composite in composites:
        used["patients"].add(composite.patient_id)
        used["lungs"].add(composite.lung)
        yield composite


def _made(arguments: argparse.Namespace) -> dict[str, Any]:
    folder: Path = arguments.work / f"{CONFIGURATION}-nodules"
    return {
        str(split): json.loads((folder / f"{split}-{_MADE_FROM}").read_text(encoding="utf-8"))
        for split in (Split.TRAINING, Split.VALIDATION)
    }
