"""Lung-RADS v2022: the category of a nodule and of an examination.

American College of Radiology, Lung CT Screening Reporting and Data System v2022, read as the ACR/RSNA common data
element RDES267. Diameters are means of the long and the short axis; every comparison is made in whole tenths of a mm.

What the text leaves open, and what is done here:

- Growth and slow growth: ``growth.py``.
- The growth that counts in a part-solid nodule is that of its solid part. The solid part of a new nodule of 6 mm or
  more is new, so is one that was not there earlier; a new nodule below 6 mm is category 3 whatever its solid part. One
  that grows around a stable solid part is categorised by its sizes and does not step down.
- Ground glass growing past 30 mm is category 3, and 4X if its diameter doubled within 12 months.
- A nodule that did not grow but crossed a size threshold is categorised by its size. Otherwise category 3 steps down
  after 24 weeks, 4A after 12 weeks; 4B and 4X stay until the reader says otherwise.
- A segmental airway nodule that is seen again is 4B, also when smaller; a growing subsegmental one is judged as solid.

Not covered, left to the reader: atypical cysts, category 0 for a prior that is being located, the modifier S.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from ai_engine.domain import Category, Descriptors, Measurements, NoduleType
from ai_engine.rules.growth import YEAR_DAYS, Course, compare, tenths

_T = TypeVar("_T")

SCHEME = "Lung-RADS v2022"

#: From the mildest to the worst.
ORDER = ("1", "2", "3", "4A", "4B", "4X")

#: Category -> days after which it steps down when stable, and to what.
STEP_DOWN = {"3": (168, "2"), "4A": (84, "3")}


class Airway(StrEnum):
    """Where in the bronchial tree an airway nodule sits."""

    SUBSEGMENTAL = "subsegmental"
    SEGMENTAL = "segmental or more proximal"


@dataclass(frozen=True)
class PriorSize:
    """The same nodule on an earlier examination.

    Attributes
    ----------
    days_before : int
        Days between that examination and this one.
    solid_mean_diameter_mm : float or None
        Of the solid part; 0 when there was none, None when it is not known.
    category : str or None
        The Lung-RADS category it had then.
    """

    days_before: int
    mean_diameter_mm: float
    solid_mean_diameter_mm: float | None = None
    category: str | None = None


@dataclass(frozen=True)
class Nodule:
    """What the categories ask for; None means not assessed.

    Attributes
    ----------
    solid_mean_diameter_mm : float or None
        Of the solid part of a part-solid nodule.
    new : bool
        Absent on an earlier examination. Without this and without priors the nodule is at baseline.
    priors : tuple of PriorSize
        In any order.
    benign_calcification : bool or None
        Complete, central, popcorn or concentric calcification, or fat.
    benign_juxtapleural : bool or None
        At the pleura, solid, smooth, and oval, lentiform or triangular.
    spiculated : bool or None
        Makes a 4X of a category 3 or 4.
    suspicious_features : tuple of str
        Other features that do the same, in the reader's words.
    """

    nodule_type: NoduleType
    mean_diameter_mm: float
    solid_mean_diameter_mm: float | None = None
    new: bool = False
    priors: tuple[PriorSize, ...] = ()
    benign_calcification: bool | None = None
    benign_juxtapleural: bool | None = None
    airway: Airway | None = None
    spiculated: bool | None = None
    suspicious_features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be a nodule's history."""
        if min([self.mean_diameter_mm, *(p.mean_diameter_mm for p in self.priors)]) <= 0:
            raise ValueError("a mean diameter must be positive")
        if any(p.days_before <= 0 for p in self.priors):
            raise ValueError("a prior must lie before this examination")
        if any(p.category not in (None, *ORDER[1:]) for p in self.priors):
            raise ValueError(f"the category of a prior nodule is one of {', '.join(ORDER[1:])}")
        if self.new and self.priors:
            raise ValueError("a new nodule has no prior sizes")


def facts(measurements: Measurements, descriptors: Descriptors, priors: tuple[PriorSize, ...] = ()) -> Nodule:
    """Put what the engine measured into the terms of Lung-RADS; the shape at the pleura is not assessed."""
    return Nodule(
        nodule_type=descriptors.nodule_type,
        mean_diameter_mm=measurements.mean_diameter_mm,
        solid_mean_diameter_mm=measurements.solid_mean_diameter_mm,
        priors=priors,
        benign_calcification=descriptors.calcified,
        benign_juxtapleural=None if descriptors.juxtapleural else descriptors.juxtapleural,
        spiculated=descriptors.spiculated,
    )


