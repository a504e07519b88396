"""From single statements to one record: what is used, what is refused, and what contradicts itself.

The same rules hold for HL7 v2 and FHIR. A statement is an ``Item`` whose name is a field of ``PatientRecord``; which
statements belong to the patient is settled before (``identity.py``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from types import MappingProxyType
from typing import Any

from hl7_emr.answers import with_bmi
from hl7_emr.domain import Conflict, Item, PartialDate, Patient, PatientRecord, SmokingStatus, Status, Trust

__all__ = ["compile_record"]

_BEST_FIRST = tuple(Trust)
_SMOKING_FIELDS = ("smoking_status", "pack_years", "cigarettes_per_day", "smoking_duration_years", "quit_date")
# What a living person can have; beyond it is a mistake of unit or of typing.
_PLAUSIBLE: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "age_years": (0, 120),
        "pack_years": (0, 300),
        "cigarettes_per_day": (0, 120),
        "smoking_duration_years": (0, 100),
        "alcohol_drinks_per_day": (0, 60),
        "bmi": (12, 70),
        "education": (1, 6),
    }
)
_YOUNGEST_TO_QUIT_YEARS = 8
_FIELDS = tuple(
    name
    for name in PatientRecord.__dataclass_fields__
    if name not in ("ever_smoker", "prior_imaging", "conflicts", "patient", "synthetic")
)


def compile_record(
    items: Iterable[Item],
    patient: Patient | None = None,
    patient_source: str = "",
    studied_on: date | None = None,
    *,
    synthetic: bool = False,
) -> PatientRecord:
    """Weigh all statements about one patient.

    Parameters
    ----------
    items : iterable of Item
        In the order in which they were said: of two with the same key the later one replaces the earlier.
    patient : Patient or None
        Age and sex come from here.
    patient_source : str
        The source of these two.
    studied_on : date or None
        What was recorded later is left out. None: nothing is, and there is no age.

    Returns
    -------
    PatientRecord
        Of each field the statement of the best trust, of these the latest. Where that cannot be told (no date, or only
        the same year) and they differ, the field is None and a ``Conflict`` holds them.
    """
    said = with_bmi((item for item in _latest_words(items) if not _after(item, studied_on)), studied_on)
    if patient is not None:
        said += _demographics(patient, patient_source, studied_on)
    usable, conflicts = _split_by_plausibility(said, patient, studied_on)
    values: dict[str, Any] = {}
    for name in _FIELDS:
        about = [item for item in usable if item.name == name]
        values[name], conflict = _choose(name, about)
        conflicts += [conflict] if conflict else []
    conflicts += _smoking(values, usable, conflicts)
    prior = tuple(dict.fromkeys(item for item in usable if _is_earlier(item, studied_on)))
    return PatientRecord(
        **values, prior_imaging=prior, conflicts=tuple(conflicts), patient=patient, synthetic=synthetic
    )


def _latest_words(items: Iterable[Item]) -> list[Item]:
    """Follow corrections and withdrawals: the last statement under each key and name counts."""
    kept: dict[object, Item] = {}
    for number, item in enumerate(items):
        where = (item.key, item.name) if item.key else number
        kept.pop(where, None)
        kept[where] = item
    return [item for item in kept.values() if item.status is not Status.WITHDRAWN]


def _after(item: Item, studied_on: date | None) -> bool:
    if studied_on is None or item.on is None:
        return False
    return _first(item.on) > studied_on


def _is_earlier(item: Item, studied_on: date | None) -> bool:
    """Tell whether a fact is an earlier examination; one of the same day is the study itself, or our report on it."""
    if item.name != "prior_imaging":
        return False
    return studied_on is None or item.on is None or _first(item.on) < studied_on


def _first(on: date | PartialDate) -> date:
    return on.first if isinstance(on, PartialDate) else on


def _last(on: date | PartialDate) -> date:
    return on.last if isinstance(on, PartialDate) else on


def _demographics(patient: Patient, source: str, studied_on: date | None) -> list[Item]:
    found = [Item("sex", patient.sex, source)] if patient.sex in ("F", "M") else []
    if patient.birth_date is not None and studied_on is not None:
        found.append(Item("age_years", _age_years(patient.birth_date, studied_on), source, studied_on))
    return found


def _age_years(born: PartialDate, studied_on: date) -> float:
    """Whole years; of a birth date without month or day, the middle of what it can be."""
    middle = date.fromordinal((born.first.toordinal() + born.last.toordinal()) // 2)
    return float(studied_on.year - middle.year - ((studied_on.month, studied_on.day) < (middle.month, middle.day)))


def _split_by_plausibility(
    items: Sequence[Item], patient: Patient | None, studied_on: date | None
) -> tuple[list[Item], list[Conflict]]:
    usable, conflicts = [], []
    for item in items:
        wrong = _implausible(item, patient.birth_date if patient else None, studied_on)
        if wrong:
            conflicts.append(Conflict(item.name, wrong, (item,)))
        else:
            usable.append(item)
    return usable, conflicts


def _implausible(item: Item, born: PartialDate | None, studied_on: date | None) -> str:
    """Say why a value cannot be true; empty: it can."""
    if item.name == "quit_date" and isinstance(item.value, PartialDate):
        too_early = born is not None and item.value.last.year < born.year + _YOUNGEST_TO_QUIT_YEARS
        too_late = studied_on is not None and item.value.first > studied_on
        if too_early or too_late:
            return f"{item.value} as the date of quitting is " + ("before the age of 8" if too_early else "to come")
    limits = _PLAUSIBLE.get(item.name)
    if limits and isinstance(item.value, int | float) and not limits[0] <= item.value <= limits[1]:
        return f"{item.value:g} is not plausible"
    return ""


def _choose(name: str, items: Sequence[Item]) -> tuple[Item | None, Conflict | None]:
    """Return the statement that counts, or why none does."""
    if not items:
        return None, None
    best = min((item.trust for item in items), key=_BEST_FIRST.index)
    rivals = [item for item in items if item.trust is best]
    winner = max(rivals, key=lambda item: _last(item.on) if item.on else date.min)
    doubtful = [item for item in rivals if item.value != winner.value and not _surely_before(item, winner)]
    if not doubtful:
        return winner, None
    both = (winner, *doubtful)
    said = " and ".join(dict.fromkeys(item.words for item in both))
    return None, Conflict(name, f"{said}, and which is the later one is not known", both)


def _surely_before(item: Item, other: Item) -> bool:
    return item.on is not None and other.on is not None and _last(item.on) < _first(other.on)


def _smoking(values: dict[str, Any], items: Sequence[Item], conflicts: Sequence[Conflict]) -> list[Conflict]:
    """Hold the statements on smoking against each other, and draw from them whether the patient ever smoked."""
    status: Item | None = values["smoking_status"]
    values["ever_smoker"] = None
    found: list[Conflict] = []
    evidence = [item for item in items if _says_ever(item)]
    if status is not None and status.value == SmokingStatus.NEVER:
        if against := [item for item in evidence if _contradicts_never(item, status)]:
            words = ", ".join(dict.fromkeys(_evidence_in_words(item) for item in against))
            found.append(Conflict("smoking", f"never smoked, but {words}", (status, *against)))
            values |= dict.fromkeys(_SMOKING_FIELDS)
            return found
        evidence = [item for item in evidence if not _is_hearsay(item, status)]
        if not evidence:
            values["ever_smoker"] = replace(status, name="ever_smoker", value=False)
            return found
        # smoking begun after "never" was said: what was said before holds no more
        values["smoking_status"] = status = None
    if any(conflict.name == "smoking_status" and _mentions_never(conflict) for conflict in conflicts):
        return found
    if evidence:
        strongest = status if status is not None and _says_ever(status) else evidence[0]
        values["ever_smoker"] = replace(strongest, name="ever_smoker", value=True)
    if status is not None and status.value == SmokingStatus.CURRENT and values["quit_date"] is not None:
        stopped = values["quit_date"]
        if status.on is None or stopped.value.first <= _last(status.on):
            words = f"smokes, but the date of quitting is {stopped.value}"
            found.append(Conflict("quit_date", words, (status, stopped)))
            values["quit_date"] = None
    return found


def _says_ever(item: Item) -> bool:
    if item.name == "smoking_status":
        return item.value in (SmokingStatus.CURRENT, SmokingStatus.FORMER, SmokingStatus.EVER)
    if item.name in ("pack_years", "cigarettes_per_day", "smoking_duration_years"):
        return isinstance(item.value, int | float) and item.value > 0
    return item.name == "quit_date"


def _contradicts_never(item: Item, never: Item) -> bool:
    """Smoking begun after "never" was said contradicts nothing; a text does not outweigh a code."""
    return not _is_hearsay(item, never) and not _surely_before(never, item)


def _is_hearsay(item: Item, never: Item) -> bool:
    return item.trust is Trust.TEXT and never.trust is not Trust.TEXT


def _evidence_in_words(item: Item) -> str:
    return f"{item.name.replace('_', ' ')} {item.words}"


def _mentions_never(conflict: Conflict) -> bool:
    return any(item.value == SmokingStatus.NEVER for item in conflict.items)
