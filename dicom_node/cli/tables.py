"""What several commands print."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table

from dicom_node.findings import Json, scored_by_of
from dicom_node.objects.words import threshold


def console() -> Console:
    """Return a console that prints text as it is: what stands in brackets may come from an image or from a peer."""
    return Console(markup=False, highlight=False)


def findings_table(findings: Sequence[Json]) -> RenderableType:
    """Return the findings of a study as a table, and below it what the risk models miss."""
    table = Table(title="Findings (research use only)", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("no.", "type", "where", "axes mm", "mean", "mm³", "HU", "Lung-RADS", "Brock"):
        table.add_column(column, no_wrap=True)
    for finding in findings:
        table.add_row(
            str(finding["number"]),
            finding["type"],
            finding["lobe"] or f"{finding['laterality']} {finding['zone']}",
            f"{finding['long_axis_mm']:.1f}×{finding['short_axis_mm']:.1f}",
            f"{finding['mean_diameter_mm']:.1f}",
            f"{finding['volume_mm3']:.0f}",
            f"{finding['mean_hu']:.0f}",
            finding["lung_rads"] or "-",
            _value(finding["malignancy"]),
        )
    return Group(table, *_missing(findings))


def detection_in_words(told: Json) -> Iterator[tuple[str, str]]:
    """Yield what was asked for, what scored, and how much else was found; nothing where that was not kept."""
    detection = told.get("detection")
    if not detection:
        return
    if detection["prompt"]:
        yield "asked for", detection["prompt"]
    if likes := ", ".join(_likenesses(told["findings"])):
        yield "likeness to it", f"{likes}; above 0 its words are true, as the encoder sees it; types are by HU"
    if by := scored_by_of(detection):
        words = f"{threshold(by)}; a score is no probability"
        yield "scored by", f"{by.name} {by.version}, weights {by.sha256[:12]}, {words}"
    if others := sum(series["found_but_not_asked_for"] for series in told["series"]):
        yield "found, but not asked for", str(others)


def _likenesses(findings: Sequence[Json]) -> Iterator[str]:
    for finding in findings:
        if "likeness_to_prompt" in finding:
            yield f"no. {finding['number']} {finding['likeness_to_prompt']:.2f}"


def _value(scores: Sequence[Json]) -> str:
    return next((f"{score['value']:.1%}" for score in scores if score["value"] is not None), "-")


def _missing(findings: Sequence[Json]) -> Iterator[str]:
    lines = {
        f"{score['name']} is not computed without: {', '.join(name.replace('_', ' ') for name in score['missing'])}"
        for finding in findings
        for score in finding["malignancy"]
        if score["missing"]
    }
    yield from sorted(lines)
