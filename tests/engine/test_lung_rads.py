"""Lung-RADS v2022 against the test vectors of the design notes (from ACR/RSNA RDES267), both sides of each limit."""

import pytest

from ai_engine.domain import Category, NoduleType
from ai_engine.rules.growth import tenths
from ai_engine.rules.lung_rads import SCHEME, Airway, Nodule, PriorSize, categorise, exam

SOLID, PART, GGN = NoduleType.SOLID, NoduleType.PART_SOLID, NoduleType.GROUND_GLASS


def category(kind, mean, part=None, **more) -> str | None:
    return categorise(Nodule(kind, mean, part, **more)).value


def before(mean, days=365, part=None, category=None) -> tuple[PriorSize]:
    return (PriorSize(days, mean, part, category),)


@pytest.mark.parametrize(
    ("mean", "expected"),
    [(5.9, "2"), (5.94, "2"), (5.96, "3"), (6.0, "3"), (7.9, "3"), (8.0, "4A"), (14.9, "4A"), (15.0, "4B")],
)
def test_solid_at_baseline(mean, expected):
    assert category(SOLID, mean) == expected


@pytest.mark.parametrize(
    ("mean", "expected"), [(3.9, "2"), (4.0, "3"), (5.9, "3"), (6.0, "4A"), (7.9, "4A"), (8.0, "4B"), (20.0, "4B")]
)
def test_solid_new(mean, expected):
    assert category(SOLID, mean, new=True) == expected


@pytest.mark.parametrize(
    ("now", "then", "expected"),
    [(5.0, 3.4, "4A"), (7.9, 6.0, "4A"), (8.0, 6.4, "4B"), (20.0, 12.0, "4B")],
)
def test_solid_growing(now, then, expected):
    assert category(SOLID, now, priors=before(then)) == expected


@pytest.mark.parametrize(
    ("total", "part", "expected"),
    [
        (5.9, 3.0, "2"),
        (5.9, None, "2"),
        (10, 5.9, "3"),
        (6.0, 2.0, "3"),
        (10, 6.0, "4A"),
        (10, 7.9, "4A"),
        (10, 8.0, "4B"),
    ],
)
def test_part_solid_at_baseline(total, part, expected):
    assert category(PART, total, part) == expected


@pytest.mark.parametrize(
    ("total", "part", "expected"), [(5.5, None, "3"), (5.9, 3.0, "3"), (8, 3.9, "4A"), (8, 4.0, "4B")]
)
def test_part_solid_new(total, part, expected):
    assert category(PART, total, part, new=True) == expected


@pytest.mark.parametrize(("part", "expected"), [(3.9, "4A"), (4.0, "4B")])
def test_part_solid_with_a_growing_solid_part(part, expected):
    assert category(PART, 10, part, priors=before(10, part=2.0)) == expected


@pytest.mark.parametrize(("part", "expected"), [(1.0, "4A"), (3.9, "4A"), (4.0, "4B")])
def test_a_solid_part_that_was_not_there_is_new(part, expected):
    assert category(PART, 10, part, priors=before(10, part=0.0)) == expected


def test_growth_around_a_stable_solid_part_is_judged_by_size_and_never_steps_down():
    assert category(PART, 12, 3.0, priors=before(9, part=3.0, category="3")) == "3"
    assert category(PART, 12, 3.0, priors=before(12, part=3.0, category="3")) == "2"


@pytest.mark.parametrize(
    ("mean", "more", "expected"),
    [
        (29.9, {"new": True}, "2"),
        (29.9, {}, "2"),
        (30.0, {}, "3"),
        (30.0, {"new": True}, "3"),
        (35, {"priors": before(35)}, "2"),
        (35, {"priors": before(36)}, "2"),
        (29.9, {"priors": before(25)}, "2"),
        (31, {"priors": before(29)}, "3"),
        (32, {"priors": before(30, days=2 * 366)}, "2"),  # slow growing
        (31, {"priors": before(15)}, "4X"),  # doubled within 12 months
        (29, {"priors": before(14)}, "2"),  # doubled, but 4X is for category 3 and 4 only
    ],
)
def test_ground_glass(mean, more, expected):
    assert category(GGN, mean, **more) == expected


