"""``emerald train threshold``: from which score of the encoder on a candidate is a finding; for validation lungs.

That score is 0.5 for every encoder: what is fixed is the logit which becomes 0.5.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ai_engine.clip import weights as encoder_weights
from ai_engine.clip.ensembles import By, sigmoid
from ai_engine.errors import WeightsError
from dicom_node.cases.splits import LungUse, check_unseen
from dicom_node.cli.options import Commands, add_data, data_of
from dicom_node.cli.trained_lungs import trained_in
from dicom_node.errors import NodeError

if TYPE_CHECKING:
    from ai_engine.domain import Candidate, FloatArray
    from ai_engine.evaluation.detection import Exam, Proposed
    from ai_engine.evaluation.froc import Searched

    # A zero -> the validation scans as they are searched with it: what scores 0.5 decides which places are one.
    Scans = Callable[[float], Sequence[Searched]]
    _Scored = tuple[Exam, Sequence[Candidate], FloatArray]

# The score that a threshold becomes.
_THRESHOLD = 0.5


def add(networks: Commands) -> None:
    """Add the command to the parser of ``emerald train``."""
    parser = networks.add_parser(
        "threshold",
        help="from which score of the encoder on a candidate is a finding",
        description="Search the validation lungs as the node does, find the lowest threshold that gives no more false "
        "positives per scan than asked for, and write into the metadata beside the weights what makes it a score of "
        "0.5; also for the head and the shuffled text, which evaluations set beside the text. What nobody outlined "
        "counts as a false positive, lesion or not.",
    )
    add_data(parser, "the lungs: ct-chest/ and ct-backgrounds/")
    parser.add_argument(
        "--weights", type=Path, nargs="+", metavar="FILE", help="weights of encoders (those of this package)"
    )
    parser.add_argument(
        "--false-positives", type=float, default=3.0, metavar="N", help="at most so many in a scan, on average (3)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Search, choose, say, write; for one file after the other."""
    data = data_of(arguments, "ct-backgrounds/")
    for path in arguments.weights or [encoder_weights.weights_of().path]:
        _fix(path, data, arguments.false_positives)
    return 0


def _fix(path: Path, data: Path, per_scan: float) -> None:
    beside = path.with_suffix(".json")
    if not (path.is_file() and beside.is_file()):
        raise NodeError(f"{path} and {beside.name} are not both there: `emerald train encoder --export` writes them")
    try:
        searched = _searched(path, data)
    except WeightsError as error:
        raise NodeError(str(error)) from error
    told: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
    told["detection"] = fixed(searched, per_scan)
    beside.write_text(json.dumps(told, indent=1), encoding="utf-8")
    print(f"{beside}: {told['detection']}")


def fixed(searched: "dict[str, Scans]", per_scan: float) -> dict[str, Any]:
    """Return what ``ai_engine.clip.weights`` reads: the rate of the text, and every zero.

    Parameters
    ----------
    searched : dict
        What ranked (``ensembles.By``) -> the validation scans, by the zero that they are scored with.
    per_scan : float
        No more false positives than this, on average.

    Raises
    ------
    NodeError
        So few false positives in so few scans are less than one.
    """
    points = {name: _point(scans, per_scan) for name, scans in searched.items()}
    _, rate, n_scans = points[By.TEXT]
    zeros = {name: zero for name, (zero, _, _) in points.items()}
    return {"threshold": _THRESHOLD, "false_positives_per_scan": round(rate, 3), "scans": n_scans, "zeros": zeros}


def _point(scans: "Scans", per_scan: float) -> tuple[float, float, int]:
    """Return the logit that becomes 0.5, how many false positives per scan score that much, and how many scans."""
    from ai_engine.evaluation.froc import curve  # noqa: PLC0415 - not to slow other commands down

    zero = _between(scans(0.0), per_scan)
    while True:
        searched = scans(zero)
        _, rate = curve(searched).point(_THRESHOLD)
        if rate <= per_scan:
            return zero, rate, len(searched)
        # with this zero places hang together otherwise, and there are more
        zero += _between(searched, per_scan)


def _between(searched: "Sequence[Searched]", per_scan: float) -> float:
    """Return a logit between what is reported and what is not."""
    from ai_engine.evaluation.froc import curve  # noqa: PLC0415 - not to slow other commands down

    threshold, _ = curve(searched).at(per_scan)
    if threshold == float("inf"):
        raise NodeError(f"{per_scan:g} false positives per scan cannot be told in {len(searched)} scans")
    scores = np.array([score for scan in searched for score in scan.false_positives])
    below = scores[scores < threshold].max(initial=0.0)
    return float(np.mean(_logits(np.array([threshold, below]))))


def _logits(scores: np.ndarray) -> np.ndarray:
    """Undo the sigmoid; within what a float can tell from 0 and 1."""
    inside = np.clip(scores, 1e-12, 1 - 1e-12)
    return np.log(inside / (1 - inside))


def _searched(path: Path, data: Path) -> "dict[str, Scans]":
    """Search the validation lungs, none of which the weights may have been trained in."""
    from ai_engine.clip.scorer import scorers  # noqa: PLC0415 - torch takes seconds to import

    seen, ways = trained_in(path), scorers(path, {})
    found: dict[str, list[_Scored]] = {name: [] for name in ways}
    for exam, proposed in _exams(data, seen):
        for name, way in ways.items():
            scores = np.asarray(way.score(proposed.scene, proposed.candidates))
            found[name].append((exam, proposed.candidates, _logits(scores)))
    return {name: partial(_with_zero, scored) for name, scored in found.items()}


def _with_zero(scored: "Sequence[_Scored]", zero: float) -> "list[Searched]":
    from ai_engine.evaluation.detection import ranked  # noqa: PLC0415 - not to slow other commands down

    return [ranked(exam, candidates, sigmoid(logits - zero)) for exam, candidates, logits in scored]


def _exams(data: Path, seen: frozenset[str]) -> "Iterator[tuple[Exam, Proposed]]":
    from ai_engine.candidates import Proposer  # noqa: PLC0415 - not to slow other commands down
    from ai_engine.evaluation.detection import Exam, proposed  # noqa: PLC0415
    from dicom_node.cases.detection_exams import known_lesions  # noqa: PLC0415
    from dicom_node.cases.lungs import backgrounds  # noqa: PLC0415

    for lung in backgrounds(data, LungUse.VALIDATION):
        check_unseen(lung.patient, seen)
        exam = Exam(lung.patient, lung.name, lung.volume, known_lesions(data, lung))
        yield exam, proposed(exam, Proposer())