class _Unknown(Exception):
    """An input without which no category can be given."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


#: (upper limit in tenths of a mm, category); the size is below the limit. The last row has no limit.
_Table = tuple[tuple[int | None, str], ...]

_SOLID: dict[Course, _Table] = {
    Course.BASELINE: ((60, "2"), (80, "3"), (150, "4A"), (None, "4B")),
    Course.NEW: ((40, "2"), (60, "3"), (80, "4A"), (None, "4B")),
    Course.GROWING: ((80, "4A"), (None, "4B")),
    Course.SLOW: ((None, "4B"),),
}
#: By the solid part, for a nodule of 6 mm or more in total, or with a growing solid part.
_PART_SOLID: dict[Course, _Table] = {
    Course.BASELINE: ((60, "3"), (80, "4A"), (None, "4B")),
    Course.NEW: ((40, "4A"), (None, "4B")),
    Course.GROWING: ((40, "4A"), (None, "4B")),
    Course.SLOW: ((None, "4B"),),
}
_GROUND_GLASS: dict[Course, _Table] = {
    **dict.fromkeys((Course.BASELINE, Course.NEW, Course.GROWING), ((300, "2"), (None, "3"))),
    Course.SLOW: ((None, "2"),),
    Course.STABLE: ((None, "2"),),
}


def categorise(nodule: Nodule) -> Category:
    """Give the category of one nodule.

    Returns
    -------
    Category
        ``value`` None and ``missing`` set where an input that decides is not known. Features that were not assessed do
        not prevent a category by size; ``because`` names them.
    """
    try:
        value, because = _by_features(nodule)
    except _Unknown as unknown:
        words = unknown.name.replace("_mm", "").replace("_", " ")
        return Category(SCHEME, None, f"{nodule.nodule_type}: the {words} decides and is not known", (unknown.name,))
    value, because = _suspicious(nodule, value, because)
    return Category(SCHEME, value, because + _not_assessed(nodule))


def exam(categories: Sequence[Category], lungs_incomplete: Sequence[str] = (), infection: bool = False) -> Category:
    """Give the category of the examination: that of its worst nodule.

    Parameters
    ----------
    categories : sequence of Category
        Of all nodules; none of them means category 1.
    lungs_incomplete : sequence of str
        What of the lungs was not seen, for example ``("top",)``. Category 0, unless a nodule is 3 or worse: that must
        not be hidden.
    infection : bool
        The reader suspects infection or inflammation: category 0.
    """
    if infection:
        return Category(SCHEME, "0", "infection or inflammation is suspected")
    missing = tuple(dict.fromkeys(name for category in categories for name in category.missing))
    values = [category.value for category in categories if category.value is not None]
    worst = max(values, key=ORDER.index, default="1")
    if missing:
        because = f"at least {worst}; a nodule could not be categorised"
        return Category(SCHEME, None, because, missing)
    if lungs_incomplete and worst in ("1", "2"):
        return Category(SCHEME, "0", f"the lungs are not seen completely ({', '.join(lungs_incomplete)})")
    if not values:
        return Category(SCHEME, "1", "no nodule")
    return Category(SCHEME, worst, f"the worst of {len(values)} nodule{'s' if len(values) > 1 else ''}")


def _by_features(nodule: Nodule) -> tuple[str, str]:
    """Category and reason before suspicious features."""
    if nodule.benign_calcification:
        return "1", "benign calcification or fat"
    course = _course(nodule)
    if nodule.airway is Airway.SEGMENTAL:
        return ("4B" if course.seen_before else "4A"), f"airway nodule, segmental or more proximal, {course}"
    if nodule.airway is Airway.SUBSEGMENTAL and not course.grows:
        return "2", f"airway nodule, subsegmental, {course}"
    if _mild_at_the_pleura(nodule, course):
        return "2", f"smooth juxtapleural nodule of {nodule.mean_diameter_mm:.1f} mm, less than 10 mm, {course}"
    if course is Course.STABLE and nodule.nodule_type is not NoduleType.GROUND_GLASS:
        return _not_grown(nodule)
    return _by_size(nodule, course)


def _mild_at_the_pleura(nodule: Nodule, course: Course) -> bool:
    small = tenths(nodule.mean_diameter_mm) < 100 and nodule.nodule_type is NoduleType.SOLID
    return bool(nodule.benign_juxtapleural) and small and not course.grows


def _by_size(nodule: Nodule, course: Course) -> tuple[str, str]:
    """Category and reason from the tables."""
    total = tenths(nodule.mean_diameter_mm)
    if nodule.nodule_type is NoduleType.SOLID:
        return _row(_SOLID[course], total, f"solid, {course}, mean diameter")
    if nodule.nodule_type is NoduleType.GROUND_GLASS:
        return _row(_GROUND_GLASS[course], total, f"ground glass, {course}, mean diameter")
    if total < 60 and course in (Course.BASELINE, Course.NEW):
        return (
            "2" if course is Course.BASELINE else "3"
        ), f"part-solid, {course}, {_mm(total)} in total, less than 6 mm"
    part = tenths(_known(nodule.solid_mean_diameter_mm, "solid_mean_diameter_mm"))
    return _row(_PART_SOLID[course], part, f"part-solid of {_mm(total)}, {course}, solid part")


def _row(table: _Table, size: int, what: str) -> tuple[str, str]:
    """Find the row of a table; the reason names its limits."""
    low = 0
    for limit, category in table:
        if limit is None or size < limit:
            lower, upper = f"at least {low / 10:g} mm" if low else "", f"less than {limit / 10:g} mm" if limit else ""
            limits = ", ".join(filter(None, (lower, upper)))
            return category, f"{what} {_mm(size)}" + (f": {limits}" if limits else "")
        low = limit
    raise AssertionError("the last row of a table has no limit")


def _not_grown(nodule: Nodule) -> tuple[str, str]:
    """Category of a solid or part-solid nodule that did not grow: by a threshold crossed, or stepped down."""
    now, why = _by_size(nodule, Course.BASELINE)
    if _total_course(nodule).grows:
        return now, why.replace(Course.BASELINE, "growing around a stable solid part")
    prior = min(nodule.priors, key=lambda p: p.days_before)
    if now == "2":
        return now, why.replace(Course.BASELINE, Course.STABLE)
    earlier = replace(
        nodule,
        mean_diameter_mm=prior.mean_diameter_mm,
        solid_mean_diameter_mm=prior.solid_mean_diameter_mm,
        priors=(),
    )
    if ORDER.index(now) > ORDER.index(_by_size(earlier, Course.BASELINE)[0]):
        return now, f"not growing, but a size threshold was crossed: {why.replace(Course.BASELINE, 'now')}"
    before = _known(prior.category, "prior_category")
    days, after = STEP_DOWN.get(before, (0, before))
    if prior.days_before < days:
        return before, f"stable or smaller, but only {prior.days_before} days after a category {before}"
    return after, f"stable or smaller {prior.days_before} days after a category {before}"


def _course(nodule: Nodule) -> Course:
    """Compare with the priors: by the solid part in a part-solid nodule, by the whole otherwise."""
    if not nodule.priors:
        return Course.NEW if nodule.new else Course.BASELINE
    if nodule.nodule_type is not NoduleType.PART_SOLID:
        return _total_course(nodule)
    now = tenths(_known(nodule.solid_mean_diameter_mm, "solid_mean_diameter_mm"))
    parts = [(p.days_before, _known(p.solid_mean_diameter_mm, "prior_solid_mean_diameter_mm")) for p in nodule.priors]
    appeared = min(parts)[1] == 0 < now
    return Course.GROWING if appeared else compare(now, [(days, tenths(part)) for days, part in parts])


def _total_course(nodule: Nodule) -> Course:
    earlier = [(prior.days_before, tenths(prior.mean_diameter_mm)) for prior in nodule.priors]
    return compare(tenths(nodule.mean_diameter_mm), earlier)


def _suspicious(nodule: Nodule, value: str, because: str) -> tuple[str, str]:
    """Make a 4X of a category 3 or 4 with features that add suspicion."""
    features = (["spiculation"] if nodule.spiculated else []) + list(nodule.suspicious_features)
    if nodule.nodule_type is NoduleType.GROUND_GLASS and _doubled(nodule):
        features.append("ground glass doubled in size within 12 months")
    if value in ("1", "2") or not features:
        return value, because
    return "4X", f"category {value} ({because}) with {', '.join(features)}"


def _doubled(nodule: Nodule) -> bool:
    now = tenths(nodule.mean_diameter_mm)
    return any(p.days_before <= YEAR_DAYS and now >= 2 * tenths(p.mean_diameter_mm) for p in nodule.priors)


def _not_assessed(nodule: Nodule) -> str:
    """Name the features that could have changed the category and were not assessed."""
    names = {
        "calcification pattern": nodule.benign_calcification,
        "shape at the pleura": nodule.benign_juxtapleural if nodule.nodule_type is NoduleType.SOLID else False,
        "spiculation": nodule.spiculated,
    }
    unknown = [name for name, value in names.items() if value is None]
    return f"; not assessed: {', '.join(unknown)}" if unknown and not nodule.benign_calcification else ""


def _mm(size: int) -> str:
    return f"{size / 10:.1f} mm"


def _known(value: _T | None, name: str) -> _T:
    if value is None:
        raise _Unknown(name)
    return value
