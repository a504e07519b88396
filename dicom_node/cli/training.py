"""What ``emerald train segmenter`` does: material through the split guard, a run on it, its repetition."""

import argparse
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ai_engine.errors import TrainingError
from ai_engine.sam2 import network as sam2
from ai_engine.sam2.weights import sha256_of
from ai_engine.training import checkpoints
from ai_engine.training import export as exporting
from ai_engine.training.loop import one_step
from ai_engine.training.loop import train as train_run
from ai_engine.training.material import Pool
from ai_engine.training.plan import Plan
from dicom_node.cli.training_material import Sources, made_of, material
from dicom_node.cli.training_run import circumstances, shown, told_errors
from dicom_node.errors import SettingsError

CONFIGURATION = "compact"
SAME = 1e-3

_DEFAULT_STEPS = 40_000
_BEGUN = "begun.json"
_SMOKE_STEPS = 200


def train(arguments: argparse.Namespace) -> int:
    """Begin a run, or go on with it."""
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    cut_off = (work / checkpoints.LATEST).is_file()
    if cut_off and not arguments.resume:
        raise SettingsError("--work", f"{work} holds a run; go on with --resume, or take another folder")
    with told_errors():
        plan = _plan(arguments, checkpoints.read(work)["plan"] if cut_off else None)
        learnt_from = material(_sources(arguments))
        run = checkpoints.begin(plan, _network(arguments, plan.seed))
        if cut_off:
            checkpoints.load(run, work)
        else:
            (work / _BEGUN).write_text(json.dumps(_circumstances(arguments)), encoding="utf-8")
        with shown("validation Dice") as watch:
            train_run(run, learnt_from, work, watch)
        if arguments.smoke:
            exporting.export(work, checkpoints.BEST, facts_of(arguments), work / f"{CONFIGURATION}.safetensors")
    print(f"best validation 3D Dice {run.best:.3f} after {run.step} steps and {run.seconds:.0f} s")
    return 0


def replay(arguments: argparse.Namespace) -> int:
    """Repeat the first steps of a run and compare their losses; 1 if they differ."""
    with told_errors():
        metadata = exporting.read_metadata(arguments.against)
        wanted = metadata["first_losses"][: arguments.replay]
        plan = Plan.from_json(metadata["plan"])
        arguments.seed, arguments.composites = plan.seed, metadata["composites"]
        run = checkpoints.begin(plan, _network(arguments, plan.seed))
        pool = Pool(material(_sources(arguments)).training, plan.seed)
        torch.set_num_threads(1)
        got = [one_step(run, pool, plan.progress(step, 0.0)).as_json()["loss"] for step in range(len(wanted))]
    worst = max(abs(a - b) for a, b in zip(wanted, got, strict=True))
    print(f"largest difference of {len(wanted)} losses: {worst:.2g} (at most {SAME:g} is the same)")
    return 0 if worst <= SAME else 1


def _sources(arguments: argparse.Namespace) -> Sources:
    return Sources(
        work=arguments.work,
        data=arguments.data,
        lidc=arguments.lidc,
        backgrounds=arguments.backgrounds,
        composites=arguments.composites,
        seed=arguments.seed,
        smoke=arguments.smoke,
    )


def _plan(arguments: argparse.Namespace, begun: dict[str, Any] | None) -> Plan:
    """Plan of the arguments; a run that goes on keeps its own, but may be made longer."""
    length = {"steps": arguments.steps, "hours": arguments.hours}
    asked = {name: value for name, value in length.items() if value is not None}
    if begun is not None:
        return Plan.from_json({**begun, **asked})
    if arguments.smoke:
        return Plan(seed=arguments.seed, steps=arguments.steps or _SMOKE_STEPS, warm_up=10)
    return Plan(seed=arguments.seed, **(asked or {"steps": _DEFAULT_STEPS}))


def _network(arguments: argparse.Namespace, seed: int) -> torch.nn.Module:
    network = sam2.build(CONFIGURATION, seed=seed)
    if arguments.start_from is not None:
        network.load_state_dict(safetensors.torch.load_file(arguments.start_from))
    return network.to(torch.device(arguments.device))


def facts_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say what a run's checkpoint does not know: what it was made of, and by which code."""
    if not (arguments.work / _BEGUN).is_file():
        raise TrainingError(f"there is no run in {arguments.work}")
    made = made_of(arguments.work)
    begun = json.loads((arguments.work / _BEGUN).read_text(encoding="utf-8"))
    return {"configuration": CONFIGURATION, "composites": made["training"]["composites"], "material": made, **begun}


def _circumstances(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say by which code, on what machine and from which weights a run begins."""
    start = arguments.start_from
    return circumstances(arguments.device) | {
        "began_with": "random weights" if start is None else f"weights with sha256 {sha256_of(start)}",
    }
