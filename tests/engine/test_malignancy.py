"""Malignancy of the weight-free tier: which Brock model, and what is never guessed."""

from dataclasses import replace

import pytest

from ai_engine.domain import (
    Axis,
    ClinicalContext,
    Descriptors,
    Laterality,
    Lobe,
    Location,
    Measurements,
    NoduleType,
    Sex,
    Zone,
)
from ai_engine.malignancy import in_upper_lobe, score

AXIS = Axis((0, 0, 0), (0, 0, 20), 20.0)
MEASURED = Measurements(0, AXIS, replace(AXIS, length_mm=10.0), 15.0, 21.0, 1500.0, 20.0, 30.0, -100.0, 90.0)
PERSON = ClinicalContext(60, Sex.MALE, family_history_of_lung_cancer=False, emphysema=False)
UPPER = Location(Laterality.RIGHT, Zone.UPPER, Lobe.RIGHT_UPPER)
SOLID = Descriptors(NoduleType.SOLID)


def test_2b_where_spiculation_is_known_else_2a():
    (with_it,) = score(MEASURED, replace(SOLID, spiculated=True), UPPER, 1, PERSON)
    (without,) = score(MEASURED, SOLID, UPPER, 1, PERSON)
    # the sixth vector of ai.md 4.1: the longest diameter, 20 mm, not the mean of 15
    assert (with_it.name, with_it.value) == ("Brock 2b", pytest.approx(0.386657, abs=5e-7))
    assert (without.name, without.value) == ("Brock 2a", pytest.approx(0.276148, abs=5e-7))


def test_without_a_record_the_missing_inputs_are_named():
    (found,) = score(MEASURED, SOLID, Location(Laterality.LEFT, Zone.UPPER), 3, ClinicalContext())
    assert found.value is None
    assert set(found.missing) == {"age_years", "sex", "family_history_of_lung_cancer", "emphysema", "upper_lobe"}
    assert found.inputs == {"longest_diameter_mm": 20.0, "nodule_type": NoduleType.SOLID, "nodule_count": 3}


@pytest.mark.parametrize("lobe", list(Lobe))
def test_a_lobe_decides(lobe):
    location = Location(Laterality.LEFT, Zone.LOWER, lobe)
    assert in_upper_lobe(location, ("top", "bottom")) is (lobe in (Lobe.LEFT_UPPER, Lobe.RIGHT_UPPER))


@pytest.mark.parametrize("side", list(Laterality))
@pytest.mark.parametrize("zone", list(Zone))
def test_a_zone_is_not_a_lobe_except_low_on_the_right(side, zone):
    low_right = (side, zone) == (Laterality.RIGHT, Zone.LOWER)
    assert in_upper_lobe(Location(side, zone)) is (False if low_right else None)
    assert in_upper_lobe(Location(side, zone), ("bottom",)) is None
