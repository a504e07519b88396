"""What ``emerald train segmenter`` does: material through the split guard, a run on it, its export, its repetition."""

import argparse
import json
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ai_engine.composites import Composite, Shards
from ai_engine.errors import TrainingError
from ai_engine.sam2 import network as sam2
from ai_engine.sam2.weights import sha256_of
from ai_engine.training import checkpoints
from ai_engine.training import export as exporting
from ai_engine.training.loop import Material, Told, one_step
from ai_engine.training.loop import train as train_run
from ai_engine.training.material import Ingredients, Pool, fill
from ai_engine.training.plan import Plan
from dicom_node import node
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cases.lungs import backgrounds
from dicom_node.cases.shapes import nodule_shapes
from dicom_node.cases.splits import LUNG_USE_FOR, check_use
from dicom_node.errors import CaseDataMissing, NodeError, SettingsError

CONFIGURATION = "compact"
SAME = 1e-3

_DEFAULT_STEPS = 40_000
_VALIDATION_SEED = 7
_N_VALIDATION = 60
_MADE_FROM = "made_from.json"
_BEGUN = "begun.json"
_SMOKE = {"composites": 24, "validation": 4, "steps": 60, "shapes": 60, "lungs": 2}


def train(arguments: argparse.Namespace) -> int:
    """Begin a run, or go on with it."""
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    cut_off = (work / checkpoints.LATEST).is_file()
    if cut_off and not arguments.resume:
        raise SettingsError("--work", f"{work} holds a run; go on with --resume, or take another folder")
    with _told_errors():
        plan = _plan(arguments, checkpoints.read(work)["plan"] if cut_off else None)
        material = _material(arguments)
        run = checkpoints.begin(plan, _network(arguments, plan.seed))
        if cut_off:
            checkpoints.load(run, work)
        else:
            (work / _BEGUN).write_text(json.dumps(_circumstances(arguments)), encoding="utf-8")
        with _shown(plan) as watch:
            train_run(run, material, work, watch)
        if arguments.smoke:
            exporting.export(work, checkpoints.BEST, _facts(arguments), work / f"{CONFIGURATION}.safetensors")
    print(f"best validation 3D Dice {run.best_dice:.3f} after {run.step} steps and {run.seconds:.0f} s")
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Write the best weights of a run where the node finds them."""
    to = arguments.to or Path(
        str(resources.files("ai_engine.sam2").joinpath("weights", f"{CONFIGURATION}.safetensors"))
    )
    with _told_errors():
        metadata = exporting.export(arguments.work, checkpoints.BEST, _facts(arguments), to)
    print(f"{to}: step {metadata['steps']}, validation 3D Dice {metadata['best_validation_dice_3d']:.3f}")
    return 0


def replay(arguments: argparse.Namespace) -> int:
    """Repeat the first steps of a run and compare their losses; 1 if they differ."""
    with _told_errors():
        metadata = exporting.read_metadata(arguments.against)
        wanted = metadata["first_losses"][: arguments.replay]
        plan = Plan.from_json(metadata["plan"])
        arguments.seed, arguments.composites = plan.seed, metadata["composites"]
        run = checkpoints.begin(plan, _network(arguments, plan.seed))
        pool = Pool(_material(arguments).training, plan.seed)
        torch.set_num_threads(1)
        got = [one_step(run, pool, plan.progress(step, 0.0)).as_json()["loss"] for step in range(len(wanted))]
    worst = max(abs(a - b) for a, b in zip(wanted, got, strict=True))
    print(f"largest difference of {len(wanted)} losses: {worst:.2g} (at most {SAME:g} is the same)")
    return 0 if worst <= SAME else 1


def _plan(arguments: argparse.Namespace, begun: dict[str, Any] | None) -> Plan:
    """Plan of the arguments; a run that goes on keeps its own, but may be made longer."""
    length = {"steps": arguments.steps, "hours": arguments.hours}
    asked = {name: value for name, value in length.items() if value is not None}
    if begun is not None:
        return Plan.from_json({**begun, **asked})
    if arguments.smoke:
        return Plan(seed=arguments.seed, steps=arguments.steps or _SMOKE["steps"], warm_up=10)
    return Plan(seed=arguments.seed, **(asked or {"steps": _DEFAULT_STEPS}))


def _network(arguments: argparse.Namespace, seed: int) -> torch.nn.Module:
    network = sam2.build(CONFIGURATION, seed=seed)
    if arguments.start_from is not None:
        network.load_state_dict(safetensors.torch.load_file(arguments.start_from))
    return network.to(torch.device(arguments.device))


def _material(arguments: argparse.Namespace) -> Material:
    n, n_validation = (
        (_SMOKE["composites"], _SMOKE["validation"]) if arguments.smoke else (arguments.composites, _N_VALIDATION)
    )
    training = _cached(arguments, Split.TRAINING, n, arguments.seed)
    validation = _cached(arguments, Split.VALIDATION, n_validation, _VALIDATION_SEED)
    return Material(training, validation)


def _cached(arguments: argparse.Namespace, split: Split, n: int, seed: int) -> Sequence[Composite]:
    """Compose what a cache of one split misses, and read it. Nothing of another split gets in, nor out."""
    shards = _shards(arguments.work, split)
    wanted = {"split": str(split), "composites": n, "seed": seed}
    made = _made(shards)
    if made and any(made[name] != value for name, value in wanted.items()):
        raise SettingsError("--work", f"{shards.folder} was composed otherwise; take another folder")
    if not made or len(shards.read()) < n:
        ingredients = _ingredients(arguments, split, seed)
        made = {
            **wanted,
            "lungs": sorted(background.name for background in ingredients.backgrounds),
            "patients": sorted({shape.patient_id for shape in ingredients.shapes}),
        }
        shards.folder.mkdir(parents=True, exist_ok=True)
        (shards.folder / _MADE_FROM).write_text(json.dumps(made), encoding="utf-8")
        with _counted(f"composing {split}", n) as watch:
            fill(shards, ingredients, n, shams=split is Split.TRAINING, watch=watch)
    check_use(split, made["patients"], made["lungs"])
    return shards.read()


def _shards(work: Path, split: Split) -> Shards:
    return Shards(work / "composites" / str(split))


def _made(shards: Shards) -> dict[str, Any]:
    """Read what a cache was made of; empty where there is none."""
    path = shards.folder / _MADE_FROM
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _ingredients(arguments: argparse.Namespace, split: Split, seed: int) -> Ingredients:
    if arguments.data is None:
        raise CaseDataMissing("say with --data or EMERALD_TEST_DATA where the folder with ct-backgrounds/ is")
    limits = (_SMOKE["shapes"], _SMOKE["lungs"]) if arguments.smoke else (None, None)
    shapes = list(nodule_shapes(LidcDatabase(), split, limit=limits[0], seed=seed))
    lungs = list(islice(backgrounds(arguments.data, LUNG_USE_FOR[split]), limits[1]))
    check_use(split, {shape.patient_id for shape in shapes}, [lung.name for lung in lungs])
    return Ingredients(shapes, lungs, seed)


def _facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say what a run's checkpoint does not know: what it was made of, and by which code."""
    if not (arguments.work / _BEGUN).is_file():
        raise TrainingError(f"there is no run in {arguments.work}")
    made = {str(split): _made(_shards(arguments.work, split)) for split in (Split.TRAINING, Split.VALIDATION)}
    begun = json.loads((arguments.work / _BEGUN).read_text(encoding="utf-8"))
    return {"configuration": CONFIGURATION, "composites": made["training"]["composites"], "material": made, **begun}


