"""``emerald evaluate text``: whether a prompt in new words selects what it means, and what the text is worth."""

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress, TextColumn, TimeElapsedColumn

from ai_engine.candidates import Proposer
from ai_engine.clip.ensembles import By
from ai_engine.evaluation.detection import Exam, Proposed, Scorer, judged
from ai_engine.evaluation.detection_gathering import Search
from ai_engine.evaluation.froc import Searched
from ai_engine.evaluation.language import Answered, Asked, Planted, answered
from ai_engine.evaluation.language_prompts import asked_of
from ai_engine.evaluation.language_report import LanguageReport, as_json, markdown
from dicom_node import node
from dicom_node.cases.detection_exams import Copy
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cases.mixtures import DIAMETER_MM, PER_SCAN, Mixture
from dicom_node.cli.detection_scorers import Weights, weights_of
from dicom_node.cli.nodule_outlines import NoduleOutlines
from dicom_node.cli.options import Commands
from dicom_node.cli.planted_lungs import add_options, command, copies
from dicom_node.errors import SettingsError

#: The head of a network that was trained without any text.
WITHOUT_TEXT = "trained without text"


def add(subjects: Commands) -> None:
    """Add the command to the parser of ``emerald evaluate``."""
    parser = subjects.add_parser(
        "text",
        help="what prompts select, and what the text is worth",
        description="Plant as many solid, part-solid, ground-glass and calcified nodules of test patients into whole "
        "lungs that the network never saw, ask for them in words that no training sentence holds, and print precision "
        "and recall of each; then rank the same candidates with the text, with the text shuffled between classes, by "
        "the head alone, and by networks trained without text. Writes text.md and text.json.",
    )
    add_options(parser)
    parser.add_argument("--weights-without-text", type=Path, metavar="FILE", help="as --weights, trained without text")
    parser.add_argument("--folds-without-text", type=Path, metavar="DIR", help="as --folds, trained without text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the tables and write them."""
    from dicom_node.cases.planted_scans import Planting  # noqa: PLC0415 - not to slow other commands down

    if arguments.weights is None and arguments.folds is None:
        raise SettingsError("--weights", "say with --weights or --folds which encoder is asked")
    asked = weights_of(arguments.weights, arguments.folds)
    plain = weights_of(arguments.weights_without_text, arguments.folds_without_text)
    _check_same_lungs(asked, plain)
    gathered = _Gathered(asked, plain, Mixture(LidcDatabase(), Split(arguments.split), arguments.seed))
    how = Planting(PER_SCAN, smallest_mm=DIAMETER_MM[0], seed=arguments.seed, held_out=asked.held_out)
    with Progress(TextColumn("{task.description}"), TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task("")
        for copy in copies(arguments, (asked, plain), how, gathered.mixture.shapes):
            exam = copy.exam()
            bar.update(task, description=exam.scan)
            gathered.add(exam, copy)
    report = _report(arguments, gathered)
    write(report, arguments.out)
    print(markdown(report))
    return 0


def _check_same_lungs(asked: Weights, plain: Weights) -> None:
    """Refuse to compare ways to rank in different lungs; none without text at all is fine."""
    if (plain.file, plain.folds) == (None, {}):
        return
    if set(plain.folds) != set(asked.folds) or (plain.file is None) != (asked.file is None):
        raise SettingsError("--folds-without-text", "there have to be weights for the same lungs as with text")


@dataclass
class _Gathered:
    """What came out so far; memory holds one scan."""

    weights: Weights
    without_text: Weights
    mixture: Mixture
    search: Search = field(default_factory=lambda: Search(Proposer()))
    outlines: NoduleOutlines = field(default_factory=NoduleOutlines)
    asked: list[Asked] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    unclear: int = 0
    ranked: dict[str, list[Searched]] = field(default_factory=dict)

    def add(self, exam: Exam, copy: Copy) -> None:
        """Search one scan, ask all prompts of its nodules, and rank its candidates in all ways."""
        found = self.search.of(exam)
        if found is None:
            return
        scorers = self.weights.scorers_for(copy.scan.lung)
        for name, each in judged(exam, found, self._ranking(scorers, copy.scan.lung)).items():
            self.ranked.setdefault(name, []).append(each)
        truths = self.mixture.planted(copy.scan, found.scene.lungs)
        targets = [target.name for target in found.searched.targets]
        counted = {name: truths[name] for name in targets if name in truths}
        self.unclear += len(targets) - len(counted)
        answers = self._answers(exam, found, scorers, counted)
        self.answers += answers
        told = Counter(each.planted.kind for each in answers)
        self.lost += Counter(each.kind for each in counted.values()) - told

    def _answers(
        self, exam: Exam, found: Proposed, scorers: Mapping[str, Scorer], truths: Mapping[str, Planted]
    ) -> list[Answered]:
        asking = scorers[str(By.TEXT)].scorer  # type: ignore[attr-defined]
        if not self.asked:
            self.asked = asked_of(asking.encoder.vocabulary)
        name = self.outlines.name_for(exam.lung)
        answers = list(answered(exam, found, asking, self.outlines.segmenter(name), self.asked, truths))
        self.outlines.used[name] += len(answers)
        return answers

    def _ranking(self, scorers: Mapping[str, Scorer], lung: str) -> dict[str, Scorer]:
        ranking = dict(scorers)
        plain = self.without_text.scorers_for(lung).get(str(By.HEAD))
        if plain is not None:
            ranking[WITHOUT_TEXT] = plain
        return ranking


def _report(arguments: argparse.Namespace, gathered: _Gathered) -> LanguageReport:
    low, high = DIAMETER_MM
    facts = {
        "version": node.software_version(),
        "weights": gathered.weights.told,
        "weights without text": gathered.without_text.told,
        "seed of outlines and places": str(arguments.seed),
        "mixture": f"outlines of {low:g} to {high:g} mm, as many as show each kind clearly; what the picture shows is "
        f"the truth: {_numbers(gathered)}; {gathered.unclear} that do not clearly show what was painted are left out",
        "asked at": "the middle of the outline of the best-scored candidate on each nodule, as the node would; "
        f"outlined (in lungs that SAM2 was trained in by region growing): {gathered.outlines.told()}",
        **gathered.search.facts(),
    }
    return LanguageReport(
        command(arguments, "text"), facts, gathered.asked, gathered.answers, gathered.lost, gathered.ranked
    )


def _numbers(gathered: _Gathered) -> str:
    there = Counter(each.planted.kind for each in gathered.answers) + gathered.lost
    return ", ".join(f"{n} {kind}" for kind, n in sorted(there.items()))


def write(report: LanguageReport, folder: Path) -> None:
    """Write Markdown and JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.md").write_text(markdown(report), encoding="utf-8")
    (folder / "text.json").write_text(json.dumps(as_json(report), indent=1), encoding="utf-8")
