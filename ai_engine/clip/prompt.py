"""What a radiologist asks for, in words: sizes and places are read by rules, the rest is for the encoder.

"ground-glass nodules in the right upper lobe over 6 mm" is words ("ground-glass nodules"), a place and a size. A prompt
filters what is reported, never what is searched.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ai_engine.clip import wordings
from ai_engine.clip.limits import ANYWHERE, MARK, Limit, Place, Sizes, marked
from ai_engine.clip.vocabulary import Vocabulary, split
from ai_engine.domain import Location
from ai_engine.errors import UnknownWords

DEFAULT = "lung nodule"

_SHORT = {
    "rul": "right upper lobe",
    "rml": "right middle lobe",
    "rll": "right lower lobe",
    "lul": "left upper lobe",
    "lll": "left lower lobe",
}

# A part of a nodule is named first: "solid component of ..."; "nodules with a solid component" chooses nodules.
_LEADING = r"(?:(?:find|show|report|list|me|please|all|any|each|every|only|the|an?|there|is|are) )*"
_PART_FIRST = _LEADING + r"((?:(?:solid|dense|soft|tissue) )+(?:component|core|part)s?)(?: (?:of|in|within) (.+))?$"
_WHOLE_FIRST = _LEADING + r"(whole|entire) (?:of )?(?:the )?(.+)$"


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

    @property
    def names_lobe(self) -> bool:
        """Whether it asks for a lobe; a zone is none."""
        return any(place.is_lobe for place in self.places)

    def allows(self, diameter_mm: float, location: Location) -> bool:
        """Tell whether size and place are what is asked for."""
        right_place = not self.places or any(place.holds(location) for place in self.places)
        return right_place and all(sizes.holds(diameter_mm) for sizes in self.sizes)


# Words of a question that say something of a nodule.
_MEANT = {"whole", "entire", "part", "component", "without"}


# Not "non-solid", "without calcification" or "with no solid core": it is plain what those exclude.
_EXCLUDING = r"\b(?:not|except|excluding|outside|other than|(?<!with )(?<!containing )no)\b"
_WITHOUT_LIMIT = rf"\bwithout(?= (?:(?:an?|the|any) )?{MARK})"


def understand(text: str, vocabulary: Vocabulary) -> Prompt:
    """Read a prompt.

    Raises
    ------
    UnknownWords
        Names the words, or numbers without a unit, that mean nothing to the encoder, what excludes a size or place, or
        an "or" beside a size.
    """
    rest = " ".join(re.sub(r"[\"'?!.;:](?=\s|$)", " ", re.sub(MARK, "\ufffd", text)).lower().split())
    for short, full in _SHORT.items():
        rest = re.sub(rf"\b{short}\b", full, rest)
    rest, limits = marked(rest)
    words = _tidied(re.sub(MARK, " ", rest))
    _check_nothing_excluded(text, words, rest, limits)
    _check_alternatives(text, rest, limits)
    strange = (*vocabulary.unknown(words), *re.findall(r"\d[\d.,]*|[^\x00-\x7f]+", words))
    if strange:
        raise UnknownWords(f"not understood in {text!r}: {', '.join(strange)}")
    sizes = tuple(limit for limit in limits.values() if isinstance(limit, Sizes))
    places = (place for limit in limits.values() if not isinstance(limit, Sizes) for place in limit)
    part, words = _part(words)
    return Prompt(text, words or DEFAULT, sizes, tuple(place for place in places if place != ANYWHERE), part)


def _part(text: str) -> tuple[str, str]:
    """Part "solid component of part-solid nodules" into the part and the nodules; the part is empty without one."""
    if found := re.match(_PART_FIRST, text):
        return found[1], _tidied(found[2] or "")
    if found := re.match(_WHOLE_FIRST, text):
        return f"{found[1]} nodule", _tidied(found[2])
    return "", text


def _check_nothing_excluded(text: str, words: str, rest: str, limits: Mapping[str, Limit]) -> None:
    """Refuse a "not" beside a size or a place: those were taken out, and what it excludes would be selected."""
    said = re.search(_EXCLUDING, words) or re.search(_WITHOUT_LIMIT, rest)
    if said and any(limit != (ANYWHERE,) for limit in limits.values()):
        raise UnknownWords(f"{said[0]!r} in {text!r}: beside a size or a place, only what is wanted is understood")


def _check_alternatives(text: str, rest: str, limits: Mapping[str, Limit]) -> None:
    """Refuse an "or" that joins a size to anything, or a place to what is none: all of them must hold."""
    words = ["", *re.findall(rf"{MARK}|[a-z]+", rest), ""]
    for before, word, after in zip(words, words[1:], words[2:], strict=False):
        joined = [limits.get(each) for each in (before, after)]
        if word != "or" or all(limit in (None, (ANYWHERE,)) for limit in joined):
            continue
        if any(limit is None or isinstance(limit, Sizes) for limit in joined):
            raise UnknownWords(f"'or' in {text!r}: it can join two places, not a size, or a place to something else")


def _tidied(text: str) -> str:
    """Drop what joined the parts that were taken out."""
    words = re.sub(r"[,()]", " ", text).split()
    joining = {"and", "or", "with", "in", "of", "at", "on", "the", "that", "is", "are", "which", "within"}
    while words and words[-1] in joining:
        words.pop()
    while words and words[0] in joining - {"the", "is"}:
        words.pop(0)
    return " ".join(words)
