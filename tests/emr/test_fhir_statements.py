"""What resources say: the shared bundles against their index, and each trap of real servers."""

import copy
from datetime import date

import pytest

from hl7_emr import facts
from hl7_emr.domain import PartialDate, PatientRecord, Status
from hl7_emr.fhir.patient import patient
from hl7_emr.fhir.statements import statements
from tests.support.data import needs_data
from tests.support.fhir_bundles import index, resources

STUDIED = date(2021, 5, 4)
LOINC, SNOMED, ICD10 = "http://loinc.org", "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"
_STATUS_WORDS = {"Never smoker": "never", "Former smoker": "former", "Current every day smoker": "current"}


@needs_data
@pytest.mark.parametrize("entry", index(), ids=lambda entry: entry["file"].split("_")[0])
def test_each_shared_bundle_says_what_its_index_says(entry):
    found = resources(entry["file"])
    person = patient(next(each for each in found if each["resourceType"] == "Patient"))

    said = record(*found, patient=person, studied_on=None)

    ((on, status),) = entry["last_smoking_status"]
    conditions = " ".join(entry["lung_related_conditions"])
    assert (said.smoking_status.value, str(said.smoking_status.on)) == (_STATUS_WORDS[status], on)
    assert (said.emphysema is not None) == ("emphysema" in conditions)
    assert (said.copd is not None) == ("obstructive bronchitis" in conditions)
    assert (said.own_cancer is not None) == ("lung cancer (disorder)" in conditions)
    assert (person.sex, str(person.birth_date)) == (entry["gender"][0].upper(), entry["birth"])
    assert person.names
    assert not said.conflicts


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("entry", index(), ids=lambda entry: entry["file"].split("_")[0])
def test_a_damaged_element_raises_nothing_and_adds_nothing(entry):
    """Each element of each row in turn is of the wrong type."""
    for resource in resources(entry["file"]):
        whole = {(item.name, item.value) for item in statements([resource], STUDIED)}
        for name in resource:
            for wrong in (None, 7, "x", [None], [7], {"x": []}, {"coding": [None]}, True):
                damaged = {**resource, name: wrong}
                patient(damaged)
                assert {(item.name, item.value) for item in statements([damaged], STUDIED)} <= whole


def record(*said, studied_on=STUDIED, **more) -> PatientRecord:
    return facts.compile_record(statements(said, studied_on), more.get("patient"), "Patient/1", studied_on)


def observation(code, value, *, system=LOINC, on="2020-01-02", status="final", identifier="1", **more):
    return {
        "resourceType": "Observation",
        "id": identifier,
        "meta": {"versionId": "3"},
        "status": status,
        "code": {"coding": [{"system": system, "code": code}]},
        **({"effectiveDateTime": on} if on else {}),
        **value,
        **more,
    }


def quantity(value, unit="", **more):
    return {"valueQuantity": {"value": value, "unit": unit, **more}}


def concept(code, system=SNOMED):
    return {"valueCodeableConcept": {"coding": [{"system": system, "code": code}]}}


def condition(code, system=SNOMED, verification="confirmed", clinical="active", **more):
    return {
        "resourceType": "Condition",
        "id": f"c{code}",
        "code": {"coding": [{"system": system, "code": code}]},
        "verificationStatus": {"coding": [{"code": verification}]},
        "clinicalStatus": {"coding": [{"code": clinical}]},
        **more,
    }


def relative(relationship, code="363358000", system=SNOMED, **more):
    return {
        "resourceType": "FamilyMemberHistory",
        "id": "f1",
        "status": "completed",
        "relationship": {"coding": [{"code": relationship}]},
        "condition": [{"code": {"coding": [{"system": system, "code": code}]}}],
        **more,
    }


def ct(description, started="2019-02-03", modality="CT", **more):
    series = [{"uid": "1.2", "modality": {"code": modality}}]
    return {
        "resourceType": "ImagingStudy",
        "id": "i",
        "started": started,
        "series": series,
        "description": description,
    } | more