def _circumstances(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say by which code, on what machine and from which weights a run begins."""
    start = arguments.start_from
    return {
        "version": node.software_version(),
        "commit": _commit(),
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
        "device": arguments.device,
        "began_with": "random weights" if start is None else f"weights with sha256 {sha256_of(start)}",
    }


def _commit() -> str | None:
    """Name the commit of this package's source, where it is run from a checkout."""
    here = Path(__file__).parent
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return told.stdout.strip() or None


@contextmanager
def _told_errors() -> Iterator[None]:
    """Say what the engine refuses as the command line says its own."""
    try:
        yield
    except TrainingError as error:
        raise NodeError(str(error)) from error


@contextmanager
def _counted(words: str, n: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(words, total=n)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def _shown(plan: Plan) -> Iterator[Callable[[Told], None]]:
    """Show a run: its bar, loss (mean of 100 steps), validation Dice; without a terminal, a line now and then."""
    words = "step {task.fields[step]}, loss {task.fields[loss]:.3f}, validation Dice {task.fields[dice]}"
    with Progress(TextColumn(words), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=1.0, step=0, loss=0.0, dice="-")
        mean: list[float] = []

        def watch(told: Told) -> None:
            mean.append(told.loss)
            del mean[:-100]
            loss = sum(mean) / len(mean)
            dice = "-" if told.dice_3d is None else f"{told.dice_3d:.3f}"
            bar.update(task, completed=told.progress, step=told.step, loss=loss, dice=dice)
            if not bar.console.is_terminal and told.step % 200 == 0:
                print(f"step {told.step} ({told.progress:.1%}), loss {loss:.3f}, validation Dice {dice}", flush=True)

        yield watch
