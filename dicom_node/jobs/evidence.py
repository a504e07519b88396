"""What speaks for or against a series being complete. Pure: header values and associations in, words and numbers out.

Nothing here refuses a series for its geometry: that is the business of ``objects/ct_series.py``. A gap only makes the
node wait longer for what may still come.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from statistics import median

from dicom_node.jobs.records import AssociationFacts, SeriesFacts

Header = Mapping[str, object]
Vector = tuple[float, ...]

BROKEN = ("aborted", "lost")
# A busy machine may take so long to see that a connection broke.
_NOTICED_WITHIN = timedelta(seconds=2)
# Positions closer than this are one position (a repeated or doubled slice).
_SAME_POSITION_MM = 0.01
# A step of one and a half times the usual one cannot be jitter of the table.
_GAP_RATIO = 1.5
# So many equal steps in a row were scanned like that (a head with a finer base), nothing is missing.
_OTHER_SPACING_RUN = 5
_ENDINGS = {
    None: "still open but idle",
    "released": "released",
    "idle": "closed by this node after idling",
    "aborted": "aborted by the sender",
    "lost": "connection lost",
    "restart": "cut by a restart of this node",
}


@dataclass(frozen=True)
class Spacing:
    """Steps between neighbouring slices along their common normal.

    Attributes
    ----------
    usual_mm : float
        Median step.
    gaps : tuple of (int, float)
        Number of the slice before each gap (1-based, along the normal) and the step there in mm.
    """

    usual_mm: float
    gaps: tuple[tuple[int, float], ...]

    @property
    def words(self) -> str:
        """For the report."""
        usual = f"slice spacing {self.usual_mm:.4g} mm"
        if not self.gaps:
            return f"{usual} without gap"
        first, step_mm = self.gaps[0]
        more = f" and {len(self.gaps) - 1} more gaps" if len(self.gaps) > 1 else ""
        return f"{usual}, but {step_mm:.4g} mm after slice {first}{more}"


@dataclass(frozen=True)
class Expected:
    """How many images the headers announce for the series; ``exact`` if nothing else can be meant by the number."""

    n: int
    keyword: str
    exact: bool


@dataclass(frozen=True)
class SeriesEvidence:
    """All that is known about one series being complete.

    Attributes
    ----------
    broken_at : datetime or None
        When an association that carried it ended badly, if nothing made up for it.
    waits : bool
        More may still come: worth the longer wait.
    """

    series_instance_uid: str
    n_instances: int
    expected: Expected | None
    spacing: Spacing | None
    missing_instance_numbers: tuple[int, ...]
    associations: tuple[AssociationFacts, ...]
    broken_at: datetime | None

    @property
    def waits(self) -> bool:
        """Tell whether the evidence is bad enough to wait for more."""
        return self.broken_at is not None or bool(self.spacing and self.spacing.gaps) or self._falls_short

    @property
    def _falls_short(self) -> bool:
        if self.expected is None or self.n_instances >= self.expected.n:
            return False
        return self.expected.exact or any(one.how_ended is None for one in self.associations)

    @property
    def words(self) -> str:
        """All of it in one line for the report."""
        said = [_plural(self.n_instances, "image")]
        if self.expected is not None:
            said[0] += f" of {self.expected.n} announced ({self.expected.keyword})"
        said += [self.spacing.words] if self.spacing else []
        if self.missing_instance_numbers:
            said.append(f"instance numbers not received: {_ranges(self.missing_instance_numbers)}")
        ends = Counter((one.calling_ae_title, one.how_ended) for one in self.associations)
        said += [f"{_plural(n, 'association')} from {who}: {_ENDINGS[how]}" for (who, how), n in ends.items()]
        return "; ".join(said)


def examine(series: SeriesFacts, quiet_s: float) -> SeriesEvidence:
    """Weigh what is known of one series; ``quiet_s`` is the silence after which an association counts as released."""
    n = len(series.headers)
    expected = expected_count(series.headers)
    broken_at = last_break(series.associations, quiet_s)
    complete = expected is not None and n >= expected.n
    return SeriesEvidence(
        series_instance_uid=series.series_instance_uid,
        n_instances=n,
        expected=expected,
        spacing=slice_spacing(series.headers),
        missing_instance_numbers=missing_numbers(series.headers),
        associations=series.associations,
        broken_at=None if complete or _made_up_for(series, broken_at, quiet_s) else broken_at,
    )


def is_broken(association: AssociationFacts, quiet_s: float) -> bool:
    """Tell whether an association ended badly in the midst of the series.

    One that was idle for this series when it ended counts as released: it may have been carrying another, or nothing.
    """
    if association.how_ended not in BROKEN or association.ended_at is None:
        return False
    return (association.ended_at - association.last_at).total_seconds() < quiet_s


def last_break(associations: Iterable[AssociationFacts], quiet_s: float) -> datetime | None:
    """Return when the last of the associations that ended badly did so."""
    ends = [one.ended_at for one in associations if is_broken(one, quiet_s) and one.ended_at is not None]
    return max(ends, default=None)


def _made_up_for(series: SeriesFacts, broken_at: datetime | None, quiet_s: float) -> bool:
    """Tell whether nothing broke, or a later association made up for it.

    That is: one opened after the break brought new images of the series, or brought again all that was held of it. One
    opened before (a parallel one) proves nothing about the images that the broken one still had.
    """
    if broken_at is None:
        return True
    broken = [one for one in series.associations if is_broken(one, quiet_s)]
    since = max(_left_off_at(one, one.ended_at) for one in broken if one.ended_at is not None)
    later = [one for one in series.associations if one.opened_at >= since and not is_broken(one, quiet_s)]
    again = frozenset[int]().union(*(one.carried for one in later))
    return any(one.n_new for one in later) or len(again) >= len(series.headers)


def _left_off_at(broken: AssociationFacts, ended_at: datetime) -> datetime:
    """Return from when on the sender may have opened another association to go on.

    It may be back before this node has noticed and noted the break, but not before its last image was answered.
    """
    return max(broken.last_at, ended_at - _NOTICED_WITHIN)


def expected_count(headers: Sequence[Header]) -> Expected | None:
    """Return the number of images announced for the series, where the headers agree on one that can be meant.

    Notes
    -----
    Number of Series Related Instances (0020,1209) means this series. Images in Acquisition (0020,1002) means the
    acquisition: it is taken only where the series is of one acquisition and does not exceed it, and it is often 0 in
    real headers; a series with fewer images may be a reconstruction of a part.
    """
    n = len(headers)
    related = _agreed(headers, "NumberOfSeriesRelatedInstances")
    if related is not None and related >= n:
        return Expected(related, "NumberOfSeriesRelatedInstances", exact=True)
    acquired = _agreed(headers, "ImagesInAcquisition")
    acquisitions = {str(header.get("AcquisitionNumber")) for header in headers}
    if acquired is not None and acquired >= n and len(acquisitions) == 1:
        return Expected(acquired, "ImagesInAcquisition", exact=False)
    return None


def slice_spacing(headers: Sequence[Header]) -> Spacing | None:
    """Measure the steps between the slices of the largest stack of one orientation; None for fewer than three.

    Localizers are no stack and are left out.
    """
    stacks: dict[Vector, list[float]] = {}
    for header in headers:
        position, orientation = (
            _vector(header, "ImagePositionPatient", 3),
            _vector(header, "ImageOrientationPatient", 6),
        )
        if position and orientation and not _is_localizer(header):
            normal = _cross(orientation[:3], orientation[3:])
            along = sum(p * n for p, n in zip(position, normal, strict=True))
            stacks.setdefault(tuple(round(value, 3) for value in orientation), []).append(along)
    return _steps(max(stacks.values(), key=len)) if stacks else None


def missing_numbers(headers: Sequence[Header]) -> tuple[int, ...]:
    """Return the instance numbers between the lowest and the highest that were not received."""
    numbers = {value for header in headers if (value := _whole(header.get("InstanceNumber"))) is not None}
    # Numbers that skip on principle (every tenth, or dates) say nothing.
    if not numbers or max(numbers) - min(numbers) >= 2 * len(headers):
        return ()
    return tuple(sorted(set(range(min(numbers), max(numbers))) - numbers))


def _steps(along_mm: list[float]) -> Spacing | None:
    ordered = sorted(along_mm)
    distinct = [
        mm for mm, before in zip(ordered, [float("-inf"), *ordered], strict=False) if mm - before > _SAME_POSITION_MM
    ]
    steps = [after - before for before, after in pairwise(distinct)]
    if len(steps) < 2:
        return None
    usual_mm = median(steps)
    return Spacing(usual_mm, tuple(_gaps(steps, usual_mm)))


def _gaps(steps_mm: list[float], usual_mm: float) -> Iterator[tuple[int, float]]:
    for _, run in groupby(enumerate(steps_mm, start=1), key=lambda step: round(step[1], 1)):
        steps = list(run)
        if steps[0][1] > _GAP_RATIO * usual_mm and len(steps) < _OTHER_SPACING_RUN:
            yield from steps


def _agreed(headers: Sequence[Header], keyword: str) -> int | None:
    values = {_whole(header.get(keyword)) for header in headers}
    value = values.pop() if len(values) == 1 else None
    return value if value is not None and value > 0 else None


def _whole(value: object) -> int | None:
    return (
        int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1 else None
    )


def _vector(header: Header, keyword: str, length: int) -> Vector | None:
    values = header.get(keyword)
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != length:
        return None
    return tuple(float(value) for value in values) if all(isinstance(v, int | float) for v in values) else None


def _is_localizer(header: Header) -> bool:
    image_type = header.get("ImageType")
    return isinstance(image_type, Sequence) and "LOCALIZER" in image_type


def _cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _ranges(numbers: Sequence[int]) -> str:
    """Write 3, 4, 5, 9 as "3-5, 9"; at most five ranges."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    said = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:5]]
    return ", ".join(said) + (", ..." if len(ranges) > 5 else "")
