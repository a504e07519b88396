"""``emerald evaluate``: every claim about the AI, printed by a command."""

import argparse
import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from ai_engine.composites.domain import Composite, Renderer
from ai_engine.errors import NoLungs, WeightsError, WeightsMissing
from ai_engine.evaluation.composed import Composed
from ai_engine.evaluation.contestants import Contestant, contestant
from ai_engine.evaluation.domain import Case, Material, Protocol, Row, Subject
from ai_engine.evaluation.panels import panel, spread
from ai_engine.evaluation.report import Report, as_json
from ai_engine.evaluation.segmentation import detections, rows_of
from ai_engine.evaluation.tables import markdown
from ai_engine.lungs import Lungs
from ai_engine.sam2 import weights
from ai_engine.scene import scene_of
from ai_engine.stages import weight_free, with_sam2
from dicom_node import node
from dicom_node.cases import chest_case, lidc_dicom, luna16
from dicom_node.cases.lidc_database import LidcDatabase
from dicom_node.cli import evaluate_adapter, evaluate_detection, evaluate_text
from dicom_node.cli.options import Commands, add_config, add_data, data_of, load_settings
from dicom_node.errors import SettingsError

_LINES_OF_A_PANEL = 6


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="print how good the AI is, and on what",
        description="Judge the tiers that can run here, beside baselines that need no image.",
    )
    subjects = parser.add_subparsers(required=True, metavar="WHAT", help="what is judged")
    _add_segmentation(subjects)
    evaluate_detection.add(subjects)
    evaluate_text.add(subjects)
    evaluate_adapter.add(subjects)


def _add_segmentation(subjects: Commands) -> None:
    parser = subjects.add_parser(
        "segmentation",
        help="outlines of nodules",
        description="Compare outlines with those of readers: from the node's own detections, and prompted; on real "
        "cases and on composites of test patients in lungs that are never used for training. Writes segmentation.md, "
        "segmentation.json and PNG panels.",
    )
    add_config(parser)
    add_data(parser, "ct-chest/ with the development cases, whose lungs the composites need, too")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go; made if missing")
    parser.add_argument("--lidc", type=Path, metavar="DIR", help="LIDC-IDRI's DICOM: its test patients are judged too")
    parser.add_argument("--luna16", type=Path, metavar="DIR", help="LUNA16's mhd files and annotations.csv: as above")
    parser.add_argument("--composites", type=int, default=240, metavar="N", help="of each renderer (240); 0: none")
    parser.add_argument("--worse", type=int, default=60, metavar="N", help="of them also blurred, noisy... (60)")
    parser.add_argument("--no-cases", action="store_true", help="leave the development cases out")
    parser.add_argument("--tier", action="append", metavar="NAME", help="judge only this tier; may be repeated")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="judge SAM2 with these compact weights too, as training writes them",
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="where published weights lie (as the settings say)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of composites and prompts (1)")
    parser.set_defaults(run=run_segmentation)


