"""Draws a record for a nodule. ``label_free`` is the one to use: it takes no label, so it can tell none.

``emeralds`` reads the malignancy rating, as the paper did, for reproducing it and nothing else: what a score gains from
such a record is a property of this generator. One seed and one Patient ID always give the same patient; the order in
which patients are drawn does not matter.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from hl7_emr.answers import Answer
from hl7_emr.domain import Code, PartialDate, Patient, PersonName
from hl7_emr.synth.assumptions import (
    ASSUMPTIONS,
    CIGARETTES_PER_DAY,
    EDUCATION_WEIGHTS,
    OLDEST_YEARS,
    YOUNGEST_YEARS,
)
from hl7_emr.synth.domain import Attributes, Statement, SyntheticPatient

_YEAR = 365.25
_STATUS = Code("LN", "72166-2", "Tobacco smoking status")
_PACK_YEARS = Code("LN", "8664-5", "Cigarettes smoked total (pack per year) - Reported")
_PER_DAY = Code("LN", "64218-1", "How many cigarettes do you smoke per day now")
_DURATION = Code("LN", "88029-4", "Tobacco use duration")
_QUIT = Code("LN", "74010-0", "Date quit tobacco smoking")
_ALCOHOL = Code("LN", "11331-6", "History of alcohol use")
_BMI = Code("LN", "39156-5", "Body mass index")
_EDUCATION = Code("LN", "82589-3", "Highest level of education")
_COPD = Code("SCT", "13645005", "Chronic obstructive lung disease")
_EMPHYSEMA = Code("SCT", "87433001", "Pulmonary emphysema")
_CANCER = Code("SCT", "266987004", "History of malignant neoplasm")
_FAMILY = Code("SCT", "429011007", "Family history of malignant neoplasm of lung")
_FAMILY_DIAGNOSIS = Code("I10C", "Z80.1", "Family history of malignant neoplasm of trachea, bronchus and lung")
_ASBESTOS = Code("I10C", "Z77.090", "Contact with and (suspected) exposure to asbestos")
_EXTRATHORACIC = {
    "F": Code("I10C", "Z85.3", "Personal history of malignant neoplasm of breast"),
    "M": Code("I10C", "Z85.46", "Personal history of malignant neoplasm of prostate"),
}
_NEVER = Code("SCT", "266919005", "Never smoked tobacco")
_FORMER = Code("SCT", "8517006", "Ex-smoker")
_CURRENT = Code("SCT", "449868002", "Smokes tobacco daily")
_UNKNOWN = Code("SCT", "266927001", "Tobacco smoking consumption unknown")
_ALCOHOL_ANSWERS = {
    "none": Code("SCT", "105542008", "Current non-drinker of alcohol"),
    "some": Code("SCT", "28127009", "Social drinker"),
    "heavy": Code("SCT", "86933000", "Heavy drinker"),
}
_NO = Code("SCT", "373067005", "No")
_EDUCATION_WORDS = (
    "less than high school",
    "high school graduate",
    "post high school training",
    "some college",
    "college graduate",
    "postgraduate",
)


def label_free(attributes: Attributes, seed: int) -> SyntheticPatient:
    """Draw a record from the nodule's features alone."""
    return _draw(attributes, 0.0, "label-free", seed)


def emeralds(attributes: Attributes, malignancy: float, seed: int, strength: float = 1.0) -> SyntheticPatient:
    """Draw a record that knows the label, as the paper did.

    Parameters
    ----------
    malignancy : float
        As LIDC-IDRI rates it, 1 to 5.
    strength : float
        Of what is told of it; 1 in the paper's manner.
    """
    return _draw(attributes, strength * (malignancy - 3) / 2, "emeralds", seed)


@dataclass(frozen=True)
class _Habits:
    """Smoking as it truly was; what the record says of it is drawn apart."""

    ever: bool
    current: bool = False
    per_day: int = 0
    years: float = 0.0
    quit_years: float = 0.0

    @property
    def pack_years(self) -> float:
        return round(self.per_day / 20 * self.years, 1)


