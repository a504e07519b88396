"""What is understood of a question, and what is refused."""

import pytest

from ai_engine.clip.prompt import Prompt, understand
from ai_engine.clip.vocabulary import of_wordings
from ai_engine.domain import Laterality, Lobe, Location, Zone
from ai_engine.errors import UnknownWords

R, L = Laterality.RIGHT, Laterality.LEFT
RIGHT_TOP, RIGHT_MIDDLE, LEFT_TOP = Location(R, Zone.UPPER), Location(R, Zone.MIDDLE), Location(L, Zone.UPPER)


def asked(text: str) -> Prompt:
    return understand(text, of_wordings())


def test_the_prompt_of_the_issue_is_words_and_a_place_and_a_size() -> None:
    prompt = asked("ground-glass nodules in the right upper lobe over 6 mm")
    assert prompt.words == "ground-glass nodules"
    assert prompt.allows(6.1, RIGHT_TOP)
    assert not prompt.allows(6.0, RIGHT_TOP)
    assert not prompt.allows(8, RIGHT_MIDDLE)
    assert not prompt.allows(8, LEFT_TOP)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("nodules over 6 mm", (6.1, 30), (6.0, 2)),
        ("nodules of at least 6 mm", (6.0, 7), (5.9,)),
        ("nodules 6 mm or larger", (6.0, 7), (5.9,)),
        ("nodules > 8,5 mm", (8.6,), (8.5, 1)),
        ("nodules smaller than 1 cm", (9.9, 1), (10.0,)),
        ("nodules up to 1.5 centimetres", (15.0,), (15.1,)),
        ("6-8 mm nodules", (6.0, 8.0), (5.9, 8.1)),
        ("nodules between 6 and 8 mm", (6.0, 8.0), (5.9, 8.1)),
        ("nodules over 3 mm and under 9 mm", (3.1, 8.9), (3.0, 9.0)),
        ("10 mm nodules", (9, 11), (5, 20)),
        ("lung nodule", (1, 60), ()),
    ],
)
def test_sizes(text: str, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    prompt = asked(text)
    assert all(prompt.allows(mm, RIGHT_TOP) for mm in inside)
    assert not any(prompt.allows(mm, RIGHT_TOP) for mm in outside)
    assert prompt.is_plain


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("nodules in the right lung", {RIGHT_TOP, RIGHT_MIDDLE}),
        ("right-sided nodules", {RIGHT_TOP, RIGHT_MIDDLE}),
        ("nodules in the upper lobes", {RIGHT_TOP, LEFT_TOP}),
        ("nodules in LUL", {LEFT_TOP}),
        ("nodules in the right upper and middle lobes", {RIGHT_TOP, RIGHT_MIDDLE}),
        ("nodules in the left lung or the right middle zone", {LEFT_TOP, RIGHT_MIDDLE}),
        ("nodules in both lungs", {RIGHT_TOP, RIGHT_MIDDLE, LEFT_TOP}),
        ("nodules in the right and left upper lobes", {RIGHT_TOP, LEFT_TOP}),
        ("nodules in the right or the left upper lobe", {RIGHT_TOP, LEFT_TOP}),
        ("nodules in the right middle and left upper lobes", {RIGHT_MIDDLE, LEFT_TOP}),
        ("nodules in the upper, middle, and lower lobes of the right lung", {RIGHT_TOP, RIGHT_MIDDLE}),
    ],
)
def test_places(text: str, where: set[Location]) -> None:
    prompt = asked(text)
    assert prompt.words == "nodules"
    assert {place for place in (RIGHT_TOP, RIGHT_MIDDLE, LEFT_TOP) if prompt.allows(8, place)} == where


def test_a_lobe_that_is_known_counts_more_than_the_third_of_the_lung() -> None:
    above_the_fissure = Location(L, Zone.MIDDLE, Lobe.LEFT_UPPER)
    assert asked("nodules in the left upper lobe").allows(8, above_the_fissure)
    assert not asked("nodules in the left upper zone").allows(8, above_the_fissure)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("purple nodules near the fissure", "purple, near, fissure"),
        ("malignant nodules", "malignant"),
        ("subtle nodules", "subtle"),
        ("nodules bigger than 6", "6"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(UnknownWords, match=named):
        asked(text)


@pytest.mark.parametrize("text", ["solid nodules", "ground-glass opacities", "calcified lesions", "rib"])
def test_words_that_choose_are_not_plain(text: str) -> None:
    assert not asked(text).is_plain


@pytest.mark.parametrize("text", ["lung nodules", "show all pulmonary nodules", "any lesion of the lung", "over 6 mm"])
def test_words_that_only_say_nodule_are_plain(text: str) -> None:
    assert asked(text).is_plain


@pytest.mark.parametrize(
    "text",
    [
        "nodules not in the right upper lobe",
        "nodules not over 10 mm",
        "no nodules over 10 mm",
        "all nodules except those in the left lung",
        "lung nodules outside the right lung",
        "nodules not in the upper lobes in the right lung",
        "nodules without a 6 mm core",
    ],
)
def test_what_excludes_a_size_or_a_place_is_refused(text: str) -> None:
    with pytest.raises(UnknownWords, match="only what is wanted is understood"):
        asked(text)


@pytest.mark.parametrize(
    "text",
    [
        "calcified nodules or over 10 mm",
        "nodules under 3 mm or over 10 mm",
        "nodules over 10 mm or in the right lung",
        "calcified or in the right lung",
    ],
)
def test_an_or_beside_a_size_or_between_a_place_and_something_else_is_refused(text: str) -> None:
    with pytest.raises(UnknownWords, match="'or' in"):
        asked(text)


@pytest.mark.parametrize(
    "text",
    ["non-solid nodules over 6 mm", "nodules with no solid core in the left lung", "nodules not larger than 1 cm"],
)
def test_what_excludes_something_else_is_understood(text: str) -> None:
    prompt = asked(text)
    assert prompt.sizes or prompt.places


def test_lobes_of_both_sides_are_named_once() -> None:
    for text in ("nodules in the right and left upper lobes", "nodules in the left or the right upper lobe"):
        prompt = asked(text)
        assert {(each.laterality, each.zone) for each in prompt.places} == {
            (Laterality.RIGHT, Zone.UPPER),
            (Laterality.LEFT, Zone.UPPER),
        }
        assert prompt.is_plain


@pytest.mark.parametrize(
    ("text", "part", "words"),
    [
        ("solid component of part-solid nodules", "solid component", "part-solid nodules"),
        ("show the dense cores of nodules in the right upper lobe over 6 mm", "dense cores", "nodules"),
        ("soft tissue part", "soft tissue part", "lung nodule"),
        ("the entire part-solid nodules over 8 mm", "entire nodule", "part-solid nodules"),
        ("whole nodule", "whole nodule", "nodule"),
        ("part solid nodules", "", "part solid nodules"),
        ("nodules with a solid component", "", "nodules with a solid component"),
        ("entirely solid nodules", "", "entirely solid nodules"),
        ("lung nodule", "", "lung nodule"),
    ],
)
def test_a_part_is_named_before_the_nodules(text: str, part: str, words: str) -> None:
    prompt = asked(text)
    assert (prompt.part, prompt.words) == (part, words)


def test_what_a_nodule_is_without_may_stand_beside_a_place() -> None:
    prompt = asked("nodules without calcification in the right upper lobe")
    assert prompt.words == "nodules without calcification"
    assert len(prompt.places) == 1
