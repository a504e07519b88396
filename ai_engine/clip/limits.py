"""Sizes and places that a question names: each is found by rules, and a mark is left in the text where it stood."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ai_engine.domain import Laterality, Lobe, Location, Zone

# "6 mm nodules": readers' diameters of one nodule differ by this much in all but one case of twenty (LIDC-IDRI).
_ABOUT = 0.3

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_UNIT = r"(mm|cm|millimet(?:re|er)s?|centimet(?:re|er)s?)"
_OVER = r"over|above|exceeding|(?:larger|bigger|greater|more|longer) than|>"
_LEAST = r"at least|from|not (?:smaller|less) than|no (?:smaller|less) than|>=|≥"
_UNDER = r"under|below|(?:smaller|less|shorter) than|<"
_MOST = r"up to|at most|not (?:larger|more|bigger) than|no (?:larger|more|bigger) than|<=|≤"
_MORE = r"(?:or|and) (?:larger|more|above|bigger|over|up|greater)\b(?! (?:than |to )?\d)|\+"
_LESS = r"(?:or|and) (?:smaller|less|below|under)\b(?! (?:than )?\d)"
_LEAD = r"(?:(?:that|which) (?:is|are) |measuring |sized |of |with a diameter (?:of )?)?"
_TAIL = r"(?: in (?:diameter|size)| across| long| wide)?"

# The first that fits is taken: what is said most fully comes first.
_SIZES = (
    ("between", rf"(?:between |from )?{_NUMBER} ?{_UNIT}? ?(?:and|to|-|–) ?{_NUMBER} ?{_UNIT}"),
    ("least", rf"{_NUMBER} ?{_UNIT} ?(?:{_MORE})"),
    ("most", rf"{_NUMBER} ?{_UNIT} ?(?:{_LESS})"),
    ("least", rf"(?:{_LEAST}) ?{_NUMBER} ?{_UNIT}"),
    ("most", rf"(?:{_MOST}) ?{_NUMBER} ?{_UNIT}"),
    ("over", rf"(?:{_OVER}) ?{_NUMBER} ?{_UNIT}"),
    ("under", rf"(?:{_UNDER}) ?{_NUMBER} ?{_UNIT}"),
    ("about", rf"(?:about |around )?{_NUMBER} ?{_UNIT}"),
)

_SIDE = r"(?:right|left)"
_BOTH = rf"{_SIDE}(?: (?:and|or) (?:the )?{_SIDE})?"
_PART = r"(?:upper|middle|lower|apical|basal)"
_JOINED = r"(?:,|,? and|,? or)"
_PARTS = rf"{_PART}(?:{_JOINED} {_PART})*"
_NAMED = rf"(?:\b{_BOTH} )?\b{_PARTS}"
_KIND = r"(lobes?|zones?|fields?|thirds?|lung)\b"
_IN = r"(?:,? ?\b(?:in|of|at|on|within|from)\b )?(?:\b(?:the|both|either|each|any)\b )?"
# Here, too, what is said most fully comes first.
_LOBES_OF_A_SIDE = (
    rf"{_IN}(?<!right )(?<!left )\b({_PARTS}) {_KIND} (?:of|in|on) (?:the )?({_BOTH})\b(?! {_PART})(?: lungs?| side)?"
)
_LOBES = rf"{_IN}({_NAMED}(?:{_JOINED} (?:the )?{_NAMED})*) {_KIND}"
_SIDES = rf"{_IN}\b({_SIDE})\b(?:[ -]sided| lungs?| side)?"
_LUNGS = r"(?:,? ?\b(?:in|of|within)\b )(?:the |both |either |each )*\blungs?\b"
_ZONES = {
    "upper": Zone.UPPER,
    "apical": Zone.UPPER,
    "middle": Zone.MIDDLE,
    "lower": Zone.LOWER,
    "basal": Zone.LOWER,
}


# Marks are of Unicode's private use: no text that is understood holds them.
_FIRST_MARK = 0xE000
MARK = "[\ue000-\uf8ff]"


@dataclass(frozen=True)
class Sizes:
    """Diameters in mm that are asked for.

    Attributes
    ----------
    low_mm, high_mm : float
    low_counts, high_counts : bool
        Whether a diameter of just this size is in.
    """

    low_mm: float = 0.0
    high_mm: float = float("inf")
    low_counts: bool = True
    high_counts: bool = True

    def holds(self, diameter_mm: float) -> bool:
        """Tell whether a diameter is asked for."""
        above = diameter_mm >= self.low_mm if self.low_counts else diameter_mm > self.low_mm
        below = diameter_mm <= self.high_mm if self.high_counts else diameter_mm < self.high_mm
        return above and below


@dataclass(frozen=True)
class Place:
    """A part of the lungs that is asked for; None is either side, or any height.

    Attributes
    ----------
    is_lobe : bool
        Whether a lobe was named, or a zone.
    """

    laterality: Laterality | None
    zone: Zone | None
    is_lobe: bool = False

    def holds(self, location: Location) -> bool:
        """Tell whether a finding lies there; where its lobe is not known, its third of the lung stands in for it."""
        if self.laterality is not None and location.laterality is not self.laterality:
            return False
        if self.is_lobe and self.zone is not None and location.lobe is not None:
            return location.lobe is _lobe(location.laterality, self.zone)
        return self.zone is None or location.zone is self.zone


# One mark: a size, or places of which one must hold.
Limit = Sizes | tuple[Place, ...]
ANYWHERE = Place(None, None)


def marked(text: str) -> tuple[str, dict[str, Limit]]:
    """Put a mark in the place of each size and place of a text in lower case.

    Returns
    -------
    str
        With single spaces.
    dict
        Mark -> what stood there.
    """
    limits: dict[str, Limit] = {}
    for kind, pattern in _SIZES:
        text = re.sub(_LEAD + pattern + _TAIL, _taking(limits, _size_as(kind)), text)
    for pattern, places in (
        (_LOBES_OF_A_SIDE, _lobes_of_a_side),
        (_LOBES, _lobes),
        (_SIDES, lambda match: (Place(Laterality(match[1]), None),)),
        (_LUNGS, lambda _: (ANYWHERE,)),
    ):
        text = re.sub(pattern, _taking(limits, places), text)
    return " ".join(text.split()), limits


def _taking(limits: dict[str, Limit], read: Callable[[re.Match[str]], Limit]) -> Callable[[re.Match[str]], str]:
    """Give what puts a match, once read, among the limits, and a mark in its place."""

    def take(match: re.Match[str]) -> str:
        mark = chr(_FIRST_MARK + len(limits))
        limits[mark] = read(match)
        return f" {mark} "

    return take


def _size_as(kind: str) -> Callable[[re.Match[str]], Sizes]:
    return lambda match: _size(kind, list(_millimetres(match)))


def _millimetres(match: re.Match[str]) -> Iterator[float]:
    """Yield the numbers of a match in mm; one without a unit has that of the next."""
    groups = [group for group in match.groups() if group is not None]
    units = [group for group in groups if not group[0].isdigit()]
    numbers = [float(group.replace(",", ".")) for group in groups if group[0].isdigit()]
    for number, unit in zip(numbers, units if len(units) == len(numbers) else units * len(numbers), strict=True):
        yield number * 10 if unit.startswith("c") else number


def _size(kind: str, mm: list[float]) -> Sizes:
    if kind == "between":
        return Sizes(min(mm), max(mm))
    if kind in ("over", "least"):
        return Sizes(low_mm=mm[0], low_counts=kind == "least")
    if kind in ("under", "most"):
        return Sizes(high_mm=mm[0], high_counts=kind == "most")
    return Sizes(mm[0] * (1 - _ABOUT), mm[0] * (1 + _ABOUT))


def _lobes(match: re.Match[str]) -> tuple[Place, ...]:
    is_lobe = match[2].startswith("lobe")
    named = re.findall(rf"(?:\b({_BOTH}) )?\b({_PARTS})", match[1])
    return tuple(place for sides, parts in named for place in _each(sides, parts, is_lobe=is_lobe))


def _lobes_of_a_side(match: re.Match[str]) -> tuple[Place, ...]:
    return tuple(_each(match[3], match[1], is_lobe=match[2].startswith("lobe")))


def _each(sides: str, parts: str, *, is_lobe: bool) -> Iterator[Place]:
    """Yield every part on every side that is named; on either where none is."""
    for side in re.findall(_SIDE, sides) or [None]:
        for part in re.findall(_PART, parts):
            yield Place(Laterality(side) if side else None, _ZONES[part], is_lobe)


def _lobe(laterality: Laterality, zone: Zone) -> Lobe | None:
    lobes = {
        (Laterality.RIGHT, Zone.UPPER): Lobe.RIGHT_UPPER,
        (Laterality.RIGHT, Zone.MIDDLE): Lobe.RIGHT_MIDDLE,
        (Laterality.RIGHT, Zone.LOWER): Lobe.RIGHT_LOWER,
        (Laterality.LEFT, Zone.UPPER): Lobe.LEFT_UPPER,
        (Laterality.LEFT, Zone.LOWER): Lobe.LEFT_LOWER,
    }
    return lobes.get((laterality, zone))