@pytest.mark.parametrize(("mean", "expected"), [(9.9, "2"), (10.0, "4A")])
@pytest.mark.parametrize("new", [False, True])
def test_smooth_juxtapleural(mean, expected, new):
    if new and expected == "4A":
        expected = "4B"
    assert category(SOLID, mean, benign_juxtapleural=True, new=new) == expected


def test_a_growing_juxtapleural_nodule_is_judged_by_size():
    assert category(SOLID, 7.0, benign_juxtapleural=True, priors=before(5.0)) == "4A"


@pytest.mark.parametrize(
    ("airway", "more", "expected"),
    [
        (Airway.SUBSEGMENTAL, {}, "2"),
        (Airway.SUBSEGMENTAL, {"new": True}, "2"),
        (Airway.SUBSEGMENTAL, {"priors": before(9)}, "2"),
        (Airway.SEGMENTAL, {}, "4A"),
        (Airway.SEGMENTAL, {"priors": before(9, days=90)}, "4B"),
        (Airway.SEGMENTAL, {"priors": before(7, days=90)}, "4B"),
    ],
)
def test_airway(airway, more, expected):
    assert category(SOLID, 9, airway=airway, **more) == expected


def test_benign_calcification_or_fat():
    assert category(SOLID, 20, benign_calcification=True, spiculated=True) == "1"


@pytest.mark.parametrize(
    ("kind", "mean", "part", "expected"),
    [
        (SOLID, 7, None, "4X"),
        (SOLID, 5.9, None, "2"),
        (SOLID, 15, None, "4X"),
        (PART, 10, 3, "4X"),
        (GGN, 29, None, "2"),
    ],
)
def test_spiculation_makes_4x_of_3_and_4(kind, mean, part, expected):
    assert category(kind, mean, part, spiculated=True) == expected


def test_other_features_make_4x_too():
    found = categorise(Nodule(SOLID, 9, suspicious_features=("lymphadenopathy",)))
    assert found.value == "4X"
    assert "lymphadenopathy" in found.because


# growth


@pytest.mark.parametrize(("now", "expected"), [(7.4, "2"), (7.5, "2"), (7.54, "2"), (7.55, "4A"), (7.6, "4A")])
def test_growth_is_more_than_1_5_mm_within_12_months(now, expected):
    assert category(SOLID, now, priors=before(6.0, category="3")) == expected


def test_growth_is_not_extrapolated_from_a_short_interval():
    """0.5 mm in 3 months is 2 mm in a year only on paper."""
    assert category(SOLID, 6.5, priors=before(6.0, days=91, category="3")) == "3"


def test_growth_counts_against_any_examination_of_the_last_12_months():
    priors = (PriorSize(90, 7.0, category="4A"), PriorSize(360, 5.8, category="2"))
    assert category(SOLID, 7.5, priors=priors) == "4A"
    assert category(SOLID, 7.0, priors=(*before(7.0, days=90, category="3"),)) == "3"


def test_growth_over_more_than_12_months_counts_by_the_year():
    assert category(SOLID, 7.9, priors=before(6.0, days=370, category="3")) == "4A"
    assert category(SOLID, 9.2, priors=before(6.0, days=2 * 366, category="3")) == "4B"


def test_slow_growth_over_several_examinations_is_4b():
    priors = (PriorSize(365, 7.0, category="3"), PriorSize(730, 6.0, category="3"))
    found = categorise(Nodule(SOLID, 7.9, priors=priors))
    assert found.value == "4B"
    assert "slow growing" in found.because


def test_past_growth_that_has_stopped_is_stable():
    priors = (PriorSize(365, 7.8, category="4A"), PriorSize(730, 6.0, category="3"))
    assert category(SOLID, 7.8, priors=priors) == "3"


# stable nodules


