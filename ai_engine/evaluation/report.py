"""What an evaluation gathered, and the groups and means that the tables are made of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, median
from typing import Any, TypeVar

from ai_engine.evaluation.confidence import ConfidenceFigures, confidence_figures
from ai_engine.evaluation.domain import Material, Protocol, Row
from ai_engine.evaluation.following import Followed
from ai_engine.evaluation.scores import Scores

_T = TypeVar("_T")

#: Lower ends of the size bands, mean diameter in mm.
BANDS_MM = (0.0, 6.0, 8.0, 15.0, 30.0)


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that one run gathered.

    Attributes
    ----------
    command : str
        What printed it.
    facts : dict
        Versions, seeds, numbers: what one needs to print it again.
    degraded : dict
        Change -> rows of the same subjects after it, prompted with a box.
    """

    command: str
    facts: Mapping[str, str]
    rows: Sequence[Row]
    degraded: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    followed: Sequence[Followed] = ()

    @property
    def materials(self) -> list[Material]:
        """Materials that there are rows of, in the order of the tables."""
        return [material for material in Material if any(row.material is material for row in self.rows)]

    def of(self, material: Material, *, first_judge_only: bool = True) -> list[Row]:
        """Return the rows of one material, by default against each subject's first judge only, and those of readers."""
        rows = [row for row in self.rows if row.material is material]
        if not first_judge_only:
            return rows
        judges: dict[str, str] = {}
        for row in rows:
            if row.protocol is not Protocol.READERS:
                judges.setdefault(row.subject, row.judge)
        return [row for row in rows if row.protocol is Protocol.READERS or judges.get(row.subject) == row.judge]

    def confidence(self) -> list[tuple[Material, Protocol, ConfidenceFigures]]:
        """Return what confidence tells, by material and protocol, where a contestant has one."""
        figures = []
        for material in self.materials:
            for (protocol, name), rows in grouped(
                self.of(material), lambda row: (row.protocol, row.contestant)
            ).items():
                one = confidence_figures(name, rows)
                if one is not None and protocol in (Protocol.OWN, Protocol.BOX):
                    figures.append((material, protocol, one))
        return figures


def grouped(rows: Iterable[_T], key: Callable[[_T], Any]) -> dict[Any, list[_T]]:
    """Group rows by a key, in order of first appearance."""
    groups: dict[Any, list[_T]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def band_of(diameter_mm: float) -> str:
    """Name the size band of a mean diameter."""
    lower = max(low for low in BANDS_MM if low <= diameter_mm)
    following = [low for low in BANDS_MM if low > lower]
    if not following:
        return f"{lower:.0f} mm and more"
    return f"under {following[0]:.0f} mm" if lower == 0 else f"{lower:.0f} to {following[0]:.0f} mm"


def bands() -> list[str]:
    """Return the names of all size bands, smallest first."""
    return [band_of(low) for low in BANDS_MM]


def mean_dice(rows: Sequence[Row]) -> float | None:
    """Return the mean Dice with misses as 0; None over nothing."""
    return fmean(row.dice for row in rows) if rows else None


def mean_of(rows: Iterable[Row], figure: Callable[[Scores], float]) -> float | None:
    """Return the mean of a figure over the rows that have a mask; None over nothing."""
    values = [figure(row.scores) for row in rows if row.scores is not None]
    return fmean(values) if values else None


def median_of(rows: Iterable[Row], figure: Callable[[Scores], float]) -> float | None:
    """Return the median of a figure over the rows that have a mask; None over nothing."""
    values = [figure(row.scores) for row in rows if row.scores is not None]
    return median(values) if values else None


def as_json(report: Report) -> dict[str, Any]:
    """Return the whole report as plain values; every row, without pictures."""
    return {
        "command": report.command,
        "facts": dict(report.facts),
        "rows": [row_as_json(row) for row in report.rows],
        "degraded": {change: [row_as_json(row) for row in rows] for change, rows in report.degraded.items()},
        "prompt_following": [asdict(followed) for followed in report.followed],
        "confidence": [
            {"material": material, "protocol": protocol, **asdict(figures)}
            for material, protocol, figures in report.confidence()
        ],
    }


def row_as_json(row: Row) -> dict[str, Any]:
    """Return one row as plain values."""
    return {
        "subject": row.subject,
        "material": row.material,
        "protocol": row.protocol,
        "contestant": row.contestant,
        "judge": row.judge,
        "nodule_type": row.nodule_type,
        "diameter_mm": row.diameter_mm,
        "found": row.found,
        "confidence": row.confidence,
        "is_doubtful": row.is_doubtful,
        "scores": None if row.scores is None else asdict(row.scores),
    }
