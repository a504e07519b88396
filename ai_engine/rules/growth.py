"""What became of a nodule between examinations, by the growth rule of Lung-RADS v2022.

Growth is a mean diameter more than 1.5 mm larger within 12 months, compared in whole tenths of a millimetre. What the
text leaves open, and what is done here:

- The raw change counts for intervals up to 12 months and is never extrapolated; for a longer interval, where no
  examination lies between, the change per 12 months counts.
- Slow growing is more than 1.5 mm larger than on an examination over 12 months ago, larger on every examination since,
  and not growing by the rule above.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from itertools import pairwise

GROWTH_TENTHS = 15
YEAR_DAYS = 366


class Course(StrEnum):
    """What became of a nodule since earlier examinations."""

    BASELINE = "at baseline"
    NEW = "new"
    GROWING = "growing"
    SLOW = "slow growing"
    STABLE = "stable or smaller"

    @property
    def seen_before(self) -> bool:
        """Whether there is an earlier size to compare with."""
        return self not in (Course.BASELINE, Course.NEW)

    @property
    def grows(self) -> bool:
        """Whether it is larger than it was, fast or slowly."""
        return self in (Course.GROWING, Course.SLOW)


def tenths(mm: float) -> int:
    """Round millimetres to whole tenths, half up: 5.95 is 6.0 whatever its binary fraction."""
    return int(Decimal(repr(float(mm))).scaleb(1).quantize(Decimal(1), ROUND_HALF_UP))


def compare(now: int, earlier: Sequence[tuple[int, int]]) -> Course:
    """Compare a size with earlier ones.

    Parameters
    ----------
    now : int
        Mean diameter in tenths of a mm.
    earlier : sequence of (days before, tenths of a mm)
        At least one, in any order.

    Returns
    -------
    Course
        GROWING, SLOW or STABLE.
    """
    sizes = sorted(earlier)
    if any(_grown(now - size, days) for i, (days, size) in enumerate(sizes) if i == 0 or days <= YEAR_DAYS):
        return Course.GROWING
    for i, (days, size) in enumerate(sizes):
        since = [now, *(then for _, then in sizes[: i + 1])]
        if days > YEAR_DAYS and now - size > GROWTH_TENTHS and all(later > then for later, then in pairwise(since)):
            return Course.SLOW
    return Course.STABLE


def _grown(change: int, days: int) -> bool:
    return change * min(1.0, YEAR_DAYS / days) > GROWTH_TENTHS
