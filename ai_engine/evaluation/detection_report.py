"""What an evaluation of detection gathered, as the tables need it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ai_engine.evaluation.froc import RATES, Curve, Searched, Target, curve
from ai_engine.evaluation.reported import Reported, as_plain

#: The bar is for nodules from here on; smaller ones stand beside it.
BAR_MM = 6.0
#: Where one threshold serves all scans: at so many false positives per planted scan.
RATE = 4.0


@dataclass(frozen=True, eq=False)
class Worse:
    """The same scans, changed: as they were and as they are then, by scorer."""

    before: dict[str, list[Searched]]
    after: dict[str, list[Searched]]


@dataclass(frozen=True, eq=False)
class RealScan:
    """A real scan under one scorer."""

    scorer: str
    searched: Searched


@dataclass(frozen=True, eq=False)
class DetectionReport:
    """Everything that one run gathered.

    Attributes
    ----------
    command : str
        What printed it.
    facts : dict
        Versions, seeds, numbers.
    proposed : dict
        Renderer -> scans with all candidates, before anything scored them.
    scored : dict
        Scorer -> renderer -> scans.
    worse : dict
        Change -> the same scans before and after.
    real : sequence of RealScan
    reported : sequence of Reported
        The real scans as the node reports them.
    """

    command: str
    facts: Mapping[str, str]
    proposed: Mapping[str, Sequence[Searched]]
    scored: Mapping[str, Mapping[str, Sequence[Searched]]]
    worse: Mapping[str, Worse] = field(default_factory=dict)
    real: Sequence[RealScan] = ()
    reported: Sequence[Reported] = ()

    def all_of(self, scorer: str) -> list[Searched]:
        """Return the scans of all renderers."""
        return pooled(self.scored[scorer])

    def threshold(self, scorer: str) -> float:
        """Return the threshold that serves all planted scans of a scorer, at ``RATE``."""
        return curve(self.all_of(scorer)).at(RATE)[0]


def pooled(by_renderer: Mapping[str, Sequence[Searched]]) -> list[Searched]:
    """Put the scans of all renderers together."""
    return [scan for scans in by_renderer.values() for scan in scans]


def at_bar(target: Target) -> bool:
    """Whether the bar is for this nodule."""
    return target.diameter_mm >= BAR_MM


def figures(found: Curve) -> dict[str, float]:
    """Return sensitivity by rate, and the CPM."""
    return {f"{rate:g}": found.at(rate)[1] for rate in RATES} | {"CPM": found.cpm}


def as_json(report: DetectionReport) -> dict[str, Any]:
    """Return the whole report as plain values: every target and every false positive, without pictures."""
    return {
        "command": report.command,
        "facts": dict(report.facts),
        "figures": {
            scorer: {
                "all": figures(curve(report.all_of(scorer))),
                f"{BAR_MM:g} mm and more": figures(curve(report.all_of(scorer), at_bar)),
                f"threshold at {RATE:g} per scan": report.threshold(scorer),
            }
            for scorer in report.scored
        },
        "proposed": _scans(report.proposed),
        "scored": {scorer: _scans(scans) for scorer, scans in report.scored.items()},
        "worse": {
            change: {"before": _scans(pair.before), "after": _scans(pair.after)}
            for change, pair in report.worse.items()
        },
        "real": [{"scorer": each.scorer, **asdict(each.searched)} for each in report.real],
        "reported": [as_plain(scan) for scan in report.reported],
    }


def _scans(groups: Mapping[str, Sequence[Searched]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [asdict(scan) for scan in scans] for name, scans in groups.items()}
