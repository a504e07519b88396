"""``emerald evaluate detection``: how many nodules are found in lungs never seen, and what else is called one."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.progress import Progress, TextColumn, TimeElapsedColumn

from ai_engine.candidates import Proposer
from ai_engine.evaluation import detection_pictures
from ai_engine.evaluation.crops import CHANGES
from ai_engine.evaluation.detection_gathering import Gathered, Search
from ai_engine.evaluation.detection_report import DetectionReport, as_json
from ai_engine.evaluation.detection_tables import markdown
from ai_engine.evaluation.domain import Case
from ai_engine.evaluation.reported import Reported
from dicom_node import node
from dicom_node.cases import chest_case
from dicom_node.cases.detection_exams import real_exam
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cli.detection_scorers import Weights, weights_of
from dicom_node.cli.node_engines import NodeEngines
from dicom_node.cli.options import Commands, data_of
from dicom_node.cli.planted_lungs import add_options, command, copies

# Whole scans in slices of 1 mm would be too large.
_WORSE = [name for name in CHANGES if name != "slices of 1 mm"]


def add(subjects: Commands) -> None:
    """Add the command to the parser of ``emerald evaluate``."""
    parser = subjects.add_parser(
        "detection",
        help="which nodules are found",
        description="Plant nodules of test patients into whole lungs that the scored network never saw, search them, "
        "and print FROC tables; then search the real cases, by candidate and as the node reports them. Writes "
        "detection.md, detection.json and a PNG of each finding in a real case that touches nothing outlined.",
    )
    add_options(parser)
    parser.add_argument("--worse", type=int, default=3, metavar="N", help="scans that are also blurred, noisy... (3)")
    parser.add_argument("--no-cases", action="store_true", help="leave the real cases out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the tables and write them."""
    from dicom_node.cases.planted_scans import Planting  # noqa: PLC0415 - not to slow other commands down
    from dicom_node.cases.shapes import nodule_shapes  # noqa: PLC0415

    weights = weights_of(arguments.weights, arguments.folds)
    cases = _Cases.to_search(arguments, weights)
    how = Planting(seed=arguments.seed, held_out=weights.held_out)
    shapes = partial(nodule_shapes, LidcDatabase(), Split(arguments.split), seed=arguments.seed)
    gathered = Gathered(Search(Proposer()))
    with Progress(TextColumn("{task.description}"), TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task("")
        for number, copy in enumerate(copies(arguments, (weights,), how, shapes)):
            exam = copy.exam()
            bar.update(task, description=exam.scan)
            scorers = weights.scorers_for(copy.scan.lung)
            before = gathered.add_planted(exam, f"{copy.scan.renderer}", scorers)
            for change in _WORSE if number < arguments.worse else ():
                bar.update(task, description=f"{exam.scan}, {change}")
                gathered.add_worse(change, copy.worsened(change, arguments.seed), before, scorers)
        engines, reported = NodeEngines(weights), []
        for case in cases.read():
            bar.update(task, description=case.name)
            gathered.add_real(real_exam(case), weights.scorers_for(case.name))
            reported += engines.report(case)
    report = _report(arguments, weights, gathered, {**cases.facts(), **engines.facts()}, reported)
    write(report, arguments.out)
    print(markdown(report))
    return 0


@dataclass(frozen=True)
class _Cases:
    """Folders of the real cases that are searched, and names of those that are not: the weights were trained there."""

    folders: tuple[Path, ...] = ()
    seen: tuple[str, ...] = ()

    @classmethod
    def to_search(cls, arguments: argparse.Namespace, weights: Weights) -> "_Cases":
        """Choose, and find what scores them, before anything is searched."""
        if arguments.no_cases or arguments.split != "test":
            return cls()
        found = chest_case.case_folders(data_of(arguments, "ct-chest/") / "ct-chest")
        unseen = tuple(folder for folder in found if not weights.has_seen(folder.name))
        weights.find_for(folder.name for folder in unseen)
        return cls(unseen, tuple(folder.name for folder in found if folder not in unseen))

    def read(self) -> Iterator[Case]:
        """Read every series of the folders; raises ``CaseDataMissing``."""
        for folder in self.folders:
            yield from chest_case.read_each(folder)

    def facts(self) -> dict[str, str]:
        """Say which are left out."""
        return {"real cases left out, as the weights were trained in them": ", ".join(self.seen)} if self.seen else {}


def _report(
    arguments: argparse.Namespace, weights: Weights, gathered: Gathered, more: dict[str, str], reported: list[Reported]
) -> DetectionReport:
    facts = {
        "version": node.software_version(),
        "weights": weights.told,
        "seed of outlines and places": str(arguments.seed),
        "hit": "the centre of a candidate lies nearer to that of the nodule than its radius; further candidates on the "
        "same nodule, on one under 4 mm or on an outlined lesion that was there before are neither hits nor false",
        **gathered.facts(),
        **more,
    }
    return DetectionReport(
        command(arguments, "detection", *_chosen(arguments)),
        facts,
        gathered.proposed,
        gathered.scored,
        gathered.worse,
        gathered.real,
        reported,
    )


def _chosen(arguments: argparse.Namespace) -> list[str]:
    return ["--worse", str(arguments.worse), *(["--no-cases"] if arguments.no_cases else [])]


def write(report: DetectionReport, folder: Path) -> None:
    """Write Markdown, JSON, and a PNG of each finding of a real case that touches nothing outlined."""
    pictures = folder / "touching-nothing"
    pictures.mkdir(parents=True, exist_ok=True)
    (folder / "detection.md").write_text(markdown(report), encoding="utf-8")
    (folder / "detection.json").write_text(json.dumps(as_json(report), indent=1), encoding="utf-8")
    for scan in report.reported:
        for number, finding in enumerate(scan.findings, start=1):
            if not finding.lesions:
                detection_pictures.picture_of(scan, number).save(pictures / detection_pictures.file_name(scan, number))
