"""What a radiologist asks for, in words: sizes and places are read by rules, the rest is for the encoder.

"ground-glass nodules in the right upper lobe over 6 mm" is words ("ground-glass nodules"), a place and a size. A prompt
filters what is reported, never what is searched.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from ai_engine.clip import wordings
from ai_engine.clip.exclusions import check_alternatives, without_excluded
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
    not_in : tuple of Place
        None of them may hold.
    """

    text: str
    words: str
    sizes: tuple[Sizes, ...] = ()
    places: tuple[Place, ...] = ()
    not_in: tuple[Place, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the words name no more than a nodule: nothing for the encoder to choose by."""
        nouns = {word for phrase in (*wordings.NODULE, *wordings.OPACITY) for word in split(phrase)}
        neutral = {word for phrase in (*wordings.PATTERNS, *wordings.NEUTRAL) for word in split(phrase)}
        known = Vocabulary(tuple(sorted(nouns | (neutral - _MEANT))))
        return not known.unknown(self.words)

    @property
    def names_lobe(self) -> bool:
        """Whether it asks for a lobe, or excludes one; a zone is none."""
        return any(place.is_lobe for place in (*self.places, *self.not_in))

    def allows(self, diameter_mm: float, location: Location) -> bool:
        """Tell whether size and place are what is asked for."""
        right_place = not self.places or any(place.holds(location) for place in self.places)
        wrong_place = any(place.holds(location) for place in self.not_in)
        return right_place and not wrong_place and all(sizes.holds(diameter_mm) for sizes in self.sizes)


# Words of a question that say something of a nodule.
_MEANT = {"whole", "entire", "part", "component", "without"}


def understand(text: str, vocabulary: Vocabulary) -> Prompt:
    """Read a prompt.

    Raises
    ------
    UnknownWords
        Names the words, or numbers without a unit, that mean nothing to the encoder, or the "not" or "or" that can be
        meant in more than one way.
    """
    rest = " ".join(re.sub(r"[\"'?!.;:](?=\s|$)", " ", re.sub(MARK, "\ufffd", text)).lower().split())
    for short, full in _SHORT.items():
        rest = re.sub(rf"\b{short}\b", full, rest)
    rest, limits = marked(rest)
    try:
        check_alternatives(rest, limits)
        rest, excluded = without_excluded(rest, limits)
    except UnknownWords as error:
        raise UnknownWords(f"not understood in {text!r}: {error}") from None
    words = _tidied(re.sub(MARK, " ", rest))
    strange = (*vocabulary.unknown(words), *re.findall(r"\d[\d.,]*|[^\x00-\x7f]+", words))
    if strange:
        raise UnknownWords(f"not understood in {text!r}: {', '.join(strange)}")
    sizes = (replace(each, are_excluded=m in excluded) for m, each in limits.items() if isinstance(each, Sizes))
    places = tuple(place for place in _places(limits, set(limits) - excluded) if place != ANYWHERE)
    return Prompt(text, words or DEFAULT, tuple(sizes), places, _places(limits, excluded))


def _places(limits: dict[str, Limit], marks: Collection[str]) -> tuple[Place, ...]:
    limited = (limit for mark, limit in limits.items() if mark in marks and not isinstance(limit, Sizes))
    return tuple(place for places in limited for place in places)


def _tidied(text: str) -> str:
    """Drop what joined the parts that were taken out."""
    words = re.sub(r"[,()]", " ", text).split()
    joining = {"and", "or", "with", "in", "of", "at", "on", "the", "that", "is", "are", "which", "within"}
    while words and words[-1] in joining:
        words.pop()
    while words and words[0] in joining - {"the", "is"}:
        words.pop(0)
    return " ".join(words)
