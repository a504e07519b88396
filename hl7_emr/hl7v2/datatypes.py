"""Data types of HL7 v2 as nouns of the record: CX, XPN, CWE, EI, TS."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

from hl7_emr import codes
from hl7_emr.domain import Code, EntityIdentifier, Identifier, PersonName
from hl7_emr.hl7v2.message import Segment, Value

_TIME = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\.\d{1,6})?([+-]\d{4})?")


def identifier(value: Value) -> Identifier | None:
    """Read a CX; None without a value in its first component."""
    number = value.part(1)
    if not number:
        return None
    return Identifier(number, value.part(4, 1), value.part(4, 2), value.part(4, 3), value.part(5))


def identifiers(segment: Segment, field: int) -> tuple[Identifier, ...]:
    """Read all repetitions of a CX field."""
    found = (identifier(value) for value in segment.values(field))
    return tuple(dict.fromkeys(each for each in found if each is not None))


def entity(value: Value) -> EntityIdentifier | None:
    """Read an EI, or the CM of version 2.2 (number, application); None without a number."""
    number = value.part(1)
    return EntityIdentifier(number, value.part(2), value.part(3), value.part(4)) if number else None


def person_names(segment: Segment, field: int) -> tuple[PersonName, ...]:
    """Read all repetitions of an XPN field that hold a family or given name."""
    return tuple(dict.fromkeys(_person_names(segment, field)))


def _person_names(segment: Segment, field: int) -> Iterator[PersonName]:
    for value in segment.values(field):
        family = value.part(1)
        given = tuple(part for part in (value.part(2), value.part(3)) if part)
        if family or given:
            yield PersonName(family, given, use=value.part(7), representation=value.part(8))


def coded(value: Value) -> tuple[Code, ...]:
    """Read a CE or CWE: its code and, in components 4 to 6, the alternate one; each only with a code."""
    found = []
    for first in (1, 4):
        code = value.part(first)
        if code:
            found.append(Code(codes.system(value.part(first + 2)), code, value.part(first + 1)))
    return tuple(found)


def timestamp(text: str) -> datetime | None:
    """Read a TS or DTM to the second; without a zone it is taken as UTC, which orders the messages of one sender."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) if part else None for part in found.groups()[:6])
    try:
        return datetime(
            year or 1, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=_zone(found[7])
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(offset: str | None) -> timezone:
    if not offset:
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return timezone(timedelta(minutes=minutes if offset[0] == "+" else -minutes))
