"""What is understood of a question, and what is refused."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.clip.prompt import Prompt, understand
from ai_engine.clip.vocabulary import of_wordings
from ai_engine.domain import Laterality, Lobe, Location, Zone
from ai_engine.errors import UnknownWords

R, L = Laterality.RIGHT, Laterality.LEFT
PLACES = [Location(side, zone) for side in (R, L) for zone in Zone]
SIZES_MM = (2.0, 4.5, 6.0, 6.5, 8.0, 9.0, 10.0, 10.5, 15.0, 31.0)
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


def selected(prompt: Prompt) -> set[tuple[float, Location]]:
    return {(mm, place) for mm, place in product(SIZES_MM, PLACES) if prompt.allows(mm, place)}


EVERYTHING = set(product(SIZES_MM, PLACES))
LIMITS = (
    "in the right upper lobe",
    "in the upper lobes",
    "in the right lung",
    "in the right or left upper lobe",
    "in the upper lobe of the left lung",
    "in RUL or in the left lung",
    "in the lungs",
    "over 10 mm",
    "larger than 1 cm",
    "of at least 6 mm",
    "under 8 mm",
    "between 6 and 8 mm",
    "10 mm or larger",
)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("said", ["nodules not {}", "nodules that are not {}", "all nodules except those {}"])
def test_what_is_excluded_is_the_complement(said: str, limit: str) -> None:
    prompt = asked(said.format(limit))
    assert selected(prompt) == EVERYTHING - selected(asked(f"nodules {limit}"))
    assert prompt.is_plain


def test_one_limit_is_excluded_and_another_is_not() -> None:
    glass = asked("ground-glass nodules not over 10 mm in the right lung")
    assert glass.words == "ground-glass nodules"
    assert selected(glass) == {(mm, place) for mm, place in EVERYTHING if mm <= 10 and place.laterality is R}
    calcium = asked("nodules without calcification outside the right lung over 6 mm")
    assert calcium.words == "nodules without calcification"
    assert selected(calcium) == {(mm, place) for mm, place in EVERYTHING if mm > 6 and place.laterality is L}


@settings(max_examples=400, deadline=None)
@given(
    first=st.sampled_from(["", "any ", "lung nodules ", "over 3 mm ", "solid nodules ", "nodules with no solid core "]),
    no=st.sampled_from(
        ["not ", "no ", "without ", "except ", "outside ", "non-", "not only ", "not seen ", "not not "]
    ),
    noun=st.sampled_from(["", "any ", "the nodules ", "lesions which are ", "lesions not "]),
    excluded=st.sampled_from(LIMITS),
    joined=st.sampled_from(["", " ", ", ", " and ", " or ", " nodules ", " lesions or ", " with calcification "]),
    other=st.sampled_from(["", *LIMITS]),
)
def test_a_prompt_never_selects_what_it_excludes(**said: str) -> None:
    try:
        prompt = asked("{first}{no}{noun}{excluded}{joined}{other}".format(**said))
    except UnknownWords:
        return
    assert not selected(prompt) & selected(asked(f"nodules {said['excluded']}"))


@pytest.mark.parametrize(
    "text",
    [
        "no nodules over 10 mm",
        "not the nodules in the right lung",
        "nodules not only in the right lung",
        "nodules not in the right lung and over 6 mm",
        "nodules with no 6 mm solid core",
        "nodules not calcified or over 10 mm",
        "nodules under 3 mm or over 10 mm",
        "nodules over 10 mm or in the right lung",
    ],
)
def test_a_not_or_an_or_that_can_be_meant_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(UnknownWords, match=r"'(not|no|or)' can"):
        asked(text)


@pytest.mark.parametrize("text", ["solid nodules", "ground-glass opacities", "calcified lesions", "rib"])
def test_words_that_choose_are_not_plain(text: str) -> None:
    assert not asked(text).is_plain


@pytest.mark.parametrize("text", ["lung nodules", "show all pulmonary nodules", "any lesion of the lung", "over 6 mm"])
def test_words_that_only_say_nodule_are_plain(text: str) -> None:
    assert asked(text).is_plain


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
