"""The report as Markdown.

Rules that the tables keep: real cases are few, are called development cases, and get no mean; misses are in every mean
of own detections; prompted figures stand under that name; composites and real cases share no table.
"""

from collections.abc import Iterator, Sequence

from ai_engine.domain import NoduleType
from ai_engine.evaluation import baselines
from ai_engine.evaluation.domain import Material, Protocol, Row
from ai_engine.evaluation.report import Report, band_of, bands, grouped, mean_dice, mean_of, median_of

Cells = Sequence[str]

_COMPOSITES = (Material.COMPOSITES_A, Material.COMPOSITES_B)
_NOTES = {
    Material.DEVELOPMENT: "These cases were looked at while the engine was built: they show that it works, not how "
    "well it works on others. Every lesion is given on its own; no mean is formed.",
    Material.COMPOSITES_A: "Nodules that readers of LIDC-IDRI outlined in test patients, painted by renderer A (the "
    "one used for training) into lungs that are never used for training. They compare contestants with each other; "
    "they do not say how well real nodules are outlined. The search for own detections runs in the crop around the "
    "nodule, not in a whole lung.",
    Material.COMPOSITES_B: "As above, painted by renderer B, which training never uses.",
    Material.LIDC: "Nodules that at least 3 readers outlined; truth: the voxels of at least half of them.",
    Material.LUNA16: "Nodules that at least 3 readers outlined; truth: the voxels of at least half of them.",
}


def markdown(report: Report) -> str:
    """Return the whole report as Markdown."""
    parts = ["# Segmentation of lung nodules", f"Printed by `{report.command}`. Research use only."]
    parts.append("\n".join(f"- {name}: {value}" for name, value in report.facts.items()))
    for material in report.materials:
        parts += [f"## {material[0].upper()}{material[1:]}", _NOTES[material]]
        parts += _development(report) if material is Material.DEVELOPMENT else _many(report, material)
    parts += _robustness(report)
    parts += _following(report)
    parts += _confidence(report)
    return "\n\n".join(parts) + "\n"


