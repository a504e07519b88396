"""What evaluations in planted lungs share: their options, the copies that they search, and the command they print."""

import argparse
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ai_engine.composites import NoduleShape
from ai_engine.composites.domain import Renderer
from dicom_node.cases.detection_exams import Copy, known_lesions
from dicom_node.cases.lidc_database import Split
from dicom_node.cli.detection_scorers import Weights
from dicom_node.cli.options import add_data, data_of

if TYPE_CHECKING:
    from dicom_node.cases.planted_scans import Planting

_FILES = ("weights", "folds", "weights_without_text", "folds_without_text")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what both commands take."""
    add_data(parser, "the lungs: ct-chest/ and ct-backgrounds/")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go; made if missing")
    parser.add_argument("--planted", type=int, default=320, metavar="N", help="nodules, over all renderers (320)")
    parser.add_argument("--renderer", choices=[str(each) for each in Renderer], help="only this one (both)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights of the encoder")
    parser.add_argument(
        "--folds",
        type=Path,
        metavar="DIR",
        help="weights that never saw one training lung, as LUNG.safetensors: those lungs are tested in, too "
        "(without --weights those alone)",
    )
    parser.add_argument(
        "--split",
        default="test",
        choices=["test", "validation"],
        help="validation: outlines and lungs that thresholds are set on, instead (test)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of outlines and places (1)")


def copies(
    arguments: argparse.Namespace,
    scoring: Sequence[Weights],
    how: "Planting",
    shapes: Callable[[], Iterator[NoduleShape]],
) -> Iterator[Copy]:
    """Plant both renderers in turn, with the same outlines in the same lungs.

    Parameters
    ----------
    scoring : sequence of Weights
        All that score; the first say which lungs are tested in.
    shapes : callable
        Begins the outlines, the same each time.
    """
    if not arguments.planted:
        return
    from dicom_node.cases.planted_scans import planted_scans  # noqa: PLC0415 - not to slow other commands

    split, data = Split(arguments.split), data_of(arguments, "ct-chest/")
    lungs = list(scoring[0].lungs(data, split))
    for each in scoring:
        each.find_for(lung.name for lung in lungs)
    known = {lung.name: known_lesions(data, lung) for lung in lungs}
    renderers = [Renderer(arguments.renderer)] if arguments.renderer else list(Renderer)
    n = -(-arguments.planted // len(renderers))
    for renderer in renderers:
        for number, (scan, lung) in enumerate(planted_scans(shapes(), lungs, split, renderer, n, how), start=1):
            yield Copy(scan, known[lung.name], how.smallest_mm, number)


def command(arguments: argparse.Namespace, subject: str, *more: str) -> str:
    """Give the words that print a report again; files by their names alone."""
    words = ["emerald", "evaluate", subject, "--out", arguments.out.name, "--planted", str(arguments.planted)]
    words += ["--renderer", arguments.renderer] if arguments.renderer else []
    for name in _FILES:
        if path := getattr(arguments, name, None):
            words += [f"--{name.replace('_', '-')}", path.name]
    words += ["--split", arguments.split] if arguments.split != "test" else []
    return shlex.join([*words, *more, "--seed", str(arguments.seed)])
