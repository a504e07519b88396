"""What an answer to a question says: code, number, text or date in, statements of the record out.

One reading for an OBX and a FHIR Observation. What cannot be read says nothing.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType

from hl7_emr.codes import CIGARETTES_PER_PACK, STANDARD_CODES, Vocabulary
from hl7_emr.domain import AlcoholUse, Code, Item, PartialDate, SmokingStatus, Trust

__all__ = ["Answer", "Value", "read", "with_bmi"]

Value = float | bool | str | PartialDate

# Of units that are seen, how many of ours one is; an empty unit is taken for ours.
_UNITS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "pack_years": dict.fromkeys(
            ("{packyears}", "{pack-years}", "{pack-year}", "{packyear}", "1", "a", "{pack}.a"), 1
        ),
        "cigarettes_per_day": dict.fromkeys(
            ("/d", "1/d", "/day", "{cigarettes}/d", "{cigarette}/d", "{cigs}/d", "{packs}/d", "{pack}/d", "1"), 1
        ),
        "smoking_duration_years": {"a": 1, "a_j": 1, "mo": 1 / 12, "wk": 7 / 365.25, "d": 1 / 365.25, "1": 1},
        "alcohol_drinks_per_day": dict.fromkeys(("/d", "1/d", "{drinks}/d", "{drink}/d", "{#}/d", "1"), 1),
        "bmi": {"kg/m2": 1, "kg/m^2": 1, "kg/m²": 1},
        "height_m": {"m": 1, "cm": 0.01, "mm": 0.001, "[in_i]": 0.0254, "[in_us]": 0.0254},
        "weight_kg": {"kg": 1, "g": 0.001, "[lb_av]": 0.45359237, "lb": 0.45359237},
        "education": {"1": 1},
    }
)
# Whole texts only: "never a day without smoking" contains "never".
_SMOKING_TEXTS: Mapping[str, SmokingStatus] = MappingProxyType(
    {
        "never": SmokingStatus.NEVER,
        "never smoker": SmokingStatus.NEVER,
        "never smoked": SmokingStatus.NEVER,
        "never smoked tobacco": SmokingStatus.NEVER,
        "lifetime non-smoker": SmokingStatus.NEVER,
        "former": SmokingStatus.FORMER,
        "former smoker": SmokingStatus.FORMER,
        "ex-smoker": SmokingStatus.FORMER,
        "ex smoker": SmokingStatus.FORMER,
        "quit": SmokingStatus.FORMER,
        "current": SmokingStatus.CURRENT,
        "current smoker": SmokingStatus.CURRENT,
        "current every day smoker": SmokingStatus.CURRENT,
        "current some day smoker": SmokingStatus.CURRENT,
        "smoker": SmokingStatus.CURRENT,
        "smokes tobacco daily": SmokingStatus.CURRENT,
        "non-smoker": SmokingStatus.NON_SMOKER,
        "nonsmoker": SmokingStatus.NON_SMOKER,
        "non smoker": SmokingStatus.NON_SMOKER,
    }
)
# Levels of PLCOm2012 (Tammemägi 2013): less than high school ... postgraduate.
_EDUCATION_TEXTS: Mapping[str, int] = MappingProxyType(
    {
        "less than high school": 1,
        "high school graduate": 2,
        "post high school training": 3,
        "some college": 4,
        "college graduate": 5,
        "postgraduate": 6,
    }
)
_EXPOSURES = ("asbestos",)


@dataclass(frozen=True)
class Answer:
    """What was answered, in whatever form: OBX-5; ``Observation.value[x]``.

    Attributes
    ----------
    codes : tuple of Code
        All codings of the answer.
    number : float or None
        With ``unit`` (UCUM, as it came) and ``comparator`` (``>``, ``<`` ...: the number is a bound).
    yes : bool or None
        FHIR ``valueBoolean``.
    """

    codes: tuple[Code, ...] = ()
    number: float | None = None
    unit: str = ""
    comparator: str = ""
    text: str = ""
    day: PartialDate | None = None
    yes: bool | None = None


def read(
    questions: Iterable[Code], answer: Answer, vocabulary: Vocabulary = STANDARD_CODES
) -> Iterator[tuple[str, Value, Trust, Code | None]]:
    """Yield what an answer says: field of the record, value, trust, and the code that it was read from.

    Parameters
    ----------
    questions : iterable of Code
        All codings of one question; a diagnosis is a question too, answered by yes or no.
    """
    questions = list(questions)
    for question in questions:
        if name := vocabulary.question(question):
            yield from _answered(name, question, answer, vocabulary)
            return
    truth = vocabulary.truth(answer.codes) if answer.yes is None else answer.yes
    for question in questions:
        for name, value in vocabulary.condition(question):
            if truth is True:
                yield name, value, Trust.CODED, question
            elif truth is False and value is True:
                yield name, False, Trust.CODED, question
        if vocabulary.is_hazard(question) and answer.text.strip().lower() in _EXPOSURES:
            yield "occupational_exposure", answer.text.strip().lower(), Trust.TEXT, question


def with_bmi(items: Iterable[Item], studied_on: date | None = None) -> list[Item]:
    """Leave out height and weight; where no body mass index is stated, the latest of both before the study make one."""
    items = list(items)
    rest = [item for item in items if item.name not in ("height_m", "weight_kg")]
    height, weight = (_latest(items, name, studied_on) for name in ("height_m", "weight_kg"))
    if height is None or weight is None or any(item.name == "bmi" for item in rest):
        return rest
    metres, kilograms = float(str(height.value)), float(str(weight.value))
    if metres <= 0:
        return rest
    source = f"{weight.source} and {height.source}"
    return [*rest, replace(weight, name="bmi", value=round(kilograms / metres**2, 1), source=source, code=None)]


def _latest(items: list[Item], name: str, studied_on: date | None) -> Item | None:
    latest_day = (studied_on or date.max).isoformat()
    dated = [item for item in items if item.name == name and item.on and item.on.isoformat() <= latest_day]
    return max(dated, key=lambda item: str(item.on), default=None)


def _answered(
    name: str, question: Code, answer: Answer, vocabulary: Vocabulary
) -> Iterator[tuple[str, Value, Trust, Code | None]]:
    if name == "smoking_status":
        yield from _smoking_status(answer, vocabulary)
    elif name == "alcohol":
        yield from _alcohol(answer, vocabulary)
    elif name == "quit_date":
        if answer.day:
            yield name, answer.day, Trust.CODED, question
    elif name == "education":
        yield from _education(question, answer)
    else:
        yield from _number(name, question, answer, packs=vocabulary.counts_packs(question))


def _smoking_status(answer: Answer, vocabulary: Vocabulary) -> Iterator[tuple[str, Value, Trust, Code | None]]:
    said = [(code, status) for code in answer.codes if (status := vocabulary.smoking_status(code))]
    for code, status in said:
        yield "smoking_status", status, _trust(vocabulary.meant(code)), code
    text = " ".join(answer.text.lower().replace(",", " ").split()).rstrip(".")
    if not answer.codes and text in _SMOKING_TEXTS:
        yield "smoking_status", _SMOKING_TEXTS[text], Trust.TEXT, None


def _alcohol(answer: Answer, vocabulary: Vocabulary) -> Iterator[tuple[str, Value, Trust, Code | None]]:
    for code in answer.codes:
        if use := vocabulary.alcohol_use(code):
            yield "alcohol", use, _trust(vocabulary.meant(code)), code
    if not answer.codes and answer.text.strip().lower() in tuple(AlcoholUse):
        yield "alcohol", AlcoholUse(answer.text.strip().lower()), Trust.TEXT, None


def _trust(meant: tuple[str, str]) -> Trust:
    return Trust.ANSWER if meant[0] == "LN" else Trust.CODED


def _education(question: Code, answer: Answer) -> Iterator[tuple[str, Value, Trust, Code | None]]:
    texts = [answer.text, *(code.display for code in answer.codes)]
    levels = {_EDUCATION_TEXTS[text.strip().lower()] for text in texts if text.strip().lower() in _EDUCATION_TEXTS}
    for level in sorted(levels):
        yield "education", float(level), Trust.TEXT, question


def _number(
    name: str, question: Code, answer: Answer, *, packs: bool
) -> Iterator[tuple[str, Value, Trust, Code | None]]:
    number, trust = answer.number, Trust.CODED
    if number is None and re.fullmatch(r"\s*\d{1,6}([.]\d+)?\s*", answer.text):
        number, trust = float(answer.text), Trust.TEXT
    factor = _UNITS.get(name, {}).get(answer.unit.strip().lower()) if answer.unit.strip() else 1.0
    if number is None or factor is None or not math.isfinite(number):
        return
    if answer.comparator.strip() not in ("", "="):
        # "more than 30 pack-years" is no number, yet says that the patient smoked
        if name in ("pack_years", "cigarettes_per_day", "smoking_duration_years") and answer.comparator.startswith(">"):
            yield "smoking_status", SmokingStatus.EVER, Trust.DIAGNOSIS, question
        return
    yield name, number * factor * (CIGARETTES_PER_PACK if packs else 1), trust, question
