"""Resources of one patient -> statements of the record.

Whose resources they are, and what the statements amount to, is settled elsewhere (``source.py``, ``facts.py``). What
was entered in error, refuted, or only suspected says nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

from hl7_emr import answers, codes
from hl7_emr.codes import STANDARD_CODES, Vocabulary
from hl7_emr.domain import Code, Item, PartialDate, Status, Trust
from hl7_emr.fhir.elements import (
    Json,
    as_date,
    as_list,
    as_number,
    as_object,
    as_text,
    codes_of,
    codings,
    reference_of,
)

_STATUSES: Mapping[str, Status] = MappingProxyType(
    {
        "final": Status.FINAL,
        "amended": Status.CORRECTED,
        "corrected": Status.CORRECTED,
        "preliminary": Status.PRELIMINARY,
    }
)
# Condition.verificationStatus that does not stand for the condition
_UNPROVEN = frozenset({"refuted", "entered-in-error", "unconfirmed", "provisional", "differential"})
_OVER = frozenset({"resolved", "inactive", "remission"})
# What has been, is part of a history for ever; of other conditions only what is still there counts.
_FOR_EVER = frozenset({"own_cancer", "extrathoracic_cancer", "smoking_status", "family_history_of_lung_cancer"})
# Parents, brothers, sisters and children by blood, not by marriage, adoption or fostering.
_FIRST_DEGREE = frozenset(
    {
        *("PRN", "NPRN", "FTH", "NFTH", "MTH", "NMTH"),  # HL7 v3 RoleCode
        *("SIB", "NSIB", "BRO", "NBRO", "SIS", "NSIS", "TWIN", "TWINBRO", "TWINSIS", "FTWIN", "ITWIN"),
        *("CHILD", "NCHILD", "SON", "NSON", "SONC", "DAU", "NDAU", "DAUC"),
        *("66839005", "72705000", "70924004", "27733009"),  # SNOMED CT: father, mother, brother, sister
        *("67822003", "65616008", "66089001"),  # child, son, daughter
    }
)
_CHEST_WORDS = ("chest", "thorax", "lung")
_CHEST_SITES = frozenset({"51185008", "39607008", "CHEST", "LUNG", "THORAX"})


def statements(
    resources: Iterable[Json], studied_on: date | None = None, vocabulary: Vocabulary = STANDARD_CODES
) -> list[Item]:
    """Return what resources of one patient say, in their order."""
    said = (item for resource in resources for item in _read(resource, studied_on, vocabulary))
    return answers.with_bmi(said, studied_on)


def _read(resource: Json, studied_on: date | None, vocabulary: Vocabulary) -> Iterator[Item]:
    if resource.get("status") == "entered-in-error":
        return
    readers: Mapping[str, Callable[[Json, date | None, Vocabulary], Iterator[Item]]] = {
        "Observation": _observation,
        "Condition": _condition,
        "FamilyMemberHistory": _family_member,
        "ImagingStudy": _imaging_study,
        "DiagnosticReport": _diagnostic_report,
    }
    if reader := readers.get(as_text(resource.get("resourceType"))):
        yield from reader(resource, studied_on, vocabulary)


def _observation(resource: Json, _studied_on: date | None, vocabulary: Vocabulary) -> Iterator[Item]:
    """Read value and components alike: USCDI 7 puts smoking into components."""
    status = _STATUSES.get(as_text(resource.get("status")))
    if status is None:
        return
    source, on = reference_of(resource), _observed_on(resource)
    for number, element in enumerate([resource, *map(as_object, as_list(resource.get("component")))]):
        said = answers.read(codings(element.get("code")), _answer(element), vocabulary)
        for rank, (name, value, trust, code) in enumerate(said):
            yield Item(name, value, source, on, code, status, trust, key=_key(resource, f"{number}.{rank}"))


def _key(resource: Json, part: str) -> str:
    """Name a statement of a resource; one without an id, as before it is stored, is like no other."""
    return f"{reference_of(resource)}#{part}" if as_text(resource.get("id")) else ""


def _answer(element: Json) -> answers.Answer:
    concept, quantity = as_object(element.get("valueCodeableConcept")), as_object(element.get("valueQuantity"))
    number = as_number(quantity.get("value"))
    if number is None:
        number = as_number(element.get("valueInteger"))
    yes = element.get("valueBoolean")
    # UCUM code first; the unit in words where there is no code
    unit = as_text(quantity.get("code")) if "ucum" in _system(quantity) else ""
    return answers.Answer(
        codes=tuple(codings(concept)),
        number=number,
        unit=unit or as_text(quantity.get("unit")),
        comparator=as_text(quantity.get("comparator")),
        text=as_text(element.get("valueString")) or as_text(concept.get("text")),
        day=as_date(element.get("valueDateTime")) or as_date(element.get("valueDate")),
        yes=yes if isinstance(yes, bool) else None,
    )


def _system(quantity: Json) -> str:
    return "ucum" if codes.system(as_text(quantity.get("system"))) == "UCUM" else ""


def _observed_on(resource: Json) -> PartialDate | None:
    period = as_object(resource.get("effectivePeriod"))
    candidates = (
        resource.get("effectiveDateTime"),
        resource.get("effectiveInstant"),
        period.get("end"),
        period.get("start"),
        resource.get("issued"),
    )
    return _first_date(candidates)


def _first_date(values: Iterable[Any]) -> PartialDate | None:
    return next((day for value in values if (day := as_date(value))), None)


def _condition(resource: Json, studied_on: date | None, vocabulary: Vocabulary) -> Iterator[Item]:
    if codes_of(resource.get("verificationStatus")) & _UNPROVEN:
        return
    over = _is_over(resource, studied_on)
    period = as_object(resource.get("onsetPeriod"))
    on = _first_date((resource.get("onsetDateTime"), period.get("start"), resource.get("recordedDate")))
    source = reference_of(resource)
    for code in codings(resource.get("code")):
        for name, value in vocabulary.condition(code):
            if not over or name in _FOR_EVER:
                trust = Trust.DIAGNOSIS if name == "smoking_status" else Trust.CODED
                yield Item(name, value, source, on, code, trust=trust, key=_key(resource, code.code))


def _is_over(resource: Json, studied_on: date | None) -> bool:
    """Tell whether a condition had ended at the time of the study, as far as is said."""
    ended = as_date(resource.get("abatementDateTime")) or as_date(as_object(resource.get("abatementPeriod")).get("end"))
    if ended and studied_on:
        return ended.first <= studied_on
    abated = any(name.startswith("abatement") and resource[name] not in (None, False) for name in resource)
    return abated or bool(codes_of(resource.get("clinicalStatus")) & _OVER)


def _family_member(resource: Json, _studied_on: date | None, vocabulary: Vocabulary) -> Iterator[Item]:
    if resource.get("status") == "health-unknown" or not codes_of(resource.get("relationship")) & _FIRST_DEGREE:
        return
    source, on = reference_of(resource), as_date(resource.get("date"))
    for condition in as_list(resource.get("condition")):
        for code in codings(as_object(condition).get("code")):
            if vocabulary.is_lung_cancer(code):
                yield Item("family_history_of_lung_cancer", True, source, on, code, key=_key(resource, code.code))


def _imaging_study(resource: Json, studied_on: date | None, vocabulary: Vocabulary) -> Iterator[Item]:
    """Read a CT of the chest before the study; the study itself is in the list too."""
    series = [as_object(each) for each in as_list(resource.get("series"))]
    modalities = {as_text(as_object(each.get("modality")).get("code")) for each in series}
    modalities |= {as_text(as_object(each).get("code")) for each in as_list(resource.get("modality"))}
    sites = {as_text(as_object(each.get("bodySite")).get("code")) for each in series}
    procedures = [code for concept in as_list(resource.get("procedureCode")) for code in codings(concept)]
    words = [as_text(resource.get("description")), *(code.display for code in procedures)]
    of_chest = sites & _CHEST_SITES or _is_chest(words) or any(map(vocabulary.is_chest_ct, procedures))
    on = as_date(resource.get("started"))
    if resource.get("status") != "cancelled" and "CT" in modalities and of_chest:
        yield from _prior(f"CT: {next(filter(None, words), 'chest')}", resource, on, studied_on)


def _diagnostic_report(resource: Json, studied_on: date | None, vocabulary: Vocabulary) -> Iterator[Item]:
    found = [code for code in codings(resource.get("code")) if vocabulary.is_chest_ct(code)]
    if found and as_text(resource.get("status")) in (*_STATUSES, "appended"):
        words = next(filter(None, (code.display for code in found)), "CT of the chest")
        yield from _prior(f"Report: {words}", resource, _observed_on(resource), studied_on, found[0])


def _prior(
    words: str, resource: Json, on: PartialDate | None, studied_on: date | None, code: Code | None = None
) -> Iterator[Item]:
    if on and (studied_on is None or on.last < studied_on):
        yield Item("prior_imaging", words[:120], reference_of(resource), on, code)


def _is_chest(words: Iterable[str]) -> bool:
    return any(part in text.lower() for text in words for part in _CHEST_WORDS)
