"""``emerald analyse``: the same analysis on a folder of files, without network and ledger."""

import argparse
import json
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ai_engine.domain import BoxPrompt, PointPrompt
from ai_engine.engine import Engine
from ai_engine.errors import EngineError
from dicom_node import engines, node, pipeline
from dicom_node.cli.files import find_instances, print_skipped
from dicom_node.cli.options import Commands, add_config, load_settings
from dicom_node.cli.tables import console, detection_in_words, findings_table
from dicom_node.domain import InstanceRef, Job, Outcome
from dicom_node.errors import NodeError, SettingsError
from dicom_node.findings import findings_as_json
from dicom_node.objects import overlay
from dicom_node.objects.tracking import track
from dicom_node.settings import Pipeline, Settings


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "analyse",
        help="analyse a folder of CT files",
        description="Analyse every study below DIR and write SEG, SR, overlay PNGs and findings.json. No network, no "
        "ledger. Exits with 1 when a study was not analysed; its SR says why.",
    )
    add_config(parser)
    parser.add_argument("dir", type=Path, metavar="DIR", help="a folder of DICOM files, or one file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go; made if missing")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON instead of a table")
    pointed = parser.add_mutually_exclusive_group()
    pointed.add_argument(
        "--prompt",
        metavar="WORDS",
        help="report only what is asked for, such as 'nodules in the right upper lobe over 6 mm'; all is searched, and "
        "what else was found is counted",
    )
    pointed.add_argument(
        "--point",
        type=point_prompt,
        metavar="K,R,C",
        help="outline what lies at this voxel, and search for nothing: slice from the feet, row, column, from 0",
    )
    pointed.add_argument(
        "--box",
        type=box_prompt,
        metavar="K,R0,C0,R1,C1",
        help="outline what lies in this box on slice K, corner voxels included, and search for nothing",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Analyse; 1 when a study was not analysed."""
    settings = load_settings(arguments)
    chosen = settings.pipelines[0]
    engine = _engine(chosen, settings, arguments.prompt)
    instances, skipped = find_instances(arguments.dir)
    print_skipped(skipped)
    studies: dict[str, list[InstanceRef]] = {}
    for ref in instances:
        studies.setdefault(ref.study_instance_uid, []).append(ref)
    if prompt := arguments.point or arguments.box:
        engine = engine.prompted(prompt)
    told = list(_analyse_all(list(studies.values()), chosen, engine, arguments.out, quiet=arguments.json))
    if arguments.json:
        print(json.dumps(told, indent=2))
    analysed = [each for each in told if each["outcome"] != Outcome.NOT_ANALYSED]
    return 0 if len(analysed) == len(studies) else 1


def _engine(chosen: Pipeline, settings: Settings, asked: str | None) -> Engine:
    """Return the engine of a pipeline; what is asked for on the command line takes the place of its own prompt."""
    if asked is None:
        return engines.engine_for(chosen.engine, settings.models)
    try:
        return engines.engine_for(chosen.engine.model_copy(update={"prompt": asked}), settings.models)
    except SettingsError as error:
        raise SettingsError("--prompt", error.reason) if error.field == engines.PROMPT else error from error


def point_prompt(text: str) -> PointPrompt:
    """Parse ``K,R,C``; argparse says what is wrong."""
    k, r, c = _numbers(text, 3)
    return PointPrompt(k, r, c)


def box_prompt(text: str) -> BoxPrompt:
    """Parse ``K,R0,C0,R1,C1``; argparse says what is wrong."""
    k, r0, c0, r1, c1 = _numbers(text, 5)
    if r1 < r0 or c1 < c0:
        raise argparse.ArgumentTypeError(f"{text!r} has its corners the wrong way round: R0 <= R1, C0 <= C1")
    return BoxPrompt(k, (r0 - 0.5, c0 - 0.5), (r1 + 0.5, c1 + 0.5))


def _numbers(text: str, n: int) -> list[int]:
    parts = text.split(",")
    if len(parts) != n or not all(part.strip().isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not {n} whole numbers with commas between them, from 0")
    return [int(part) for part in parts]


def _analyse_all(
    studies: list[list[InstanceRef]], chosen: Pipeline, engine: Engine, out: Path, *, quiet: bool
) -> Iterator[dict[str, object]]:
    """Analyse each study; one that fails does not keep the next ones waiting."""
    for number, refs in enumerate(studies, start=1):
        folder = out if len(studies) == 1 else out / f"study-{number}"
        try:
            yield analyse_study(refs, chosen, engine, folder, quiet=quiet)
        except (NodeError, EngineError) as error:
            print(f"emerald: study ...{refs[0].study_instance_uid[-8:]}: {error}", file=sys.stderr)


def analyse_study(
    refs: list[InstanceRef], chosen: Pipeline, engine: Engine, folder: Path, *, quiet: bool
) -> dict[str, object]:
    """Analyse one study, write its results into ``folder`` and return what was found as JSON."""
    job = _job(refs, chosen)
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), disable=quiet) as bar:
        task = bar.add_task("reading")
        study = pipeline.examine(refs, job, chosen, engine, lambda stage, _: bar.update(task, description=stage))
    context = pipeline.object_context(job, refs, study, engine, _identity())
    folder.mkdir(parents=True, exist_ok=True)
    objects = pipeline.build(job, study, context)
    pipeline.check(objects, study)
    for name, result in pipeline.named(objects):
        result.dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)
    for each, found in zip(study.analysed, track(study.analysed, context), strict=True):
        for one in found:
            name = one.tracked.identifier.lower().replace(" ", "-")
            overlay.draw(each.series, found, one).save(folder / f"{name}.png")
    told = _told(study, findings_as_json(study.analysed, context))
    (folder / "findings.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    if not quiet:
        _print(told, folder)
    return told


def _job(refs: list[InstanceRef], chosen: Pipeline) -> Job:
    now = datetime.now(UTC)
    evidence = {"words": f"{len(refs)} images read from a folder; nothing is known of their reception"}
    return Job(
        id=0,
        called_ae_title=chosen.called_ae_title,
        study_instance_uid=refs[0].study_instance_uid,
        revision=1,
        state="READY",
        created_at=now,
        settled_at=now,
        evidence=dict(evidence),
    )


def _identity() -> pipeline.Identity:
    """Each run makes new objects: they carry the time of the run, and must not pass for those of another."""
    return pipeline.Identity(f"2.25.{uuid.uuid4().int}", node.software_version())


def _told(study: pipeline.Study, findings: dict[str, object]) -> dict[str, object]:
    return {
        "outcome": study.outcome,
        "reason": study.reason,
        "detail": study.detail,
        "series_verdicts": [
            {"series_instance_uid": v.series_instance_uid, "series_number": v.series_number, "verdict": v.words}
            for v in study.verdicts
        ],
        **findings,
    }


def _print(told: dict[str, object], folder: Path) -> None:
    to = console()
    for verdict in told["series_verdicts"]:  # type: ignore[attr-defined]
        number = "without number" if verdict["series_number"] is None else verdict["series_number"]
        to.print(f"series {number}: {verdict['verdict']}", soft_wrap=True)
    if told["findings"]:
        to.print(findings_table(told["findings"]))  # type: ignore[arg-type]
    elif told["outcome"] == Outcome.NO_FINDING:
        to.print("no nodule found" if not told["detail"] else "nothing found that was asked for")
    if told["outcome"] != Outcome.NOT_ANALYSED:
        _print_detection(told, to)
    to.print(f"results are in {folder}. Research use only.", soft_wrap=True)


def _print_detection(told: dict[str, object], to: Console) -> None:
    for what, words in detection_in_words(told):
        to.print(f"{what}: {words}", soft_wrap=True)