SAID = {
    "smoking by SNOMED CT": (observation("72166-2", concept("8517006")), "smoking_status", "former"),
    "smoking by LOINC answer": (observation("72166-2", concept("LA18978-9", LOINC)), "smoking_status", "never"),
    "smoking, heavy": (observation("72166-2", concept("428071000124103")), "smoking_status", "current"),
    "smoking, non-smoker is not never": (observation("72166-2", concept("8392000")), "smoking_status", "non-smoker"),
    "smoking, unknown if ever": (observation("72166-2", concept("266927001")), "smoking_status", None),
    "smoking by text": (observation("72166-2", {"valueString": "Former smoker"}), "smoking_status", "former"),
    "smoking by a text that contains never": (
        observation("72166-2", {"valueString": "never a day without smoking"}),
        "smoking_status",
        None,
    ),
    "smoking, a code of no system": (observation("72166-2", concept("8517006", "")), "smoking_status", None),
    "smoking, entered in error": (
        observation("72166-2", concept("8517006"), status="entered-in-error"),
        "smoking_status",
        None,
    ),
    "smoking, cancelled": (observation("72166-2", concept("8517006"), status="cancelled"), "smoking_status", None),
    "smoking, status of a later edition": (
        observation("72166-2", concept("8517006"), status="bogus"),
        "smoking_status",
        None,
    ),
    "smoking, after the study": (observation("72166-2", concept("8517006"), on="2021-05-05"), "smoking_status", None),
    "smoking, on the day of the study": (
        observation("72166-2", concept("8517006"), on="2021-05-04T23:00:00Z"),
        "smoking_status",
        "former",
    ),
    "smoking, absent": (
        observation("72166-2", {"dataAbsentReason": {"coding": [{"code": "asked-unknown"}]}}),
        "smoking_status",
        None,
    ),
    "pack-years by LOINC": (observation("8664-5", quantity(30, "{PackYears}")), "pack_years", 30),
    "pack-years by SNOMED CT": (observation("782516008", quantity(22.5, "1"), system=SNOMED), "pack_years", 22.5),
    "pack-years as an integer": (observation("8664-5", {"valueInteger": 12}), "pack_years", 12),
    "pack-years as text": (observation("8664-5", {"valueString": "40"}), "pack_years", 40),
    "pack-years in words": (observation("8664-5", {"valueString": "about 40"}), "pack_years", None),
    "pack-years beyond a life": (observation("8664-5", quantity(900)), "pack_years", None),
    "pack-years below nothing": (observation("8664-5", quantity(-3)), "pack_years", None),
    "pack-years as true": (observation("8664-5", {"valueInteger": True}), "pack_years", None),
    "pack-years, a bound is no value": (observation("8664-5", quantity(30, comparator=">")), "pack_years", None),
    "pack-years, a bound says that there were some": (
        observation("8664-5", quantity(30, comparator=">")),
        "ever_smoker",
        True,
    ),
    "pack-years, another unit": (observation("8664-5", quantity(30, "kg")), "pack_years", None),
    "cigarettes a day": (observation("64218-1", quantity(15, "{cigarettes}/d")), "cigarettes_per_day", 15),
    "packs a day": (observation("8663-7", quantity(1.5, "{packs}/d")), "cigarettes_per_day", 30),
    "duration": (observation("88029-4", quantity(18, "a")), "smoking_duration_years", 18),
    "duration in months": (observation("88029-4", quantity(30, "mo")), "smoking_duration_years", 2.5),
    "quit date": (observation("74010-0", {"valueDateTime": "2011-06"}), "quit_date", PartialDate(2011, 6)),
    "quit date to come": (observation("74010-0", {"valueDateTime": "2031-06"}), "quit_date", None),
    "alcohol": (observation("11331-6", concept("228276006")), "alcohol", "occasional"),
    "drinks a day": (observation("74013-4", quantity(2, "{drinks}/d")), "alcohol_drinks_per_day", 2),
    "body mass index": (observation("39156-5", quantity(27.4, "kg/m2")), "bmi", 27.4),
    "body mass index of a typing error": (observation("39156-5", quantity(274, "kg/m2")), "bmi", None),
    "education": (observation("82589-3", {"valueCodeableConcept": {"text": "Some college"}}), "education", 4),
    "COPD by SNOMED CT": (condition("13645005"), "copd", True),
    "COPD by ICD-10-CM": (condition("J44.9", ICD10), "copd", True),
    "COPD of another coding system": (condition("J44.9", "http://example.org/local"), "copd", None),
    "emphysema": (condition("87433001"), "emphysema", True),
    "interstitial emphysema": (condition("J98.2", ICD10), "emphysema", None),
    "emphysema refuted": (condition("87433001", verification="refuted"), "emphysema", None),
    "emphysema entered in error": (condition("87433001", verification="entered-in-error"), "emphysema", None),
    "emphysema suspected": (condition("87433001", verification="provisional"), "emphysema", None),
    "emphysema by R3's plain status": (
        condition("87433001") | {"verificationStatus": "refuted"},
        "emphysema",
        None,
    ),
    "emphysema resolved": (condition("87433001", clinical="resolved"), "emphysema", None),
    "emphysema that ended after the study": (
        condition("87433001", clinical="resolved", abatementDateTime="2022-01-01"),
        "emphysema",
        True,
    ),
    "emphysema that began after the study": (condition("87433001", onsetDateTime="2021-06"), "emphysema", None),
    "emphysema, asked and denied": (
        observation("87433001", {"valueBoolean": False}, system=SNOMED),
        "emphysema",
        False,
    ),
    "emphysema, asked and affirmed": (
        observation("87433001", concept("373066001"), system=SNOMED),
        "emphysema",
        True,
    ),
    "cancer that is over": (condition("254637007", clinical="resolved"), "own_cancer", True),
    "cancer in the history": (condition("Z85.118", ICD10), "own_cancer", True),
    "cancer outside the chest": (condition("C50.9", ICD10), "extrathoracic_cancer", True),
    "lung cancer is inside the chest": (condition("C34.1", ICD10), "extrathoracic_cancer", None),
    "metastases name no first site": (condition("C79.31", ICD10), "extrathoracic_cancer", None),
    "cancer in situ": (condition("D05.1", ICD10), "own_cancer", None),
    "suspected lung cancer is no cancer": (condition("162573006"), "own_cancer", None),
    "nicotine dependence": (condition("F17.211", ICD10), "ever_smoker", True),
    "personal history of nicotine dependence": (condition("Z87.891", ICD10, clinical="resolved"), "ever_smoker", True),
    "a father's lung cancer": (relative("FTH"), "family_history_of_lung_cancer", True),
    "a sister's lung cancer, by ICD-10-CM": (relative("NSIS", "C34.9", ICD10), "family_history_of_lung_cancer", True),
    "a mother's lung cancer, by SNOMED CT": (relative("72705000"), "family_history_of_lung_cancer", True),
    "an uncle's lung cancer": (relative("UNCLE"), "family_history_of_lung_cancer", None),
    "a stepfather's lung cancer": (relative("STPFTH"), "family_history_of_lung_cancer", None),
    "a father's heart": (relative("FTH", "53741008"), "family_history_of_lung_cancer", None),
    "a father's lung cancer, entered in error": (
        relative("FTH", status="entered-in-error"),
        "family_history_of_lung_cancer",
        None,
    ),
    "family history as a diagnosis": (condition("Z80.1", ICD10), "family_history_of_lung_cancer", True),
    "asbestos by diagnosis": (condition("Z77.090", ICD10), "occupational_exposure", "asbestos"),
}