def run_segmentation(arguments: argparse.Namespace) -> int:
    """Evaluate, print the tables and write them."""
    tiers = _chosen(arguments)
    composed = Composed(tiers, arguments.seed, n_degraded=arguments.worse)
    rows: list[Row] = []
    without_lungs: list[str] = []
    with Progress(TextColumn("{task.description}"), TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task("")
        for material, case in _cases(arguments):
            bar.update(task, description=f"{material}: {case.name}")
            try:
                rows += case_rows(case, material, tiers, arguments.seed)
            except NoLungs:
                without_lungs.append(case.name)
        for number, (composite, lungs) in enumerate(_composites(arguments), start=1):
            bar.update(task, description=f"composite {number} of {2 * arguments.composites}")
            composed.add(composite, lungs)
    report = Report(
        command=_command(arguments),
        facts=_facts(arguments, tiers) | {"left out, as no lungs are found": ", ".join(without_lungs) or "none"},
        rows=[*rows, *composed.rows],
        degraded=composed.degraded,
        followed=list(composed.followed.values()),
    )
    write(report, arguments.out)
    print(markdown(report))
    return 0


def _chosen(arguments: argparse.Namespace) -> list[Contestant]:
    """Return the tiers asked for, by default all that can run."""
    try:
        runnable = {each.name: each for each in _runnable(arguments)}
    except WeightsError as error:
        raise SettingsError("--weights", str(error)) from error
    names: Sequence[str] = arguments.tier or ()
    unknown = [name for name in names if name not in runnable]
    if unknown:
        raise SettingsError("--tier", f"{unknown[0]} cannot run here; there are: {', '.join(runnable)}")
    return [runnable[name] for name in names] if names else list(runnable.values())


def _runnable(arguments: argparse.Namespace) -> Iterator[Contestant]:
    """Yield the tier without weights, and SAM2 with all weights that are here."""
    yield contestant(weight_free())
    models_dir = arguments.models or load_settings(arguments).models
    if arguments.weights:
        own = weights.compact_file(arguments.weights)
        yield contestant(with_sam2(own), f"SAM2 {own.path.name}")
    for model in weights.models():
        try:
            yield contestant(with_sam2(weights.weights_of(model, models_dir)), f"SAM2 {model.name}")
        except WeightsMissing:
            continue


def _cases(arguments: argparse.Namespace) -> Iterator[tuple[Material, Case]]:
    """Read the real cases, one at a time."""
    if not arguments.no_cases:
        for folder in chest_case.case_folders(data_of(arguments, "ct-chest/") / "ct-chest"):
            yield Material.DEVELOPMENT, chest_case.read(folder)
    if arguments.lidc:
        yield from ((Material.LIDC, case) for case in lidc_dicom.cases(arguments.lidc, LidcDatabase()))
    if arguments.luna16:
        yield from ((Material.LUNA16, case) for case in luna16.cases(arguments.luna16, LidcDatabase()))


def case_rows(case: Case, material: Material, tiers: Sequence[Contestant], seed: int) -> Iterator[Row]:
    """Judge all tiers on the lesions of one real case.

    Raises
    ------
    NoLungs
        None are found in it: no tier can be judged.
    """
    scene = scene_of(case.volume, tiers[0].tier.lungs.find(case.volume))
    found = detections(scene, tiers)
    for lesion in case.lesions:
        yield from rows_of(Subject(lesion.name, material, scene, lesion), tiers, found, seed)


def _composites(arguments: argparse.Namespace) -> Iterator[tuple[Composite, Lungs]]:
    """Compose for both renderers, one crop at a time."""
    if not arguments.composites:
        return
    from dicom_node.cases.judged_composites import judged_composites  # noqa: PLC0415 - not to slow other commands down

    data = data_of(arguments, "ct-chest/")
    for renderer in Renderer:
        yield from judged_composites(LidcDatabase(), data, renderer, arguments.composites, arguments.seed)


def _command(arguments: argparse.Namespace) -> str:
    words = ["emerald", "evaluate", "segmentation", "--out", arguments.out.name]
    words += ["--composites", str(arguments.composites), "--worse", str(arguments.worse), "--seed", str(arguments.seed)]
    words += ["--no-cases"] if arguments.no_cases else []
    for name in ("lidc", "luna16"):
        words += [f"--{name}", "DIR"] if getattr(arguments, name) else []
    words += ["--weights", arguments.weights.name] if arguments.weights else []
    for name in arguments.tier or ():
        words += ["--tier", name]
    return shlex.join(words)


def _facts(arguments: argparse.Namespace, tiers: Sequence[Contestant]) -> dict[str, str]:
    return {
        "version": node.software_version(),
        "tiers": "; ".join(f"{each.name}: {each.tier.names['segmentation']}" for each in tiers),
        "seed of composites and prompts": str(arguments.seed),
        "found": "the centre of a finding lies nearer to that of the truth than the truth's radius, and both overlap",
        "box prompts": "truth's box on its largest slice, each edge off by up to 10 % of the extent",
    }


def write(report: Report, folder: Path) -> None:
    """Write Markdown, JSON and panels into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "segmentation.md").write_text(markdown(report), encoding="utf-8")
    (folder / "segmentation.json").write_text(json.dumps(as_json(report), indent=1), encoding="utf-8")
    for name, picture in _panels(report):
        picture.save(folder / f"{name}.png")


def _panels(report: Report) -> Iterator[tuple[str, Image.Image]]:
    """Draw, for every material, protocol and tier, the lesions from the best Dice to the worst."""
    words = {Protocol.OWN: "own", Protocol.BOX: "box"}
    for material in report.materials:
        rows = report.of(material)
        for protocol, name in sorted({(row.protocol, row.contestant) for row in rows if row.picture is not None}):
            mine = [row for row in rows if (row.protocol, row.contestant) == (protocol, name)]
            file_name = f"{material}-{words[protocol]}-{name}".replace(",", "").replace(" ", "-").lower()
            yield file_name, panel(spread(mine, _LINES_OF_A_PANEL), f"{material}, {protocol}, {name}")
