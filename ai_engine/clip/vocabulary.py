"""Words and their numbers. A word that is not known is named and refused: it would be read as nothing."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ai_engine.clip import wordings
from ai_engine.errors import UnknownWords

LONGEST = 24
PADDING = 0

_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Vocabulary:
    """The words that an encoder was trained with; it travels with the weights.

    Attributes
    ----------
    words : tuple of str
        Singular, lower case. The number of a word is its place, counted from 1; 0 is padding.
    """

    words: tuple[str, ...]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=1)}

    def knows(self, word: str) -> bool:
        """Tell whether a word, or its singular, is known."""
        return any(each in self._numbers for each in _forms(word))

    def unknown(self, text: str) -> tuple[str, ...]:
        """List the words of a text that are not known, in their order."""
        return tuple(dict.fromkeys(word for word in split(text) if not self.knows(word)))

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Turn texts into numbers.

        Returns
        -------
        (n, LONGEST) int64
            Filled up with ``PADDING``; what is longer is cut.

        Raises
        ------
        UnknownWords
            Names them all.
        """
        strange = [word for text in texts for word in self.unknown(text)]
        if strange:
            raise UnknownWords(f"not in the encoder's vocabulary: {', '.join(dict.fromkeys(strange))}")
        encoded = np.full((len(texts), LONGEST), PADDING, dtype=np.int64)
        for row, text in zip(encoded, texts, strict=True):
            numbers = [self._number(word) for word in split(text)][:LONGEST]
            row[: len(numbers)] = numbers
        return encoded

    def _number(self, word: str) -> int:
        return next(self._numbers[each] for each in _forms(word) if each in self._numbers)


def of_wordings() -> Vocabulary:
    """Collect the vocabulary of the wordings for training, in alphabetical order."""
    phrases: list[str] = [*wordings.NODULE, *wordings.OPACITY, *wordings.MASS, *wordings.NOT_A_NODULE]
    for group in (wordings.BEFORE, wordings.AFTER):
        phrases += [phrase for said in group.values() for phrase in said]
    phrases += [phrase for said in wordings.STRUCTURES.values() for phrase in said]
    phrases += [pattern.format("") for pattern in wordings.PATTERNS] + list(wordings.NEUTRAL)
    return Vocabulary(tuple(sorted(set(_singulars(phrases)))))


def split(text: str) -> list[str]:
    """Cut a text into words; a hyphen parts words, so that "part-solid" and "part solid" are the same."""
    return _WORD.findall(text.lower())


def _singulars(phrases: Iterable[str]) -> list[str]:
    words = {word for phrase in phrases for word in split(phrase)}
    return [next((form for form in _forms(word)[::-1] if form in words), word) for word in words]


def _forms(word: str) -> tuple[str, ...]:
    """Give a word and what it may be the plural of."""
    forms = [word]
    if word.endswith("ies"):
        forms.append(f"{word[:-3]}y")
    if word.endswith("es"):
        forms.append(word[:-2])
    if word.endswith("s") and not word.endswith("ss"):
        forms.append(word[:-1])
    return tuple(forms)
