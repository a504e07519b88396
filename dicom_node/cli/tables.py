"""Tables that several commands print."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table


def findings_table(findings: Sequence[dict[str, Any]]) -> Table:
    """Return the findings of a study as a table."""
    columns = ("no.", "type", "side", "zone", "long × short mm", "mean mm", "mm³", "HU", "Lung-RADS", "Brock")
    table = Table(*columns, title="Findings (research use only)")
    for finding in findings:
        axes = f"{finding['long_axis_mm']:.1f} × {finding['short_axis_mm']:.1f}"
        table.add_row(
            str(finding["number"]),
            finding["type"],
            finding["laterality"],
            finding["zone"],
            axes,
            f"{finding['mean_diameter_mm']:.1f}",
            f"{finding['volume_mm3']:.0f}",
            f"{finding['mean_hu']:.0f}",
            finding["lung_rads"] or "-",
            _brock(finding["malignancy"]),
        )
    return table


def _brock(scores: Sequence[dict[str, Any]]) -> str:
    known = [score for score in scores if score["value"] is not None]
    if known:
        return f"{known[0]['value']:.1%}"
    return "needs " + ", ".join(scores[0]["missing"]) if scores else "-"
