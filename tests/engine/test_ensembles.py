"""Words against the words for other types: vectors along axes, no network."""

from types import SimpleNamespace

import numpy as np
import pytest

from ai_engine.clip import scorer as clip_scorer
from ai_engine.clip.ensembles import Ensembles
from ai_engine.clip.loading import Seen
from ai_engine.clip.prompt import understand
from ai_engine.clip.scorer import Described, TextScorer
from ai_engine.clip.vocabulary import of_wordings
from ai_engine.domain import Laterality, Location, Zone

SOLID, PART_SOLID, GROUND_GLASS, OF_NO_TYPE = np.eye(4)
WORDS = Ensembles(OF_NO_TYPE, np.array([-OF_NO_TYPE]), np.array([SOLID, PART_SOLID, GROUND_GLASS]))


@pytest.mark.parametrize(
    ("words", "rivals"),
    [
        (SOLID, [PART_SOLID, GROUND_GLASS]),
        ((PART_SOLID + GROUND_GLASS) / np.sqrt(2), [SOLID]),
        (0.9 * OF_NO_TYPE + 0.3 * SOLID, []),
        (OF_NO_TYPE, []),
    ],
    ids=["solid", "subsolid", "of no type, though rather solid", "of no type"],
)
def test_words_for_a_type_speak_against_the_others(words: np.ndarray, rivals: list[np.ndarray]) -> None:
    assert np.array_equal(WORDS.rivals(words), np.reshape(rivals, (-1, 4)))
    assert np.array_equal(WORDS.shuffled().types, WORDS.types)


@pytest.mark.parametrize(
    ("place", "is_chosen"),
    [
        (0.9 * SOLID, True),
        (0.6 * SOLID + 0.8 * PART_SOLID, False),
        (0.8 * SOLID + 0.6 * PART_SOLID, True),
        (0.05 * SOLID, False),
    ],
    ids=["solid", "rather part-solid", "rather solid", "neither"],
)
def test_a_place_is_of_the_type_that_it_is_likest(
    place: np.ndarray, is_chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_scorer, "ensembles_of", lambda _: WORDS)
    encoder = SimpleNamespace(read=lambda _: SOLID[None], likeness=lambda places, words: 10 * places @ words.T - 1)
    scorer = TextScorer(lambda: encoder)  # type: ignore[arg-type, return-value]
    finding = Described((0, 0, 0), 8.0, Location(Laterality.LEFT, Zone.UPPER))
    asked = understand("solid nodules", of_wordings())
    (selected,) = scorer.chosen(Seen(place[None], np.zeros(1)), [finding], asked)
    assert selected.by_words is is_chosen