def _draw(attributes: Attributes, m: float, mode: str, seed: int) -> SyntheticPatient:
    dice = _Dice(Random(f"{seed}/{attributes.identifier.value}"))
    patient, age = _person(attributes, m, dice)
    habits = _habits(attributes, age, dice)
    contradictory = dice.chance(ASSUMPTIONS.contradiction.value)
    statements = [
        *_smoking(habits, attributes.studied_on, contradictory, dice),
        *_alcohol(attributes, m, habits, dice),
        *_body(attributes.studied_on, dice),
        *_lungs(attributes.studied_on, habits, dice),
        *_history(patient.sex, attributes.studied_on, dice),
    ]
    return SyntheticPatient(patient, attributes.studied_on, tuple(statements), mode, seed, contradictory)


@dataclass(frozen=True)
class _Dice:
    random: Random

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def logit(self, x: float) -> bool:
        return self.chance(1 / (1 + math.exp(-x)))

    def day_before(self, studied_on: date, most_days: int) -> date:
        return studied_on - timedelta(days=self.random.randint(1, most_days))


def _scaled(rating: float) -> float:
    return (min(max(rating, 1.0), 5.0) - 1) / 4


def _person(attributes: Attributes, m: float, dice: _Dice) -> tuple[Patient, float]:
    """Draw age and sex always, so that the rest does not depend on what the images say of them."""
    a, s = ASSUMPTIONS, _scaled(attributes.spiculation)
    middle = a.age_years.value + a.age_per_spiculation_years.value * s + a.age_per_malignancy_years.value * m
    age = min(max(dice.random.gauss(middle, a.age_sd_years.value), YOUNGEST_YEARS), OLDEST_YEARS)
    male = dice.logit(
        a.logit_male.value
        + a.logit_male_per_lobulation.value * (_scaled(attributes.lobulation) - 0.25)
        + a.logit_male_per_texture.value * (_scaled(attributes.texture) - 0.5)
    )
    age = attributes.age_years if attributes.age_years is not None else age
    if attributes.birth_date is not None:
        age = (attributes.studied_on - attributes.birth_date.first).days / _YEAR
    born = attributes.birth_date or PartialDate.of(attributes.studied_on - timedelta(days=round(age * _YEAR)))
    sex = attributes.sex if attributes.sex in ("F", "M") else "M" if male else "F"
    names = attributes.names or (PersonName("Synthetic", (f"Patient {attributes.identifier.value}",)),)
    return Patient((attributes.identifier,), names, born, sex), age


def _habits(attributes: Attributes, age: float, dice: _Dice) -> _Habits:
    a, s = ASSUMPTIONS, _scaled(attributes.spiculation)
    x = a.logit_ever.value + a.logit_ever_per_spiculation.value * s
    x += a.logit_ever_per_texture.value * (_scaled(attributes.texture) - 0.5)
    x += a.logit_ever_per_calcification.value * (attributes.calcification < 6)
    if not dice.logit(x):
        return _Habits(ever=False)
    current = dice.chance(a.current_of_ever.value)
    most = max(age - 16, 1.0)
    years = dice.random.gauss(
        a.smoking_years.value + a.smoking_years_per_spiculation.value * s, a.smoking_years_sd.value
    )
    years = round(min(max(years, 1.0), most), 1)
    stopped = min(dice.random.expovariate(1 / a.quit_mean_years.value), max(most - years, 0.0))
    per_day = dice.random.choice(CIGARETTES_PER_DAY)
    return _Habits(True, current, per_day, years, 0.0 if current else round(stopped, 2))


def _coded(code: Code) -> Answer:
    return Answer(codes=(code,))


def _number(value: float, unit: str) -> Answer:
    return Answer(number=value, unit=unit)


