"""``emerald models``: which weights there are, which of them are here, and are they what they should be."""

import argparse
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ai_engine.clip import weights as encoder_weights
from ai_engine.errors import WeightsCorrupt, WeightsError, WeightsMissing
from ai_engine.sam2 import weights as sam2_weights
from ai_engine.sam2.weights import Weights
from dicom_node import engines
from dicom_node.cli.options import Commands, add_config, load_settings
from dicom_node.errors import NodeError
from dicom_node.settings import Settings

_BLOCK = 1 << 20
_TIMEOUT_S = 60.0


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "models",
        help="list, fetch and verify weights",
        description="The weights that engines can run with. The bundled ones come with the package; the published ones "
        "are fetched here, under their own licence, and checked by their SHA-256.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION", help="what to do")
    listing = actions.add_parser(
        "list", help="list all weights", description="All weights, and which of them are here."
    )
    pull = actions.add_parser("pull", help="fetch published weights", description="Fetch weights into models_dir.")
    pull.add_argument("name", metavar="NAME", help="of the weights, as `emerald models list` says it")
    verify = actions.add_parser(
        "verify",
        help="verify weights",
        description="Compare the SHA-256 of the weights that are here, and of those that the settings name. Exits with "
        "1 if one is not what it should be, or one that the settings name is missing.",
    )
    for action, run in ((listing, run_list), (pull, run_pull), (verify, run_verify)):
        add_config(action)
        action.set_defaults(run=run)


def run_list(arguments: argparse.Namespace) -> int:
    """List all weights."""
    for each in _all(load_settings(arguments)):
        size = f"{each.model.size / 1e6:.1f} MB" if each.model.size else "not made yet"
        here = "here" if each.path.is_file() else "not here"
        print(f"{each.model.name:24} {size:>12}  {each.model.licence}, {here}")
        print(f"    sha256 {each.sha256 or '-'}\n    {each.path}")
    return 0


def run_pull(arguments: argparse.Namespace) -> int:
    """Fetch published weights."""
    settings = load_settings(arguments)
    if arguments.name in (encoder_weights.NAME, sam2_weights.ADAPTER):
        raise NodeError(
            f"the weights {arguments.name} come with the package, where this version has them, and are not fetched"
        )
    try:
        wanted = sam2_weights.weights_of(sam2_weights.model(arguments.name), settings.models)
        pull(wanted)
    except WeightsError as error:
        raise NodeError(str(error)) from error
    print(f"{wanted.model.name} is at {wanted.path}. Its licence is {wanted.model.licence}.")
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    """Verify the weights that are here, and those that the settings name."""
    settings = load_settings(arguments)
    wanted = {each.path: each for index in range(len(settings.pipelines)) for each in _used(settings, index)}
    here = {each.path: each for each in _all(settings) if each.path.is_file()}
    wrong = 0
    for path, each in (here | wanted).items():
        try:
            each.check()
            print(f"ok       {each.model.name}: {path}")
        except (WeightsMissing, WeightsCorrupt) as error:
            print(f"{'wrong' if isinstance(error, WeightsCorrupt) else 'missing':8} {error}")
            wrong += 1
    if not here and not wanted:
        print("no weights are here, and the settings name none")
    return 1 if wrong else 0


def pull(wanted: Weights, timeout_s: float = _TIMEOUT_S) -> None:
    """Fetch weights to where they belong; what is there and right stays.

    Raises
    ------
    WeightsError
        They are not published, cannot be fetched, or what came has another SHA-256: then nothing is left behind.
    """
    model = wanted.model
    if not model.url:
        raise WeightsError(f"the weights {model.name} come with the package and are not fetched")
    if wanted.path.is_file() and sam2_weights.sha256_of(wanted.path) == wanted.sha256:
        return
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    part = wanted.path.with_name(f"{wanted.path.name}.{os.getpid()}.part")
    try:
        _fetch(model.url, part, model.size, timeout_s)
        Weights(model, part, wanted.sha256).check()
        part.replace(wanted.path)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(f"{model.url} cannot be fetched ({reason}); copy the file to {wanted.path}") from error
    finally:
        part.unlink(missing_ok=True)


def _fetch(url: str, to: Path, size: int, timeout_s: float) -> None:
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with urllib.request.urlopen(url, timeout=timeout_s) as answer, to.open("wb") as file, Progress(*columns) as bar:
        task = bar.add_task(to.name.split(".pt")[0], total=size)
        while block := answer.read(_BLOCK):
            file.write(block)
            bar.advance(task, len(block))


def _all(settings: Settings) -> Iterator[Weights]:
    yield encoder_weights.weights_of()
    yield sam2_weights.adapter()
    for model in sam2_weights.models():
        yield sam2_weights.weights_of(model, settings.models)


def _used(settings: Settings, index: int) -> Iterator[Weights]:
    """Yield the weights of one pipeline; none if it runs without."""
    engine = settings.pipelines[index].engine
    if engines.wants_encoder(engine):
        yield engines.encoder_weights_of(engine)
    if engine.tier == "weight-free":
        return
    try:
        yield engines.weights_of(engine, settings.models)
        if engines.wants_adapter(engine):
            yield sam2_weights.adapter()
    except WeightsError as error:
        raise NodeError(str(error)) from error
