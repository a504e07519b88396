"""The report on named parts as Markdown and as plain values; each wording has a row of its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ai_engine.clip.parts import Part
from ai_engine.evaluation.parts import NOBODY, TEXT, Interval, Judged, interval
from ai_engine.evaluation.tables import Cells, table

#: By how much Dice with the named part should exceed Dice with the other one.
BAR = 0.1

_HEAD = ["named by", "part", "nodules", "Dice with it", "Dice with the other part", "difference"]


@dataclass(frozen=True, eq=False)
class PartsReport:
    """Everything that one run gathered."""

    command: str
    facts: Mapping[str, str]
    rows: Sequence[Judged]


def markdown(report: PartsReport) -> str:
    """Return the whole report as Markdown."""
    parts = ["# Parts of nodules, named", f"Printed by `{report.command}`. Research use only."]
    parts.append("\n".join(f"- {name}: {value}" for name, value in report.facts.items()))
    parts.append(
        "3D Dice on planted part-solid nodules: means over nodules, each with all its wordings, in square brackets "
        f"95 % bootstrap intervals, drawn by patient. The bar for the difference is {BAR:g}. A part is looked for "
        f'where the nodule was outlined with no part named; those outlines themselves are the rows "{NOBODY}".'
    )
    for renderer in sorted({row.renderer for row in report.rows}):
        parts += [
            f"## Renderer {renderer}",
            table(_HEAD, list(_table([r for r in report.rows if r.renderer == renderer]))),
        ]
    parts += ["## Each wording", table(["part", "wording", *_HEAD[2:]], list(_wordings(report.rows)))]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Judged]) -> Iterator[Cells]:
    for by in dict.fromkeys(row.by for row in rows):
        for part in Part:
            yield [by, str(part), *_cells([row for row in rows if (row.by, row.part) == (by, part)])]
        yield [by, "both", *_cells([row for row in rows if row.by == by])]


def _wordings(rows: Sequence[Judged]) -> Iterator[Cells]:
    by_text = [row for row in rows if row.by == TEXT]
    for part, wording in dict.fromkeys((row.part, row.wording) for row in by_text):
        yield [str(part), wording, *_cells([row for row in by_text if (row.part, row.wording) == (part, wording)])]


def _cells(rows: Sequence[Judged]) -> Cells:
    figures = (interval(rows, lambda row: row.named), interval(rows, lambda row: row.other))
    return [str(len({row.nodule for row in rows})), *map(_said, figures), _said(difference(rows))]


def difference(rows: Sequence[Judged]) -> Interval:
    """By how much Dice with the named part exceeds Dice with the other one."""
    return interval(rows, lambda row: row.named - row.other)


def _said(each: Interval) -> str:
    return f"{each.value:.3f} [{each.low:.3f}, {each.high:.3f}]"


def as_json(report: PartsReport) -> dict[str, Any]:
    """Return everything as plain values."""
    rows = [asdict(row) | {"part": str(row.part)} for row in report.rows]
    return {"command": report.command, "facts": dict(report.facts), "rows": rows}