def _smoking(habits: _Habits, studied_on: date, contradictory: bool, dice: _Dice) -> Iterator[Statement]:
    a, on = ASSUMPTIONS, dice.day_before(studied_on, 365)
    truth = _NEVER if not habits.ever else _CURRENT if habits.current else _FORMER
    known = not dice.chance(a.missing_status.value)
    counted = not dice.chance(a.missing_pack_years.value)
    yield Statement(_STATUS, on, _coded(truth if known or contradictory else _UNKNOWN))
    if habits.ever and counted:
        yield Statement(_PACK_YEARS, on, _number(habits.pack_years, "{PackYears}"))
        yield Statement(_DURATION, on, _number(habits.years, "a"))
        yield Statement(_PER_DAY, on, _number(float(habits.per_day), "{cigarettes}/d"))
    if habits.ever and not habits.current and counted:
        stopped = studied_on - timedelta(days=round(habits.quit_years * _YEAR) + 366)
        yield Statement(_QUIT, on, Answer(day=PartialDate(stopped.year, stopped.month)))
    if contradictory:
        yield from _contradiction(truth, on)


def _contradiction(truth: Code, on: date) -> Iterator[Statement]:
    """Say the opposite on the same day, as copied records do."""
    if truth is _NEVER:
        yield Statement(_PACK_YEARS, on, _number(30.0, "{PackYears}"))
    else:
        yield Statement(_STATUS, on, _coded(_NEVER))


def _alcohol(attributes: Attributes, m: float, habits: _Habits, dice: _Dice) -> Iterator[Statement]:
    a = ASSUMPTIONS
    x = a.logit_drinker.value + a.logit_drinker_per_malignancy.value * m
    x += a.logit_drinker_per_calcification.value * (attributes.calcification < 6)
    drinks = dice.logit(x + a.logit_drinker_if_ever.value * habits.ever)
    heavy = dice.chance((a.heavy_of_drinkers_if_ever if habits.ever else a.heavy_of_drinkers).value)
    use = "none" if not drinks else "heavy" if heavy else "some"
    yield Statement(_ALCOHOL, dice.day_before(attributes.studied_on, 365), _coded(_ALCOHOL_ANSWERS[use]))


def _body(studied_on: date, dice: _Dice) -> Iterator[Statement]:
    a, on = ASSUMPTIONS, dice.day_before(studied_on, 365)
    bmi = round(min(max(dice.random.gauss(a.bmi.value, a.bmi_sd.value), 14.0), 60.0), 1)
    (level,) = dice.random.choices(_EDUCATION_WORDS, EDUCATION_WEIGHTS)
    if not dice.chance(a.missing_bmi.value):
        yield Statement(_BMI, on, _number(bmi, "kg/m2"))
    if not dice.chance(a.missing_education.value):
        yield Statement(_EDUCATION, on, Answer(text=level))


def _lungs(studied_on: date, habits: _Habits, dice: _Dice) -> Iterator[Statement]:
    a, on = ASSUMPTIONS, dice.day_before(studied_on, 3000)
    p_copd = a.copd_ever.value + a.copd_per_pack_year.value * habits.pack_years if habits.ever else a.copd_never.value
    p_emphysema = a.emphysema_never.value
    if habits.ever:
        p_emphysema = a.emphysema_ever.value + a.emphysema_per_pack_year.value * habits.pack_years
    for code, p in ((_COPD, p_copd), (_EMPHYSEMA, p_emphysema)):
        yield Statement(code, on, None if dice.chance(p) else _coded(_NO))


def _history(sex: str, studied_on: date, dice: _Dice) -> Iterator[Statement]:
    a, on = ASSUMPTIONS, dice.day_before(studied_on, 3000)
    family, asked = dice.chance(a.family_history.value), not dice.chance(a.missing_family_history.value)
    if asked:
        yield Statement(_FAMILY_DIAGNOSIS, on) if family else Statement(_FAMILY, on, _coded(_NO))
    cancer = dice.chance(a.own_cancer.value)
    yield Statement(_EXTRATHORACIC[sex], on) if cancer else Statement(_CANCER, on, _coded(_NO))
    exposed = dice.chance((a.asbestos_male if sex == "M" else a.asbestos_female).value)
    if exposed and not dice.chance(a.missing_asbestos.value):
        yield Statement(_ASBESTOS, on)
