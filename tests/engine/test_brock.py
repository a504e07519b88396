"""Brock 2a and 2b against the table of the design notes, computed there from the published coefficients."""

from dataclasses import fields, replace
from math import exp

import pytest

from ai_engine.domain import NoduleType, Sex
from ai_engine.rules.brock import BrockInputs, brock_2a, brock_2b

SOLID, PART, NON = NoduleType.SOLID, NoduleType.PART_SOLID, NoduleType.GROUND_GLASS

# age, female, family history, emphysema, longest diameter, type, upper lobe, count, spiculation, p 2b, p 2a
VECTORS = [
    (62, 0, 0, 0, 4, SOLID, 0, 4, 0, 0.001125, 0.001105),
    (62, 0, 0, 0, 10, SOLID, 0, 1, 0, 0.031912, 0.036560),
    (65, 1, 0, 1, 8, SOLID, 1, 1, 0, 0.082611, 0.097693),
    (70, 1, 1, 1, 15, PART, 1, 1, 1, 0.691257, 0.571430),
    (55, 0, 0, 0, 6, NON, 0, 3, 0, 0.004182, 0.003640),
    (60, 0, 0, 0, 20, SOLID, 1, 1, 1, 0.386657, 0.276148),
    (75, 1, 0, 0, 5, SOLID, 0, 6, 0, 0.006176, 0.006429),
]


def inputs(*row) -> BrockInputs:
    age, female, family, emphysema, diameter, kind, upper, count, spiculated = row
    sex = Sex.FEMALE if female else Sex.MALE
    return BrockInputs(age, sex, bool(family), bool(emphysema), diameter, kind, bool(upper), count, bool(spiculated))


KNOWN = inputs(*VECTORS[3][:9])


@pytest.mark.parametrize("vector", VECTORS)
def test_vectors(vector):
    *given, p_2b, p_2a = vector
    assert brock_2b(inputs(*given)).value == pytest.approx(p_2b, abs=5e-7)
    assert brock_2a(inputs(*given)).value == pytest.approx(p_2a, abs=5e-7)


def test_at_the_centre_only_the_constant_is_left():
    centre = inputs(*VECTORS[0][:9])
    assert brock_2b(centre).value == pytest.approx(1 / (1 + exp(6.7892)), rel=1e-6)
    assert brock_2a(centre).value == pytest.approx(1 / (1 + exp(6.8071)), rel=1e-6)


def test_the_centred_form_equals_the_uncentred_form_of_the_other_source():
    """PMC6717521 table 2: constant 0.2761 with age, count and size uncentred."""
    person = 0.0287 * 70 + 0.6011 + 0.2961 + 0.2953
    nodule = -5.3854 * (15 / 10) ** -0.5 + 0.3770 + 0.6581 - 0.0824 * 1 + 0.7729
    assert brock_2b(KNOWN).value == pytest.approx(1 / (1 + exp(-(0.2761 + person + nodule))), rel=1e-4)


@pytest.mark.parametrize("name", [field.name for field in fields(BrockInputs)])
def test_an_unknown_input_is_named_and_no_value_is_given(name):
    score = brock_2b(replace(KNOWN, **{name: None}))
    assert score.value is None
    assert score.missing == (name,)
    assert name not in score.inputs


def test_2a_does_not_ask_for_spiculation():
    score = brock_2a(replace(KNOWN, spiculated=None))
    assert score.value == brock_2a(KNOWN).value
    assert score.missing == ()
    assert "spiculated" not in score.inputs


def test_nothing_known_misses_everything():
    assert set(brock_2b(BrockInputs()).missing) == {field.name for field in fields(BrockInputs)}


@pytest.mark.parametrize("wrong", [{"longest_diameter_mm": 0.0}, {"nodule_count": 0}, {"longest_diameter_mm": -3.0}])
def test_a_nodule_without_extent_is_refused(wrong):
    with pytest.raises(ValueError, match="positive"):
        brock_2b(replace(KNOWN, **wrong))


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({"longest_diameter_mm": 9.0}, {"longest_diameter_mm": 8.0}),
        ({"nodule_type": PART}, {"nodule_type": SOLID}),
        ({"nodule_type": SOLID}, {"nodule_type": NON}),
        ({"sex": Sex.FEMALE}, {"sex": Sex.MALE}),
        ({"nodule_count": 1}, {"nodule_count": 5}),
    ],
)
@pytest.mark.parametrize("model", [brock_2a, brock_2b])
def test_directions(model, worse, better):
    assert model(replace(KNOWN, **worse)).value > model(replace(KNOWN, **better)).value
