"""``emerald train threshold``: from which score of the encoder on a candidate is a finding; for validation lungs."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_engine.clip import weights as encoder_weights
from ai_engine.errors import WeightsError
from dicom_node.cases.splits import LungUse, check_unseen
from dicom_node.cli.options import Commands, add_data, data_of
from dicom_node.cli.trained_lungs import trained_in
from dicom_node.errors import NodeError

if TYPE_CHECKING:
    from ai_engine.evaluation.froc import Searched


def add(networks: Commands) -> None:
    """Add the command to the parser of ``emerald train``."""
    parser = networks.add_parser(
        "threshold",
        help="from which score of the encoder on a candidate is a finding",
        description="Search the validation lungs as the node does, take the lowest threshold that gives no more false "
        "positives per scan than asked for, and write it into the metadata beside the weights. What nobody outlined "
        "counts as a false positive, lesion or not.",
    )
    add_data(parser, "the lungs: ct-chest/ and ct-backgrounds/")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights of the encoder (those of this package)")
    parser.add_argument(
        "--false-positives", type=float, default=4.0, metavar="N", help="at most so many in a scan, on average (4)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Search, choose, say, write."""
    path = encoder_weights.weights_of(arguments.weights).path
    beside = path.with_suffix(".json")
    if not (path.is_file() and beside.is_file()):
        raise NodeError(f"{path} and {beside.name} are not both there: `emerald train encoder --export` writes them")
    try:
        searched = list(_searched(path, data_of(arguments, "ct-backgrounds/")))
    except WeightsError as error:
        raise NodeError(str(error)) from error
    told: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
    told["detection"] = fixed(searched, arguments.false_positives)
    beside.write_text(json.dumps(told, indent=1), encoding="utf-8")
    for scan in searched:
        above = sum(score >= told["detection"]["threshold"] for score in scan.false_positives)
        print(f"{scan.scan}: {above} of {len(scan.false_positives)} places above the threshold")
    print(f"{beside}: {told['detection']}")
    return 0


def fixed(searched: "list[Searched]", per_scan: float) -> dict[str, float | int]:
    """Return threshold and rate as ``ai_engine.clip.weights`` reads them.

    Parameters
    ----------
    searched : list of Searched
        The validation scans.
    per_scan : float
        No more false positives than this, on average.

    Raises
    ------
    NodeError
        So few false positives in so few scans are less than one.
    """
    from ai_engine.evaluation.froc import curve  # noqa: PLC0415 - not to slow other commands down

    found = curve(searched)
    threshold, _ = found.at(per_scan)
    if threshold == float("inf"):
        raise NodeError(f"{per_scan:g} false positives per scan cannot be told in {len(searched)} scans")
    _, rate = found.point(threshold)
    return {"threshold": threshold, "false_positives_per_scan": round(rate, 3), "scans": len(searched)}


def _searched(path: Path, data: Path) -> "Iterator[Searched]":
    """Search the validation lungs, none of which the weights may have been trained in."""
    from ai_engine.candidates import Proposer  # noqa: PLC0415 - not to slow other commands down
    from ai_engine.clip.scorer import scorers  # noqa: PLC0415
    from ai_engine.evaluation.detection import Exam, judged, proposed  # noqa: PLC0415
    from dicom_node.cases.detection_exams import known_lesions  # noqa: PLC0415
    from dicom_node.cases.lungs import backgrounds  # noqa: PLC0415

    seen = trained_in(path)
    by = {"text": scorers(path)["text"]}
    for lung in backgrounds(data, LungUse.VALIDATION):
        check_unseen(lung.patient, seen)
        exam = Exam(lung.patient, lung.name, lung.volume, known_lesions(data, lung))
        yield judged(exam, proposed(exam, Proposer()), by)["text"]