@pytest.mark.parametrize(
    ("days", "was", "now", "expected"),
    [
        (168, "3", 7.0, "2"),
        (167, "3", 7.0, "3"),
        (84, "4A", 9.0, "3"),
        (83, "4A", 9.0, "4A"),
        (365, "4B", 16.0, "4B"),
        (365, "4X", 9.0, "4X"),
        (365, "2", 5.0, "2"),
    ],
)
def test_a_stable_nodule_steps_down(days, was, now, expected):
    assert category(SOLID, now, priors=before(now, days=days, category=was)) == expected


@pytest.mark.parametrize(("then", "now", "expected"), [(5.5, 6.1, "3"), (7.5, 8.0, "4A"), (14.5, 15.0, "4B")])
def test_crossing_a_threshold_counts_without_growth(then, now, expected):
    assert category(SOLID, now, priors=before(then, category="2")) == expected


# what is not known


@pytest.mark.parametrize(
    ("nodule", "name"),
    [
        (Nodule(PART, 8.0), "solid_mean_diameter_mm"),
        (Nodule(PART, 8.0, new=True), "solid_mean_diameter_mm"),
        (Nodule(PART, 8.0, priors=before(8.0, part=2.0)), "solid_mean_diameter_mm"),
        (Nodule(PART, 8.0, 3.0, priors=before(8.0)), "prior_solid_mean_diameter_mm"),
        (Nodule(SOLID, 7.0, priors=before(7.0)), "prior_category"),
    ],
)
def test_what_decides_and_is_not_known_is_named(nodule, name):
    found = categorise(nodule)
    assert found.value is None
    assert found.missing == (name,)
    assert found.because


def test_features_that_were_not_assessed_are_named():
    assert "spiculation" in categorise(Nodule(SOLID, 7.0)).because
    known = Nodule(SOLID, 7.0, benign_calcification=False, benign_juxtapleural=False, spiculated=False)
    assert "not assessed" not in categorise(known).because


def test_because_gives_size_and_limits():
    assert categorise(Nodule(SOLID, 7.04)).because.startswith(
        "solid, at baseline, mean diameter 7.0 mm: at least 6 mm, less than 8 mm"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean_diameter_mm": 0.0},
        {"priors": (PriorSize(0, 5.0),)},
        {"priors": (PriorSize(10, 5.0, category="5"),)},
        {"priors": before(5.0), "new": True},
    ],
)
def test_impossible_histories_are_refused(wrong):
    with pytest.raises(ValueError, match=r"prior|positive"):
        Nodule(**{"nodule_type": SOLID, "mean_diameter_mm": 5.0, **wrong})


@pytest.mark.parametrize(("mm", "expected"), [(5.95, 60), (5.949, 59), (0.25, 3), (7.9, 79), (14.95, 150)])
def test_tenths_round_half_up(mm, expected):
    assert tenths(mm) == expected


# the examination


def given(*values) -> list[Category]:
    return [Category(SCHEME, value, "") for value in values]


@pytest.mark.parametrize(
    ("values", "expected"),
    [((), "1"), (("2",), "2"), (("2", "4A"), "4A"), (("4X", "4B"), "4X"), (("3", "4A", "4B"), "4B"), (("1",), "1")],
)
def test_an_examination_is_as_bad_as_its_worst_nodule(values, expected):
    assert exam(given(*values)).value == expected


def test_suspected_infection_is_category_0():
    assert exam([categorise(Nodule(SOLID, 20, new=True))], infection=True).value == "0"


@pytest.mark.parametrize(("values", "expected"), [((), "0"), (("2",), "0"), (("3",), "3"), (("4B",), "4B")])
def test_lungs_not_seen_completely(values, expected):
    assert exam(given(*values), lungs_incomplete=("top",)).value == expected


def test_an_examination_with_an_uncategorised_nodule_has_no_category():
    found = exam([*given("4A"), categorise(Nodule(PART, 8.0))])
    assert found.value is None
    assert found.missing == ("solid_mean_diameter_mm",)
    assert "at least 4A" in found.because
