"""When two ways to write a name are the same name: a table of foldings, and no likeness beyond it.

"Müller", "MUELLER" and "Muller" are one name written by three systems; "Meyer" and "Maier" are two names. Case, marks,
hyphens, spaces and apostrophes never count. Names in different scripts are not compared at all.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from enum import StrEnum

from hl7_emr.domain import PersonName

# Letters that systems without them write as two (ICAO Doc 9303 part 3, section 6) ...
_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
# ... and letters that do not decompose, for systems that only drop the marks.
_BARE = str.maketrans(
    {"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ħ": "h", "ĳ": "ij"}
)
# What systems write where they know no name.
_PLACEHOLDERS = frozenset(
    {
        "",
        "anon",
        "anonym",
        "anonymous",
        "anonymized",
        "anonymised",
        "none",
        "noname",
        "unknown",
        "unbekannt",
        "na",
        "xxx",
    }
)
_KATAKANA_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


class Script(StrEnum):
    """What a name is written in; names are compared within one."""

    IDEOGRAPHIC = "ideographic"
    KANA = "kana"
    LATIN = "latin"
    OTHER = "other"


class Comparison(StrEnum):
    """What became of comparing one property of two patients."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NOT_COMPARED = "not compared"


def compare_names(asked: Sequence[PersonName], held: Sequence[PersonName]) -> Comparison:
    """Compare what one source calls the patient with all that another calls them.

    Parameters
    ----------
    asked : sequence of PersonName
        One name in one to three scripts, as DICOM PN has it.
    held : sequence of PersonName
        Every name on record: legal, maiden, alias, in any script. One that agrees is enough.

    Notes
    -----
    The ideographic form decides where both have one, then the kana, since a romanisation is only a rendering of them
    ("Satou" is "Sato").
    """
    asked, held = _real(asked), _real(held)
    for script in Script:
        ours = [name for name in asked if script_of(name) is script]
        theirs = [name for name in held if script_of(name) is script]
        compare = _compare_exactly if script in (Script.IDEOGRAPHIC, Script.KANA) else _compare
        outcomes = {compare(one, other) for one in ours for other in theirs}
        if Comparison.AGREES in outcomes:
            return Comparison.AGREES
        if Comparison.DIFFERS in outcomes:
            return Comparison.DIFFERS
    return Comparison.NOT_COMPARED


def script_of(name: PersonName) -> Script:
    """Return the script of a name; one ideograph or Hangul syllable makes it ideographic."""
    letters = [c for c in unicodedata.normalize("NFKC", name.family + "".join(name.given)) if c.isalpha()]
    kinds = {unicodedata.name(letter, "").split(" ")[0] for letter in letters}
    if kinds & {"CJK", "HANGUL"}:
        return Script.IDEOGRAPHIC
    if kinds & {"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}:
        return Script.KANA
    return Script.LATIN if "LATIN" in kinds else Script.OTHER


def foldings(text: str) -> frozenset[str]:
    """Return the ways to write ``text`` in bare lower-case letters: umlauts written out, and marks dropped."""
    composed = unicodedata.normalize("NFKC", text).casefold().translate(_KATAKANA_TO_HIRAGANA)
    return frozenset(_letters(text.translate(_BARE)) for text in (composed.translate(_WRITTEN_OUT), composed))


def _letters(text: str) -> str:
    """Drop marks, and all that is no letter or digit; kana keep their voicing marks, which tell names apart."""
    marked = unicodedata.normalize("NFKD", text)
    kept = (c for c in marked if c.isalnum() or c in "\u3099\u309a\u30fc")
    return unicodedata.normalize("NFC", "".join(kept))


def _real(names: Sequence[PersonName]) -> list[PersonName]:
    return [name for name in names if not foldings(name.family) & _PLACEHOLDERS]


def _compare_exactly(asked: PersonName, held: PersonName) -> Comparison:
    """Compare whole names: a syllable is no initial, and many systems hold both parts in one."""
    ours, theirs = (foldings("".join((name.family, *name.given))) for name in (asked, held))
    return Comparison.AGREES if ours & theirs else Comparison.DIFFERS


def _compare(asked: PersonName, held: PersonName) -> Comparison:
    if not asked.given or not held.given:
        return _compare_whole(asked, held)
    if _generation(asked) and _generation(held) and _generation(asked) != _generation(held):
        return Comparison.DIFFERS
    same = foldings(asked.family) & foldings(held.family) and _given_agree(asked.given, held.given)
    return Comparison.AGREES if same else Comparison.DIFFERS


def _compare_whole(asked: PersonName, held: PersonName) -> Comparison:
    """Compare where one side has the name in one piece, in either order; the family name alone says too little."""
    ours, theirs = (set().union(*(foldings(text) for text in _orders(name))) for name in (asked, held))
    if ours & theirs and (asked.given or held.given or not _single_word(asked)):
        return Comparison.AGREES
    if ours & theirs or foldings(asked.family) & foldings(held.family):
        return Comparison.NOT_COMPARED
    return Comparison.DIFFERS


def _single_word(name: PersonName) -> bool:
    return len(name.family.split()) == 1


def _orders(name: PersonName) -> Iterator[str]:
    yield " ".join((name.family, *name.given))
    yield " ".join((*name.given, name.family))


def _given_agree(asked: Sequence[str], held: Sequence[str]) -> bool:
    """Each given name that both state must be the same, in order; an initial stands for its name."""
    if foldings("".join(asked)) & foldings("".join(held)):  # "Hans-Peter" is "Hans Peter" is "Hanspeter"
        return True
    pairs = zip(_words(asked), _words(held), strict=False)
    return all(_one_given_agrees(foldings(one), foldings(other)) for one, other in pairs)


def _one_given_agrees(one: frozenset[str], other: frozenset[str]) -> bool:
    if one & other:
        return True
    return any((len(a) == 1 and b.startswith(a)) or (len(b) == 1 and a.startswith(b)) for a in one for b in other)


def _words(given: Sequence[str]) -> list[str]:
    return [word for each in given for word in each.replace("-", " ").replace(".", " ").split()]


def _generation(name: PersonName) -> str:
    """Return what tells a father from his son: "jr", "sr", "ii" ...; not a degree or title."""
    return next((fold for fold in foldings(name.suffix) if fold in ("jr", "sr", "i", "ii", "iii", "iv", "v")), "")