@pytest.mark.parametrize("case", SAID)
def test_a_resource_says(case):
    resource, name, value = SAID[case]

    item = getattr(record(resource), name)

    assert (item.value if item else None) == value


def test_asbestos_is_read_from_the_hazards_of_an_occupation():
    hazard = {"code": {"coding": [{"system": LOINC, "code": "87729-0"}]}, "valueCodeableConcept": {"text": "Asbestos"}}

    said = record(observation("11341-5", {"valueString": "Welder"}, component=[hazard]))

    assert said.occupational_exposure.value == "asbestos"


def test_components_are_read_as_observations_are():
    components = [
        {"code": {"coding": [{"system": LOINC, "code": "8664-5"}]}, **quantity(20)},
        {"code": {"coding": [{"system": LOINC, "code": "88029-4"}]}, **quantity(25, "a")},
    ]

    said = record(observation("88028-6", {}, component=components))

    assert (said.pack_years.value, said.smoking_duration_years.value) == (20, 25)


def test_body_mass_index_is_made_of_the_latest_height_and_weight_before_the_study():
    said = record(
        observation("8302-2", quantity(70, code="[in_i]", system="http://unitsofmeasure.org"), identifier="h"),
        observation("29463-7", quantity(90, "kg"), on="2015-01-01", identifier="w1"),
        observation("29463-7", quantity(80, "kg"), on="2021-01-01", identifier="w2"),
        observation("29463-7", quantity(60, "kg"), on="2022-01-01", identifier="w3"),
    )

    assert said.bmi.value == pytest.approx(80 / (70 * 0.0254) ** 2, abs=0.05)
    assert said.bmi.source == "Observation/w2/_history/3 and Observation/h/_history/3"


