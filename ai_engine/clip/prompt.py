"""What a radiologist asks for, in words: sizes and places are read by rules, the rest is for the encoder.

"ground-glass nodules in the right upper lobe over 6 mm" is words ("ground-glass nodules"), a place and a size. A prompt
filters what is reported, never what is searched.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ai_engine.clip import wordings
from ai_engine.clip.vocabulary import Vocabulary, split
from ai_engine.domain import Laterality, Lobe, Location, Zone
from ai_engine.errors import UnknownWords

DEFAULT = "lung nodule"

# "6 mm nodules": readers' diameters of one nodule differ by this much in all but one case of twenty (LIDC-IDRI).
_ABOUT = 0.3

_SHORT = {
    "rul": "right upper lobe",
    "rml": "right middle lobe",
    "rll": "right lower lobe",
    "lul": "left upper lobe",
    "lll": "left lower lobe",
}

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

_IN = r"(?:,? ?\b(?:in|of|at|on|within|from)\b )?(?:\b(?:the|both|either|each|any)\b )?"
_PART = r"(?:upper|middle|lower|apical|basal)"
_LOBES = rf"(?:\b(right|left) )?\b({_PART}(?:(?:,| and| or) {_PART})*) (lobes?|zones?|fields?|thirds?|lung)\b"
_SIDES = r"\b(right|left)\b(?:[ -]sided| lungs?| side)?"
_LUNGS = r"(?:,? ?\b(?:in|of|within)\b )(?:the |both |either |each )*\blungs?\b"
# A part of a nodule is named first: "solid component of ..."; "nodules with a solid component" chooses nodules.
_LEADING = r"(?:(?:find|show|report|list|me|please|all|any|each|every|only|the|an?|there|is|are) )*"
_PART_FIRST = _LEADING + r"((?:(?:solid|dense|soft|tissue) )+(?:component|core|part)s?)(?: (?:of|in|within) (.+))?$"
_WHOLE_FIRST = _LEADING + r"(whole|entire) (?:of )?(?:the )?(.+)$"
_ZONES = {
    "upper": Zone.UPPER,
    "apical": Zone.UPPER,
    "middle": Zone.MIDDLE,
    "lower": Zone.LOWER,
    "basal": Zone.LOWER,
}


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
        """Tell whether a diameter is among them."""
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


@dataclass(frozen=True)
class Prompt:
    """A question, understood.

    Attributes
    ----------
    text : str
        As it was asked.
    words : str
        What is left for the encoder when sizes and places are taken out.
    sizes : tuple of Sizes
        All of them must hold.
    places : tuple of Place
        One of them must hold; none is anywhere.
    part : str
        The part of each nodule that is to be outlined, as it was named; empty where none was.
    """

    text: str
    words: str
    sizes: tuple[Sizes, ...] = ()
    places: tuple[Place, ...] = ()
    part: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether the words name no more than a nodule: nothing for the encoder to choose by."""
        nouns = {word for phrase in (*wordings.NODULE, *wordings.OPACITY) for word in split(phrase)}
        neutral = {word for phrase in (*wordings.PATTERNS, *wordings.NEUTRAL) for word in split(phrase)}
        known = Vocabulary(tuple(sorted(nouns | (neutral - _MEANT))))
        return not known.unknown(self.words)

    def allows(self, diameter_mm: float, location: Location) -> bool:
        """Tell whether size and place are what is asked for."""
        right_place = not self.places or any(place.holds(location) for place in self.places)
        return right_place and all(sizes.holds(diameter_mm) for sizes in self.sizes)


# Words of a question that say something of a nodule.
_MEANT = {"whole", "entire", "part", "component", "without"}


def understand(text: str, vocabulary: Vocabulary) -> Prompt:
    """Read a prompt.

    Raises
    ------
    UnknownWords
        Names the words, or numbers without a unit, that mean nothing to the encoder.
    """
    rest = " ".join(re.sub(r"[\"'?!.;:](?=\s|$)", " ", text).lower().split())
    for short, full in _SHORT.items():
        rest = re.sub(rf"\b{short}\b", full, rest)
    sizes: list[Sizes] = []
    for kind, pattern in _SIZES:
        rest = re.sub(_LEAD + pattern + _TAIL, _taken(kind, sizes), rest)
    places, rest = _places(rest)
    part, rest = _part(_tidied(rest))
    words = _tidied(rest)
    strange = (*vocabulary.unknown(f"{part} {words}"), *re.findall(r"\d[\d.,]*|[^\x00-\x7f]+", f"{part} {words}"))
    if strange:
        raise UnknownWords(f"not understood in {text!r}: {', '.join(strange)}")
    return Prompt(text, words or DEFAULT, tuple(sizes), tuple(places), part)


def _part(text: str) -> tuple[str, str]:
    """Part "solid component of part-solid nodules" into the part and the nodules; the part is empty without one."""
    if found := re.match(_PART_FIRST, text):
        return found[1], found[2] or ""
    if found := re.match(_WHOLE_FIRST, text):
        return f"{found[1]} nodule", found[2]
    return "", text


def _taken(kind: str, sizes: list[Sizes]) -> Callable[[re.Match[str]], str]:
    """Give what puts the size of a match on a list, and nothing in its place."""

    def take(match: re.Match[str]) -> str:
        sizes.append(_size(kind, list(_millimetres(match))))
        return " "

    return take


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


def _places(text: str) -> tuple[list[Place], str]:
    """Take the places out of a text."""
    places: list[Place] = []
    for match in re.finditer(_IN + _LOBES, text):
        side = Laterality(match[1]) if match[1] else None
        is_lobe = match[3].startswith("lobe")
        places += [Place(side, _ZONES[part], is_lobe) for part in re.findall(_PART, match[2])]
    rest = re.sub(_IN + _LOBES, " ", text)
    places += [Place(Laterality(match[1]), None) for match in re.finditer(_IN + _SIDES, rest)]
    rest = re.sub(_IN + _SIDES, " ", rest)
    return places, re.sub(_LUNGS, " ", rest)


def _tidied(text: str) -> str:
    """Drop what joined the parts that were taken out."""
    words = re.sub(r"[,()]", " ", text).split()
    joining = {"and", "or", "with", "in", "of", "at", "on", "the", "that", "is", "are", "which", "within"}
    while words and words[-1] in joining:
        words.pop()
    while words and words[0] in joining - {"the", "is"}:
        words.pop(0)
    return " ".join(words)


def _lobe(laterality: Laterality, zone: Zone) -> Lobe | None:
    lobes = {
        (Laterality.RIGHT, Zone.UPPER): Lobe.RIGHT_UPPER,
        (Laterality.RIGHT, Zone.MIDDLE): Lobe.RIGHT_MIDDLE,
        (Laterality.RIGHT, Zone.LOWER): Lobe.RIGHT_LOWER,
        (Laterality.LEFT, Zone.UPPER): Lobe.LEFT_UPPER,
        (Laterality.LEFT, Zone.LOWER): Lobe.LEFT_LOWER,
    }
    return lobes.get((laterality, zone))
