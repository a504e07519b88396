"""What the node would report of a real scan: its findings at the one threshold, held against what was outlined there.

Candidates that cannot be outlined, and those whose outline is another's, are no findings: so these are fewer than the
candidates above the threshold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ai_engine.domain import BoolArray, Candidate, CtVolume, HuArray, Segment
from ai_engine.engine import Engine
from ai_engine.evaluation.domain import Case, Lesion
from ai_engine.evaluation.scores import touch
from ai_engine.evaluation.tables import Cells, table
from ai_engine.lungs import ThresholdLungs
from ai_engine.scene import scene_of

# Half the side of a finding's picture.
_HALF_MM = 30.0


@dataclass(frozen=True, eq=False)
class Shown:
    """A finding with the slice through its middle.

    Attributes
    ----------
    candidate : Candidate
        With its score; the centre on the turned grid.
    lesions : tuple of str
        What was outlined and shares a voxel with the finding.
    hu, outline : (r, c) int16, bool
        Of that slice, the finding in the middle.
    """

    candidate: Candidate
    lesions: tuple[str, ...]
    hu: HuArray
    outline: BoolArray


@dataclass(frozen=True, eq=False)
class Reported:
    """A scan as the node reports it.

    Attributes
    ----------
    by : str
        What chose and outlined the findings.
    lesions : tuple of Lesion
        What was outlined by people.
    findings : tuple of Shown
        The highest score first.
    """

    scan: str
    by: str
    lesions: tuple[Lesion, ...]
    findings: tuple[Shown, ...]

    @property
    def untouched(self) -> int:
        """Number of findings that share no voxel with anything outlined."""
        return sum(not each.lesions for each in self.findings)


def reported(case: Case, engine: Engine, by: str) -> Reported:
    """Let an engine search a case; raises ``NoLungs``."""
    scene = scene_of(case.volume, ThresholdLungs().find(case.volume))
    shown = [_shown(case, candidate, segment) for candidate, segment in engine.search(scene)]
    return Reported(case.name, by, case.lesions, tuple(sorted(shown, key=lambda each: -each.candidate.score)))


def _shown(case: Case, candidate: Candidate, segment: Segment) -> Shown:
    touched = [each.name for each in case.lesions if any(touch(segment, truth.segment) for truth in each.truths)]
    hu, outline = _slice(case.volume, segment)
    return Shown(candidate, tuple(touched), hu, outline)


def _slice(volume: CtVolume, segment: Segment) -> tuple[HuArray, BoolArray]:
    """Cut the slice through the middle of a segment, and its outline there."""
    k, *middle = (round(float(at)) for at in segment.middle_krc)
    half = np.ceil(_HALF_MM / np.array(volume.spacing_krc_mm[1:])).astype(int)
    rows, columns = (
        np.clip(np.arange(at - n, at + n + 1), 0, size - 1)
        for at, n, size in zip(middle, half, volume.hu.shape[1:], strict=True)
    )
    cut = np.ix_(rows, columns)
    return volume.hu[k][cut], segment.on(volume.hu.shape)[k][cut]


def as_plain(scan: Reported) -> dict[str, Any]:
    """Return a scan as plain values, without pictures."""
    findings = [
        {
            "score": each.candidate.score,
            "channel": str(each.candidate.channel),
            "diameter_mm": each.candidate.diameter_mm,
            "centre_krc": each.candidate.centre_krc,
            "lesions": each.lesions,
        }
        for each in scan.findings
    ]
    return {"scan": scan.scan, "by": scan.by, "lesions": [each.name for each in scan.lesions], "findings": findings}


def section(scans: Sequence[Reported]) -> Iterator[str]:
    """Tell of scans in Markdown: each scan, and each finding that touches nothing outlined."""
    yield "## What the node reports of real scans (development cases)"
    yield (
        "These cases were looked at while the engine was built. All findings at the threshold, without a cap on their "
        "number. Touching nothing: the finding shares no voxel with what was outlined; most scans have one outlined "
        "lesion, so that such a finding may be a nodule that nobody outlined. Each of them is a PNG."
    )
    head = ["series", "chosen and outlined by", "lesion", "its finding, by score", "findings", "touching nothing"]
    yield table(head, [row for scan in scans for row in _lesions(scan)])
    head = ["series", "no. by score", "score", "kind", "mm", "at k, r, c"]
    yield table(head, [row for scan in scans for row in _untouched(scan)])


def _lesions(scan: Reported) -> Iterator[Cells]:
    for lesion in scan.lesions:
        at = [n for n, each in enumerate(scan.findings, start=1) if lesion.name in each.lesions]
        told = f"no. {at[0]}, {scan.findings[at[0] - 1].candidate.score:.4g}" if at else "missed"
        yield [scan.scan, scan.by, lesion.name, told, str(len(scan.findings)), str(scan.untouched)]


def _untouched(scan: Reported) -> Iterator[Cells]:
    for number, each in enumerate(scan.findings, start=1):
        if not each.lesions:
            place = each.candidate
            k, r, c = (round(at) for at in place.centre_krc)
            told = [f"{place.score:.4g}", str(place.channel), f"{place.diameter_mm:.0f}", f"{k}, {r}, {c}"]
            yield [scan.scan, str(number), *told]
