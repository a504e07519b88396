"""The report on language as Markdown and as plain values.

Rules that the tables keep: each wording has a row of its own, since a mean hides the one that fails; what was selected
in its place stands beside it; every way to rank is judged on the same candidates.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ai_engine.evaluation.detection_report import BAR_MM, at_bar
from ai_engine.evaluation.detection_report import figures as froc_figures
from ai_engine.evaluation.detection_tables import SHOWN, intervals
from ai_engine.evaluation.froc import Searched, curve
from ai_engine.evaluation.language import About, Answered, Asked, Figures, figures
from ai_engine.evaluation.language_prompts import KINDS
from ai_engine.evaluation.report import band_of, bands, grouped
from ai_engine.evaluation.tables import Cells, table

#: Precision and recall that a prompt should reach.
BAR = 0.8


@dataclass(frozen=True, eq=False)
class LanguageReport:
    """Everything that one run gathered.

    Attributes
    ----------
    answers : sequence of Answered
        Of the nodules that had a candidate.
    lost : dict
        Kind -> nodules without one: no prompt can select them.
    ranked : dict
        Way to rank -> scans, all with the same candidates.
    """

    command: str
    facts: Mapping[str, str]
    asked: Sequence[Asked]
    answers: Sequence[Answered]
    lost: Mapping[str, int]
    ranked: Mapping[str, Sequence[Searched]] = field(default_factory=dict)

    def of(self, about: About) -> dict[int, Asked]:
        """Return the prompts about one thing, by their numbers."""
        return {number: each for number, each in enumerate(self.asked) if each.about is about}


def markdown(report: LanguageReport) -> str:
    """Return the whole report as Markdown."""
    parts = ["# What prompts select", f"Printed by `{report.command}`. Research use only."]
    parts.append("\n".join(f"- {name}: {value}" for name, value in report.facts.items()))
    if report.answers:
        parts += ["## Types, in words that training never joined so", *_types(report)]
        parts += ["## Sizes, places, and several at once", *_others(report)]
    if report.ranked:
        parts += ["## What the text is worth: the same candidates, ranked in other ways", *_ranked(report)]
    return "\n\n".join(parts) + "\n"


def _types(report: LanguageReport) -> Iterator[str]:
    lost = ", ".join(f"{n} {kind}" for kind, n in report.lost.items() if n) or "none"
    yield (
        f"Each row pools one wording over all held-out patterns of a question. The bar is {BAR:g} for precision and "
        f"for recall. Beside them: the share of the planted nodules of each kind that the wording selects (a "
        f"calcified one is also solid or part-solid). Without a candidate, and counted nowhere below: {lost}."
    )
    asked = report.of(About.TYPE)
    head = ["meant", "wording", *_HEAD, *(f"{kind}" for kind in KINDS)]
    rows = []
    for (meaning, wording), numbers in _by(asked, lambda each: (each.meaning, each.wording)).items():
        rows.append([meaning, wording, *_cells(report.answers, numbers), *_selected(report.answers, numbers)])
    yield table(head, rows)
    yield "The wordings of each kind together, by lung, renderer and size."
    by_kind = _by(asked, lambda each: each.meaning)
    yield table(["nodules", *(f"{kind}: precision, recall" for kind in by_kind)], list(_groups(report, by_kind)))


_HEAD = ("meant n", "precision", "recall", "bar")


def _cells(answers: Sequence[Answered], asked: Mapping[int, Asked]) -> Cells:
    found = figures(asked, answers)
    return [str(round(found.n_meant / len(asked))), _share(found.precision), _share(found.recall), _reached(found)]


def _reached(found: Figures) -> str:
    if found.precision is None or found.recall is None:
        return "-"
    return "reached" if min(found.precision, found.recall) >= BAR else "missed"


def _selected(answers: Sequence[Answered], asked: Mapping[int, Asked]) -> Iterator[str]:
    for kind in KINDS:
        mine = [answer for answer in answers if answer.planted.kind == kind]
        n = sum(number in answer.selected for answer in mine for number in asked)
        yield _share(n / (len(mine) * len(asked)) if mine else None)


def _groups(report: LanguageReport, by_kind: Mapping[str, Mapping[int, Asked]]) -> Iterator[Cells]:
    for name, answers in _named(report.answers):
        pairs = [figures(asked, answers) for asked in by_kind.values()]
        yield [f"{name} ({len(answers)})", *(f"{_share(each.precision)}, {_share(each.recall)}" for each in pairs)]


def _named(answers: Sequence[Answered]) -> Iterator[tuple[str, list[Answered]]]:
    yield "all", list(answers)
    yield from grouped(answers, lambda each: f"renderer {each.planted.renderer}").items()
    yield from grouped(answers, lambda each: each.planted.lung).items()
    by_size = grouped(answers, lambda each: band_of(each.planted.diameter_mm))
    yield from ((band, by_size[band]) for band in bands() if band in by_size)


def _others(report: LanguageReport) -> Iterator[str]:
    yield (
        "Sizes and places are read by rules, not by the encoder. The truth is the planted outline: its mean diameter, "
        "and its place by the engine's own division of the lungs, so that these rows say whether prompts are read "
        "rightly and sizes measured rightly, not whether lobes are."
    )
    rows = []
    for about in (About.SIZE, About.PLACE, About.SEVERAL):
        for meaning, numbers in _by(report.of(about), lambda each: each.meaning).items():
            rows.append([str(about), meaning, *_cells(report.answers, numbers)])
    yield table(["about", "meant", *_HEAD], rows)
    yield (
        "What the node measures, less what was planted, mm: mean and standard deviation. Within that of its "
        "limit a size selects partly by chance."
    )
    measured = [[f"{name} ({len(of)})", *_differences(of)] for name, of in _named(report.answers)]
    yield table(["nodules", "mean", "SD"], measured)


def _differences(answers: Sequence[Answered]) -> Cells:
    less = np.array([answer.measured_mm - answer.planted.diameter_mm for answer in answers])
    return [f"{less.mean():+.1f}", f"{less.std(ddof=1):.1f}" if len(less) > 1 else "-"]


def _ranked(report: LanguageReport) -> Iterator[str]:
    yield (
        f"Sensitivity for nodules of {BAR_MM:g} mm and more at so many false positives per scan, at thresholds of each "
        "row's own; in square brackets 95 % bootstrap intervals, drawn by lung."
    )
    rows = []
    for name, scans in report.ranked.items():
        rows.append([name, str(curve(scans, at_bar).n_targets), *intervals(scans)])
    yield table(["ranked by", "n", *(f"{rate:g}/scan" for rate in SHOWN), "CPM"], rows)


def _by(asked: Mapping[int, Asked], key: Callable[[Asked], Any]) -> dict[Any, dict[int, Asked]]:
    groups: dict[Any, dict[int, Asked]] = {}
    for number, each in asked.items():
        groups.setdefault(key(each), {})[number] = each
    return groups


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def as_json(report: LanguageReport) -> dict[str, Any]:
    """Return the whole report as plain values: every prompt with its figures, every nodule with what selected it."""
    return {
        "command": report.command,
        "facts": dict(report.facts),
        "prompts": [_prompt(number, each, report.answers) for number, each in enumerate(report.asked)],
        "lost": dict(report.lost),
        "nodules": [
            {
                **{name: getattr(each.planted, name) for name in ("name", "lung", "renderer", "kind", "diameter_mm")},
                "facts": dict(each.planted.facts.values),
                "measured_mm": round(each.measured_mm, 2),
                "selected by": sorted(each.selected),
                "likeness": list(each.likeness),
            }
            for each in report.answers
        ],
        "ranked": {
            name: {
                "all": froc_figures(curve(scans)),
                f"{BAR_MM:g} mm and more": froc_figures(curve(scans, at_bar)),
                "scans": [asdict(scan) for scan in scans],
            }
            for name, scans in report.ranked.items()
        },
    }


def _prompt(number: int, asked: Asked, answers: Sequence[Answered]) -> dict[str, Any]:
    found = figures({number: asked}, answers)
    return {
        "text": asked.prompt.text,
        "about": str(asked.about),
        "meant": asked.meaning,
        **asdict(found),
        "precision": found.precision,
        "recall": found.recall,
    }