def test_a_value_says_where_it_was_read():
    item = record(observation("8664-5", quantity(30), on="2020-01", status="amended")).pack_years

    assert (item.source, item.on, item.status) == ("Observation/1/_history/3", PartialDate(2020, 1), Status.CORRECTED)
    assert item.code.code == "8664-5"


def test_never_smoker_with_pack_years_is_a_conflict_and_neither_is_used():
    never = observation("72166-2", concept("266919005"), identifier="a")

    said = record(never, observation("8664-5", quantity(30), identifier="b"))

    assert (said.smoking_status, said.pack_years, said.ever_smoker) == (None, None, None)
    assert [conflict.name for conflict in said.conflicts] == ["smoking"]


def test_smoking_begun_after_never_was_said_is_smoking():
    never = observation("72166-2", concept("266919005"), identifier="a", on="2010-01-01")

    for later in (
        observation("8664-5", quantity(10), identifier="b"),
        condition("F17.210", ICD10, onsetDateTime="2020"),
    ):
        said = record(never, later)

        assert said.ever_smoker.value is True
        assert (said.smoking_status, said.conflicts) == (None, ())


def test_a_text_does_not_outweigh_the_code_never():
    never = observation("72166-2", concept("266919005"), identifier="a", on="2010-01-01")

    said = record(never, observation("8664-5", {"valueString": "10"}, identifier="b"))

    assert (said.ever_smoker.value, said.smoking_status.value) == (False, "never")


def test_two_codings_of_one_answer_that_disagree_are_a_conflict():
    codings = [{"system": SNOMED, "code": "8517006"}, {"system": SNOMED, "code": "449868002"}]

    said = record(observation("72166-2", {"valueCodeableConcept": {"coding": codings}}))

    assert said.smoking_status is None
    assert len(said.conflicts) == 1


@pytest.mark.parametrize(
    ("study", "told"),
    [
        (ct("CT Chest without contrast"), ["CT: CT Chest without contrast"]),
        (ct("", series=[{"modality": {"code": "CT"}, "bodySite": {"code": "51185008"}}]), ["CT: chest"]),
        (ct("CT Head"), []),
        (ct("Chest X-ray", modality="DX"), []),
        (ct("CT Chest", started="2021-05-04"), []),
        (ct("CT Chest", started="2022-01-01"), []),
        (ct("CT Chest", status="entered-in-error"), []),
    ],
)
def test_prior_imaging_is_an_earlier_ct_of_the_chest(study, told):
    assert [item.value for item in record(copy.deepcopy(study)).prior_imaging] == told
