"""What a question says of a size or a place by "not" and its like: turned into its complement, or refused.

A "not" that was left to the encoder while the size after it was taken out would select just what it excludes.
"""

import re

from ai_engine.clip.limits import ANYWHERE, MARK, Limit, Sizes
from ai_engine.clip.vocabulary import Vocabulary, split
from ai_engine.errors import UnknownWords

_NOT = r"\b(?:not|no|non|without|lacking|except(?: for)?|excluding|other than|outside(?: of)?)\b"
_LEADING = r"(?:(?:any|all|the|those|these|that|which|is|are|in|inside|within|at|on|of|lying|located) )*"
_JOINED = rf" ?(?:,|,? ?and|,? ?or) {MARK}"
# Any other word would be a noun, and what is excluded is that: "no 6 mm core".
_GOES_ON = r"with|without|that|which|containing|lacking|please|not|no|except|excluding|outside|and not"
_AFTER = rf"(?=(?: (?:, |and |or )?{MARK})*(?:$| ?[,)]| (?:{_GOES_ON})\b))"
# "not in the right lung or the left upper lobe" is neither; with "and" after it, it could be meant in two ways.
_EXCLUDED = rf"{_NOT}[ -]+{_LEADING}({MARK}(?: or {MARK})*)(?!{_JOINED}){_AFTER}"

# Where no other words stand between "not" and a size or place, or the end, it is not the encoder that can tell of what.
_SAYS_NOTHING = Vocabulary(
    tuple(
        split(
            "a an the any all each every both that this these those there which where with within in inside of on at "
            "is are its and or only please me few find finding show list report present image side seen ct scan chest "
            "lung pulmonary nodule nodular lesion mass opacity focal structure normal whole entire part component size "
            "sized made clearly completely entirely fully wholly partly partially purely markedly very through "
            "throughout"
        )
    )
)


def check_alternatives(text: str, limits: dict[str, Limit]) -> None:
    """Raise ``UnknownWords`` where "or" joins a size to anything, or a place to what is none: all of them must hold."""
    words = ["", *re.findall(rf"{MARK}|[a-z]+", text), ""]
    for before, word, after in zip(words, words[1:], words[2:], strict=False):
        joined = [limits.get(each) for each in (before, after)]
        if word != "or" or all(limit in (None, (ANYWHERE,)) for limit in joined):
            continue
        if any(limit is None or isinstance(limit, Sizes) for limit in joined):
            raise UnknownWords("'or' can stand between two places, not beside a size, or a place and something else")


def without_excluded(text: str, limits: dict[str, Limit]) -> tuple[str, frozenset[str]]:
    """Tell what a text excludes, and take the words that do so out of it.

    Returns
    -------
    str
        Without the words that exclude them.
    frozenset of str
        The marks.

    Raises
    ------
    UnknownWords
        It is not clear which size or place is excluded, or whether one is.
    """
    excluded = frozenset("".join(re.findall(_EXCLUDED, text))) & frozenset(limits)
    rest = re.sub(_EXCLUDED, r" \1 ", text)
    for match in re.finditer(_NOT, rest) if limits else ():
        said_of = re.split(rf"{MARK}|{_NOT}", rest[match.end() :])[0]
        if not _SAYS_NOTHING.unknown(said_of):
            raise UnknownWords(f"{match[0]!r} can exclude one size or place that follows it: 'not in the right lung'")
    return rest, excluded
