"""Which nodule is which: tracking identifiers, carried over from the revision before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ai_engine.domain import Analysis, Finding
from ai_engine.geometry import krc_to_lps_mm
from dicom_node.objects.composite import ObjectContext, Tracked
from dicom_node.objects.ct_series import CtSeries


@dataclass(frozen=True, eq=False)
class AnalysedSeries:
    """One series and what the engine said of it."""

    series: CtSeries
    analysis: Analysis


@dataclass(frozen=True, eq=False)
class TrackedFinding:
    """A finding with the identity that SEG, SR and key image share."""

    finding: Finding
    tracked: Tracked

    @property
    def part_identifier(self) -> str:
        """What the part that was asked for is called in the segmentation; only a solid component is one of its own."""
        return f"{self.tracked.identifier}, solid component"


def track(analysed: Sequence[AnalysedSeries], context: ObjectContext) -> list[list[TrackedFinding]]:
    """Give each finding its tracking identifier: that of the same nodule in the revision before, or a new one.

    Returns
    -------
    list of list of TrackedFinding
        Per series, in the order of its findings.
    """
    earlier = list(context.earlier)
    fresh = _fresh_numbers(earlier)
    return [
        [TrackedFinding(finding, _identify(finding, each.series, context, earlier, fresh)) for finding in findings]
        for each in analysed
        for findings in [each.analysis.findings]
    ]


def _identify(
    finding: Finding, series: CtSeries, context: ObjectContext, earlier: list[Tracked], fresh: Iterator[int]
) -> Tracked:
    centre, diameter = centre_lps_mm(finding, series), finding.measurements.mean_diameter_mm
    same = _nearest(centre, diameter, series.frame_of_reference_uid, earlier)
    if same:
        earlier.remove(same)
    number = "" if same else str(next(fresh))
    uid = same.uid if same else context.uid("nodule", series.series_instance_uid, number)
    name = same.identifier if same else f"Nodule {number}"
    return Tracked(uid, name, series.frame_of_reference_uid, centre, diameter)


def centre_lps_mm(finding: Finding, series: CtSeries) -> tuple[float, float, float]:
    """Return the centre of a finding's segment in the patient, LPS mm."""
    x, y, z = krc_to_lps_mm(series.volume.affine, finding.segment.middle_krc)
    return float(x), float(y), float(z)


def _nearest(
    centre: tuple[float, float, float], diameter: float, frame_of_reference_uid: str, earlier: Sequence[Tracked]
) -> Tracked | None:
    """Return the earlier nodule whose centre lies nearest, within the radius of the larger of the two."""
    distances = [
        (float(np.linalg.norm(np.subtract(centre, other.centre_lps_mm))), i)
        for i, other in enumerate(earlier)
        if other.frame_of_reference_uid == frame_of_reference_uid
    ]
    near = [(d, i) for d, i in distances if d <= max(diameter, earlier[i].diameter_mm) / 2]
    return earlier[min(near)[1]] if near else None


def _fresh_numbers(earlier: Sequence[Tracked]) -> Iterator[int]:
    taken = {other.identifier for other in earlier}
    number = 0
    while True:
        number += 1
        if f"Nodule {number}" not in taken:
            yield number