def table(head: Cells, rows: Sequence[Cells]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _type(value: NoduleType | None) -> str:
    return "not rated" if value is None else str(value)


# development cases


def _development(report: Report) -> Iterator[str]:
    rows = report.of(Material.DEVELOPMENT, first_judge_only=False)
    firsts = report.of(Material.DEVELOPMENT)
    yield from _found(firsts)
    yield "Dice of each contestant and baseline, against each judge:"
    yield _by_judge([row for row in rows if row.protocol is not Protocol.READERS])
    yield "All figures of own detections:"
    yield _details([row for row in rows if row.protocol is Protocol.OWN and row.scores is not None])
    readers = [row for row in rows if row.protocol is Protocol.READERS]
    if readers:
        yield "Reader against reader, every pair:"
        cells = [[row.subject, f"{row.contestant} against {row.judge}", *_figures(row)] for row in readers]
        yield table(["case", "pair", *_FIGURES], cells)


def _found(firsts: Sequence[Row]) -> Iterator[str]:
    own = [row for row in firsts if row.protocol is Protocol.OWN]
    for name, rows in grouped(own, lambda row: row.contestant).items():
        each = ", ".join(f"{row.subject} {_found_cell(row)}" for row in rows)
        n = sum(row.found for row in rows)
        yield f"**{name}**: found in {n} of {len(rows)} development cases, from its own detections. Dice: {each}."


def _found_cell(row: Row) -> str:
    if row.scores is not None:
        return f"{row.scores.volume.dice:.3f}"
    return "found (the truth is boxes: no Dice)" if row.found else "missed"


def _by_judge(rows: Sequence[Row]) -> str:
    columns = list(grouped(rows, _column))
    cells = []
    for (subject, judge), mine in grouped(rows, lambda row: (row.subject, row.judge)).items():
        by_column = {_column(row): row for row in mine}
        values = [_dice_cell(by_column.get(column)) for column in columns]
        cells.append([subject, _type(mine[0].nodule_type), f"{mine[0].diameter_mm:.0f}", judge, *values])
    return table(["case", "type", "mm", "truth", *columns], cells)


def _dice_cell(row: Row | None) -> str:
    if row is None:
        return "-"
    if not row.found:
        return "missed"
    return "found" if row.scores is None else f"{row.scores.volume.dice:.3f}"


def _column(row: Row) -> str:
    return row.contestant if row.protocol is Protocol.BASELINE else f"{row.contestant}, {row.protocol}"


_FIGURES = ("Dice", "IoU", "P", "R", "surface mm", "p95 mm", "volume", "diameter mm")


def _details(rows: Sequence[Row]) -> str:
    cells = [[row.subject, row.contestant, row.judge, *_figures(row)] for row in rows]
    return table(["case", "contestant", "truth", *_FIGURES], cells)


def _figures(row: Row) -> Cells:
    scores = row.scores
    if scores is None:
        return ["-"] * len(_FIGURES)
    volume = scores.volume
    return [
        *(_number(value) for value in (volume.dice, volume.iou, volume.precision, volume.recall)),
        _number(scores.surface_mm, 2),
        _number(scores.surface_p95_mm, 2),
        f"{scores.volume_error:+.0%}",
        f"{scores.diameter_error_mm:+.1f}",
    ]


# many lesions: composites, LIDC-IDRI, LUNA16


def _many(report: Report, material: Material) -> Iterator[str]:
    rows = report.of(material)
    yield f"{len({row.subject for row in rows})} nodules."
    yield _table_1(rows)
    yield (
        "3D is over all voxels, 2D on the slice of the truth's largest area. P precision, R recall. Surface distance "
        "(mean), volume and diameter error (median of the absolute values) are over the nodules that have a mask."
    )
    for title, names, key in (
        ("By size (mean diameter), 3D Dice with misses as 0:", bands(), lambda row: band_of(row.diameter_mm)),
        ("By type, 3D Dice with misses as 0:", [str(each) for each in NoduleType], lambda row: _type(row.nodule_type)),
    ):
        yield title
        yield _split(rows, names, key)
    yield _margins(rows)


def _table_1(rows: Sequence[Row]) -> str:
    """Lay the rows out as table 1 of EMeRALDS does: one row per way of prompting, Dice, IoU, P, R."""
    cells = []
    for name, mine in grouped(rows, _line).items():
        cells.append(_line_cells(f"3D {name}", mine, "volume"))
        if mine[0].protocol is Protocol.OWN:
            found = [row for row in mine if row.scores is not None]
            cells.append(_line_cells(f"3D {name}, over the detected", found, "volume"))
        if mine[0].protocol is Protocol.BOX:
            cells.append(_line_cells(f"2D {name}", mine, "key_slice"))
    return table(["row", "n", "Dice", "IoU", "P", "R", "surface mm", "volume", "diameter mm"], cells)


def _line(row: Row) -> str:
    if row.protocol in (Protocol.BASELINE, Protocol.READERS):
        return f"{row.contestant if row.protocol is Protocol.BASELINE else row.protocol}"
    words = {
        Protocol.OWN: "own detections, misses as 0",
        Protocol.BOX: "visual (box)",
        Protocol.POINT: "visual (point)",
    }
    return f"{words[row.protocol]}: {row.contestant}"


def _line_cells(name: str, rows: Sequence[Row], which: str) -> Cells:
    def mean(figure: str) -> str:
        values = [getattr(getattr(row.scores, which), figure) if row.scores else 0.0 for row in rows]
        return _number(sum(values) / len(values) if values else None)

    return [
        name,
        str(len(rows)),
        *(mean(figure) for figure in ("dice", "iou", "precision", "recall")),
        _number(mean_of(rows, lambda scores: scores.surface_mm), 2),
        _percent(median_of(rows, lambda scores: abs(scores.volume_error))),
        _number(median_of(rows, lambda scores: abs(scores.diameter_error_mm)), 1),
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _split(rows: Sequence[Row], names: Sequence[str], key) -> str:  # type: ignore[no-untyped-def]
    cells = []
    for name, mine in grouped(rows, _line).items():
        groups = grouped(mine, key)
        cells.append([name, *(_with_n(groups.get(each, [])) for each in names)])
    return table(["row", *names], cells)


def _with_n(rows: Sequence[Row]) -> str:
    return f"{_number(mean_dice(rows))} (n {len(rows)})" if rows else "-"


def _margins(rows: Sequence[Row]) -> str:
    """Say how far each contestant, prompted with a box, is from what it has to beat."""
    groups = grouped(rows, lambda row: (row.protocol, row.contestant))
    beside = {
        name: mean_dice(groups.get((protocol, name), []))
        for protocol, name in ((Protocol.BASELINE, baselines.IN_TRUTH_BOX), (Protocol.BOX, "weight-free"))
    }
    lines = []
    for (protocol, name), mine in groups.items():
        if protocol is Protocol.BOX:
            own = mean_dice(mine) or 0.0
            apart = [f"{own - value:+.3f} to {other}" for other, value in beside.items() if value and other != name]
            lines.append(f"- {name}, prompted with a box: 3D Dice {own:.3f}; {', '.join(apart)}")
    return "\n".join(lines)


# the rest


def _robustness(report: Report) -> Iterator[str]:
    if not report.degraded:
        return
    yield "## The same composites, made worse"
    yield (
        "3D Dice of prompted boxes, misses as 0, and the drop against the same nodules as composed. A nodule that is "
        "lost between thick slices is left out of both. Slices thinner than those of the lung are interpolated."
    )
    for material in _COMPOSITES:
        cells = list(_drops(report, material))
        if cells:
            yield f"{material[0].upper()}{material[1:]}:"
            yield table(["contestant", "change", "n", "as composed", "changed", "drop"], cells)


def _drops(report: Report, material: Material) -> Iterator[Cells]:
    before = {(row.contestant, row.subject): row for row in report.of(material) if row.protocol is Protocol.BOX}
    for change, rows in report.degraded.items():
        for name, mine in grouped(
            [row for row in rows if row.material is material], lambda row: row.contestant
        ).items():
            was = mean_dice([before[name, row.subject] for row in mine]) or 0.0
            now = mean_dice(mine) or 0.0
            yield [name, change, str(len(mine)), f"{was:.3f}", f"{now:.3f}", f"{was - now:+.3f}"]


def _following(report: Report) -> Iterator[str]:
    if not report.followed:
        return
    yield "## Does it listen to its prompt?"
    yield (
        "A box on another nodule of the crop: that one is segmented (Dice of at least 0.5), or the target, elsewhere, "
        "is fitted better. A box of 10 mm on empty lung: the answer is that nothing is there."
    )
    cells = [
        [
            each.contestant,
            str(each.material),
            f"{each.on_distractor} of {each.n_distractors} ({_share(each.on_distractor, each.n_distractors)})",
            f"{each.on_target} of {each.n_distractors} ({_share(each.on_target, each.n_distractors)})",
            f"{each.empty} of {each.n_empty} ({_share(each.empty, each.n_empty)})",
        ]
        for each in report.followed
    ]
    yield table(
        ["contestant", "on", "segments the other nodule", "segments the target instead", "empty on empty lung"], cells
    )


def _share(n: int, of: int) -> str:
    return f"{n / of:.0%}" if of else "-"


def _confidence(report: Report) -> Iterator[str]:
    figures = report.confidence()
    if not figures:
        return
    yield "## Is its confidence worth anything?"
    cells = [
        [
            each.contestant,
            str(material),
            str(protocol),
            str(each.n),
            _number(each.rank_correlation, 2),
            f"{_number(each.dice_of_flagged)} (n {each.flagged})",
            f"{_number(each.dice_of_others)} (n {each.others})",
        ]
        for material, protocol, each in figures
        if material is not Material.DEVELOPMENT
    ]
    yield table(
        ["contestant", "on", "protocol", "n", "rank correlation with Dice", "Dice of flagged", "Dice of others"], cells
    )
