"""Dates that may lack their day or month, as birth dates and quit dates often do."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Self

_HL7 = re.compile(r"(\d{4})(\d{2})?(\d{2})?")
_ISO = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


@dataclass(frozen=True)
class PartialDate:
    """A year, a month of a year, or a day.

    Raises
    ------
    ValueError
        There is no such month or day.
    """

    year: int
    month: int | None = None
    day: int | None = None

    def __post_init__(self) -> None:
        if self.month is None and self.day is not None:
            raise ValueError("a day without a month")
        date(self.year, self.month or 1, self.day or 1)

    @classmethod
    def of(cls, day: date) -> Self:
        """Return a whole date as one."""
        return cls(day.year, day.month, day.day)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read ``YYYY[MM[DD]]`` (HL7 v2, DICOM) or ``YYYY[-MM[-DD]]`` (FHIR); a time after it is left out.

        Returns None for what is no date: empty, year 0, the 31st of February.
        """
        stem = re.split(r"[T ]", text.strip(), maxsplit=1)[0]
        iso = _ISO.fullmatch(stem)
        found = iso or _HL7.match(stem)
        # digits after the day are a time (YYYYMMDDHHMM); a rest that is no number is no date at all
        if found is None or not re.fullmatch(r"[\d.]*([+-]\d{4})?", stem[found.end() :]):
            return None
        # 00 is how many systems write an unknown month or day
        year, month, day = (int(part or 0) for part in found.groups())
        try:
            return cls(year, month or None, day or None)
        except ValueError:
            return None

    @property
    def first(self) -> date:
        """The earliest day that it can be."""
        return date(self.year, self.month or 1, self.day or 1)

    @property
    def last(self) -> date:
        """The latest day that it can be."""
        month = self.month or 12
        return date(self.year, month, self.day or monthrange(self.year, month)[1])

    @property
    def exact(self) -> bool:
        """Whether year, month and day are all known."""
        return self.day is not None

    def agrees(self, other: "PartialDate") -> bool:
        """Whether both can be the same day, as far as they go."""
        mine, its = (self.year, self.month, self.day), (other.year, other.month, other.day)
        return all(a == b for a, b in zip(mine, its, strict=True) if a is not None and b is not None)

    def isoformat(self) -> str:
        """Return ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``."""
        rest = "".join(f"-{part:02d}" for part in (self.month, self.day) if part is not None)
        return f"{self.year:04d}{rest}"

    def __str__(self) -> str:
        return self.isoformat()
