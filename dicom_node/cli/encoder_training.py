"""What ``emerald train encoder`` does: places through the split guard, a run on them, its export."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from ai_engine.clip.vocabulary import of_wordings
from ai_engine.errors import TrainingError
from ai_engine.training import checkpoints
from ai_engine.training.encoder import run as runs
from ai_engine.training.encoder.loop import train as train_run
from ai_engine.training.encoder.places import Places
from ai_engine.training.encoder.plan import LENGTH, Plan
from ai_engine.training.encoder.validation import Judged
from dicom_node.cases.lidc_database import Split
from dicom_node.cli.encoder_material import check_held_out, folder_of, places, told_of
from dicom_node.cli.training_material import Sources
from dicom_node.cli.training_run import circumstances, shown, told_errors
from dicom_node.errors import SettingsError

CONFIGURATION = "encoder"

_DEFAULT_STEPS = 3000
# What is learnt already must not be forgotten at once; the half.
_RATE_FROM_START = 1e-3
_BEGUN = "begun.json"
_SMOKE = {"steps": 30, "batch": 16, "warm_up": 5, "validate_every": 15}


def train(arguments: argparse.Namespace) -> int:
    """Begin a run, or go on with it."""
    folder = folder_of(arguments.work, arguments.hold_out, arguments.text)
    if (folder / checkpoints.LATEST).is_file() and not arguments.resume:
        raise SettingsError("--work", f"{folder} holds a run; go on with --resume, or take another folder")
    if arguments.only_close and arguments.start_from is None:
        raise SettingsError("--only-close", "needs --start-from: without it there is nothing that has learnt to find")
    with told_errors():
        training, validation = (places(sources_of(arguments), split) for split in (Split.TRAINING, Split.VALIDATION))
        run = train_one(arguments, training, validation, arguments.hold_out, arguments.start_from)
        if arguments.smoke:
            exported(folder, folder / f"{CONFIGURATION}.safetensors")
    print(said_of(run))
    return 0


def train_one(
    arguments: argparse.Namespace,
    training: Places,
    validation: Places,
    held_out: Sequence[str] = (),
    start: Path | None = None,
) -> runs.Run:
    """Train one network without some patients' lungs; a run that was cut off goes on.

    Parameters
    ----------
    held_out : sequence of str
        These patients.
    start : Path or None
        Folder of a run to begin with, which left out these lungs, too.

    Raises
    ------
    SettingsError
        A lung that is to be left out is none of those that are trained in.
    TrainingError
        The run in the folder is of another plan, or learnt from other places; or the one to begin with saw a lung that
        is to be left out.
    """
    check_held_out(training, held_out)
    folder = folder_of(arguments.work, held_out, arguments.text)
    folder.mkdir(parents=True, exist_ok=True)
    cut_off = (folder / checkpoints.LATEST).is_file()
    plan = plan_of(arguments, checkpoints.read(folder)["plan"] if cut_off else None, held_out)
    if start is not None and not plan.only_close:
        plan = replace(plan, learning_rate=_RATE_FROM_START)
    learnt_from = training.without(held_out)
    told = {"training": told_of(learnt_from), "validation": told_of(validation)}
    # a run that goes on has what it began with in its own checkpoint
    first = None if cut_off else start
    before = _started_from(first, told["training"])
    run = runs.begin(plan, of_wordings(), first)
    if cut_off:
        _check_same_places(folder, told)
        runs.restore(run, folder)
    else:
        (folder / _BEGUN).write_text(json.dumps({**circumstances("cpu"), **before, "places": told}), encoding="utf-8")
    with shown("mean sensitivity", every=100) as watch:
        train_run(run, learnt_from, Judged(validation), folder, watch)
    return run


def _started_from(start: Path | None, places: Mapping[str, int]) -> dict[str, Any]:
    """Tell of the run that one begins with, and of that before; refuse it if it learnt in a lung left out now."""
    if start is None:
        return {}
    begun = json.loads((start / _BEGUN).read_text(encoding="utf-8")) if (start / _BEGUN).is_file() else {}
    state = checkpoints.read(start, checkpoints.BEST)
    seen = sorted(begun["places"]["training"])
    if more := [lung for lung in seen if lung not in places]:
        raise TrainingError(f"the run in {start} learnt in {', '.join(more)}, which this one leaves out")
    before = {"started_from": begun["started_from"]} if "started_from" in begun else {}
    told = {"lungs": seen, "plan": state["plan"], "steps": state["step"], "commit": begun["commit"], **before}
    return {"started_from": told}


def _check_same_places(folder: Path, told: dict[str, Any]) -> None:
    """Refuse to go on with other data: what is exported names those that the run began with."""
    begun = json.loads((folder / _BEGUN).read_text(encoding="utf-8"))["places"]
    for split, places_now in told.items():
        changed = [
            lung for lung in begun[split].keys() | places_now.keys() if begun[split].get(lung) != places_now.get(lung)
        ]
        if changed:
            raise TrainingError(
                f"the run in {folder} began with other places for {split}, in {', '.join(sorted(changed))}: "
                "a run whose data changed is another run, and needs another folder"
            )


def said_of(run: runs.Run) -> str:
    """Say how far a run came."""
    return f"best of validation {run.best:.3f} after {run.step} steps and {run.seconds:.0f} s; {_last(run.curve)}"


def export(arguments: argparse.Namespace) -> int:
    """Write the best weights of a run where the node finds them; 1 if those that are there did better."""
    bundled = Path(str(resources.files("ai_engine.clip").joinpath("weights", f"{CONFIGURATION}.safetensors")))
    to: Path = arguments.to or bundled
    folder = folder_of(arguments.work, arguments.hold_out, arguments.text)
    with told_errors():
        best, there = checkpoints.read(folder, checkpoints.BEST)["best"], to.with_suffix(".json")
        if there.is_file() and (before := json.loads(there.read_text(encoding="utf-8"))["best"]) >= best:
            print(f"{to} is worth {before:.3f} on validation, this run {best:.3f}: nothing was written")
            return 1
        metadata = exported(folder, to)
    print(f"{to}: step {metadata['steps']}, {metadata['size'] / 1e6:.1f} MB, {_last(metadata['curve'])}")
    return 0


def exported(folder: Path, to: Path) -> dict[str, Any]:
    """Write the best weights of a run, and beside them what they are; that is returned."""
    begun = json.loads((folder / _BEGUN).read_text(encoding="utf-8"))
    metadata = runs.export(folder, checkpoints.BEST, {"configuration": CONFIGURATION, **begun}, to)
    to.with_suffix(".json").write_text(json.dumps(metadata, indent=1), encoding="utf-8")
    return metadata


def sources_of(arguments: argparse.Namespace) -> Sources:
    """Say where places come from."""
    return Sources(
        work=arguments.work,
        data=arguments.data,
        lidc=None,
        backgrounds=None,
        composites=arguments.composites,
        seed=arguments.seed,
        smoke=arguments.smoke,
    )


def plan_of(arguments: argparse.Namespace, begun: dict[str, Any] | None, held_out: Sequence[str]) -> Plan:
    """Plan of the arguments; a run that goes on is as long as it was, unless another length is asked for."""
    asked = {name: getattr(arguments, name) for name in LENGTH if getattr(arguments, name) is not None}
    if begun is not None:
        asked = {name: begun[name] for name in LENGTH} | asked
    chosen = {
        "seed": arguments.seed,
        "held_out": tuple(sorted(held_out)),
        "text": arguments.text,
        "only_close": arguments.only_close,
    }
    if arguments.smoke:
        return Plan(**{**_SMOKE, **asked, **chosen})
    return Plan(**{**(asked or {"steps": _DEFAULT_STEPS}), **chosen})


def _last(curve: list[dict[str, Any]]) -> str:
    """Say the last validation of a run."""
    last = curve[-1]
    sensitivity = ", ".join(f"{value:.2f} at {name}" for name, value in last["sensitivity"].items())
    return (
        f"validation: AUC {last['auc']:.3f} by text, {last['auc_head']:.3f} by the head; sensitivity by "
        f"false positives per scan {sensitivity}; types told by paraphrases {last['types']:.2f}"
    )
