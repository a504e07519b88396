"""Sentences: true of what they are made from, judged against everything else, without malignancy or subtlety."""

import dataclasses
from functools import cache
from itertools import chain

import numpy as np
import pytest

from ai_engine.clip import facts as clip_facts
from ai_engine.clip import sentences, wordings
from ai_engine.clip.facts import NO, YES, Attribute, Claim, Facts, Ratings
from ai_engine.clip.vocabulary import LONGEST, of_wordings, split
from ai_engine.composites import NoduleShape
from ai_engine.domain import NoduleType
from ai_engine.errors import UnknownWords

GLASS = clip_facts.of_nodule(NoduleType.GROUND_GLASS, 12, Ratings(6, 2, 1, 1, 5, 1))
UNSEEN = clip_facts.of_nodule(NoduleType.SOLID, 8, Ratings(3, 5, 1, 3, 4, 1), shows_calcium=False)
CALCIFIED = clip_facts.of_nodule(NoduleType.SOLID, 8, Ratings(3, 5, 1, 3, 4, 1))
VESSEL = clip_facts.of_structure("vessel")
SOMETHING = clip_facts.of_structure(None)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@cache
def every_text() -> set[str]:
    drawn = [sentences.of(place, rng(i)).text for place in (GLASS, CALCIFIED, VESSEL, SOMETHING) for i in range(400)]
    return set(drawn)


@pytest.mark.parametrize("place", [GLASS, CALCIFIED, VESSEL, SOMETHING])
def test_a_sentence_is_true_of_the_place_it_was_made_from(place: Facts) -> None:
    assert all(place.verdict(sentences.of(place, rng(i)).claims) == 1 for i in range(200))


def test_there_are_many_wordings() -> None:
    assert len({sentences.of(GLASS, rng(i)).text for i in range(400)}) > 250


@pytest.mark.parametrize(
    ("claims", "of_glass", "of_calcified", "of_vessel", "of_something"),
    [
        ({Claim(Attribute.NODULE, YES)}, 1, 1, -1, -1),
        ({Claim(Attribute.NODULE, NO)}, -1, -1, 1, 1),
        ({Claim(Attribute.TYPE, "ground-glass")}, 1, -1, -1, -1),
        ({Claim(Attribute.SUBSOLID, YES)}, 1, -1, -1, -1),
        ({Claim(Attribute.CALCIFICATION, YES)}, -1, 1, -1, -1),
        ({Claim(Attribute.LOBULATION, YES)}, -1, 0, -1, -1),  # rated 3: the middle of the scale
        ({Claim(Attribute.TYPE, "solid"), Claim(Attribute.LOBULATION, YES)}, -1, 0, -1, -1),
        ({Claim(Attribute.STRUCTURE, "vessel")}, -1, -1, 1, 0),
        ({Claim(Attribute.STRUCTURE, "rib")}, -1, -1, -1, 0),
    ],
)
def test_verdicts(claims: set[Claim], of_glass: int, of_calcified: int, of_vessel: int, of_something: int) -> None:
    told = [place.verdict(claims) for place in (GLASS, CALCIFIED, VESSEL, SOMETHING)]
    assert told == [of_glass, of_calcified, of_vessel, of_something]


def test_calcium_that_a_reader_rated_and_no_picture_shows_is_not_known() -> None:
    assert [UNSEEN.verdict({Claim(Attribute.CALCIFICATION, value)}) for value in (YES, NO)] == [0, 0]
    assert UNSEEN.verdict({Claim(Attribute.TYPE, "solid")}) == 1


def test_no_sentence_carries_malignancy_or_subtlety() -> None:
    stems = ("malign", "benign", "cancer", "suspic", "subtle", "obvious", "conspic", "tumo", "carcin", "metasta")
    words = set(of_wordings().words) | {word for text in every_text() for word in split(text)}
    assert not [word for word in words if word.startswith(stems)]
    assert {"malignancy", "subtlety"}.isdisjoint(field.name for field in dataclasses.fields(Ratings))
    assert "subtlety" in {field.name for field in dataclasses.fields(NoduleShape)}  # it is there to be left out


def test_the_vocabulary_holds_every_word_of_training_and_no_sentence_is_cut() -> None:
    vocabulary = of_wordings()
    assert all(not vocabulary.unknown(text) for text in every_text())
    assert max(len(split(text)) for text in every_text()) <= LONGEST


def test_paraphrases_are_made_of_known_words_and_of_no_phrase_of_training() -> None:
    vocabulary = of_wordings()
    trained = set(chain(*wordings.BEFORE.values(), *wordings.AFTER.values()))
    for claim, (before, after) in wordings.HELD_OUT.items():
        assert trained.isdisjoint(before + after), claim
        for sentence in sentences.paraphrases(claim):
            assert not vocabulary.unknown(sentence.text)
            assert sentence.text not in every_text()
            assert claim in sentence.claims


def test_an_unknown_word_is_named_and_a_plural_is_not_unknown() -> None:
    vocabulary = of_wordings()
    assert vocabulary.unknown("ground-glass opacities, masses and vessels") == ()
    with pytest.raises(UnknownWords, match=r"wobbly, blue"):
        vocabulary.encode(["a wobbly blue nodule"])
    singular, plural = vocabulary.encode(["solid nodule", "solid nodules"])
    assert (singular == plural).all()


@pytest.mark.parametrize(("mm", "name"), [(4, "tiny"), (6, "small"), (15, "medium"), (29.9, "large"), (30, "mass")])
def test_sizes_have_names(mm: float, name: str) -> None:
    assert clip_facts.size_of(mm) == name
