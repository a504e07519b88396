"""The report as a transaction: valid for others, the same numbers, and nothing that a second sending would double."""

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hl7_emr.domain import Code, Observation
from hl7_emr.fhir.results import transaction
from tests.support import fhir_judges
from tests.support.hl7_peers import needs_peers
from tests.support.imaging_reports import PATIENT, empty_report, finding, report

REPORTS = {
    "full": report(),
    "nothing found": empty_report(),
    "revised": report(revision=2),
    "synthetic": report(record=replace(report().record, synthetic=True)),
    "time without a zone": report(studied_at=datetime(2021, 5, 4, 11, 0)),
    "angle brackets": report(impression=('<script>"&"</script>',)),
}


def resources(bundle, kind):
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


@pytest.mark.foreign
@pytest.mark.slow
@needs_peers
def test_three_validators_of_others_find_no_fault(tmp_path):
    bundles = [transaction(each, "Patient/17") for each in REPORTS.values()]

    assert fhir_judges.fhirkit(bundles) == []
    assert fhir_judges.fhir_resources(bundles) == []
    assert fhir_judges.pyrofile(bundles, tmp_path) == []


FAULTS = {
    "Observation.status": ("Observation", {"status": "bogus"}),
    "DiagnosticReport.code": ("DiagnosticReport", {"code": None}),
    "probabilityDecimal": ("RiskAssessment", {"prediction": [{"probabilityDecimal": "many"}]}),
    "colour": ("ImagingStudy", {"colour": "red"}),
    "recorded": ("Provenance", {"recorded": "yesterday"}),
}


@pytest.mark.foreign
@pytest.mark.slow
@needs_peers
def test_the_validators_see_each_planted_fault(tmp_path):
    bundles = [_with_fault(*fault) for fault in FAULTS.values()]

    complaints = (
        fhir_judges.fhirkit(bundles),
        fhir_judges.fhir_resources(bundles),
        fhir_judges.pyrofile(bundles, tmp_path),
    )

    assert all(len(each) >= 3 for each in complaints)
    assert not [place for place in FAULTS if place not in str(complaints)]


def _with_fault(kind, change):
    bundle = copy.deepcopy(transaction(report(), "Patient/17"))
    faulty = resources(bundle, kind)[0]
    faulty.update(change)
    for name in [name for name, content in change.items() if content is None]:
        del faulty[name]
    return bundle


def test_the_same_report_gives_the_same_bytes():
    assert json.dumps(transaction(report(), "Patient/17")) == json.dumps(transaction(report(), "Patient/17"))


def test_every_entry_can_be_sent_twice():
    for entry in transaction(report(), "Patient/17")["entry"]:
        request, kind = entry["request"], entry["resource"]["resourceType"]
        if kind == "ImagingStudy":
            assert request["ifNoneExist"] == "identifier=urn:dicom:uid%7Curn:oid:1.2.840.113619.2.55.3.1"
        else:
            parameter = "_tag" if kind in ("RiskAssessment", "Provenance") else "identifier"
            assert request["url"].startswith(f"{kind}?{parameter}=urn%3Aoid%3A2.25.")


def test_a_revision_takes_the_place_of_the_one_before_and_has_a_provenance_of_its_own():
    first, second = (transaction(report(revision=number), "Patient/17")["entry"] for number in (1, 2))

    changed = [
        a["resource"]["resourceType"] for a, b in zip(first, second, strict=True) if a["request"] != b["request"]
    ]
    assert changed == ["Provenance"]


def test_references_lead_to_entries_or_to_the_patient_and_the_record():
    bundle = transaction(report(), "Patient/17")
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    outside = {"Patient/17", "Condition/17/_history/2", "Observation/8/_history/1", "Observation/9/_history/1"}

    assert len(urls) == len(bundle["entry"])
    assert set(_references(bundle)) - urls == outside


def _references(value):
    if isinstance(value, dict):
        yield from ([value["reference"]] if isinstance(value.get("reference"), str) else [])
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _references(each)


def test_everything_is_preliminary_and_about_the_patient():
    bundle = transaction(report(revision=3), "Patient/17")

    for kind in ("Observation", "RiskAssessment", "DiagnosticReport"):
        assert {each["status"] for each in resources(bundle, kind)} == {"preliminary"}
        assert {each["subject"]["reference"] for each in resources(bundle, kind)} == {"Patient/17"}


def test_the_numbers_are_those_of_the_report():
    bundle = transaction(report(), "Patient/17")
    nodule = resources(bundle, "Observation")[0]

    quantities = {
        each["code"]["text"]: (each["valueQuantity"]["value"], each["valueQuantity"]["code"])
        for each in nodule["component"]
        if "valueQuantity" in each
    }
    assert quantities == {"Long axis": (14.25, "mm"), "Volume": (1204.5, "mm3")}
    risks = [each["prediction"][0]["probabilityDecimal"] for each in resources(bundle, "RiskAssessment")]
    assert risks == [0.3125, 0.0625]


def test_a_risk_names_each_item_that_it_rests_on():
    with_record, image_alone = resources(transaction(report(), "Patient/17"), "RiskAssessment")

    assert [each.get("display") for each in with_record["basis"][2:]] == [
        "age years: 71, 2021-05-04 (from DICOM Patient's Age (0010,1010))",
        "emphysema: yes, 2019-05",
        "family history of lung cancer: yes, 2020 (from HL7 v2 message 4711, DG1 1)",
    ]
    assert with_record["basis"][3]["reference"] == "Condition/17/_history/2"
    assert len(image_alone["basis"]) == 2
    assert "from the images alone" in image_alone["prediction"][0]["rationale"]


def test_the_conclusion_tells_used_missing_and_contradictory_items():
    (diagnostic,) = resources(transaction(report(), "Patient/17"), "DiagnosticReport")

    for line in (
        "Two nodules < 30 mm & solid.",
        "Patient record: identity confirmed.",
        "Used: emphysema: yes, 2019-05 (from Condition/17/_history/2)",
        "Missing: sex",
        "Not used, contradictory: smoking: never smoked, but pack years 30",
    ):
        assert line in diagnostic["conclusion"].splitlines()
    assert "&lt; 30 mm &amp; solid" in diagnostic["text"]["div"]


def test_a_record_that_was_not_used_is_said():
    (diagnostic,) = resources(transaction(empty_report(), "Patient/17"), "DiagnosticReport")

    assert "record not used: identity not confirmed" in diagnostic["conclusion"]
    assert "result" not in diagnostic


def test_no_name_and_no_identifier_of_the_patient_is_repeated():
    text = json.dumps(transaction(report(), "Patient/17"), ensure_ascii=False)

    assert PATIENT.names[0].family not in text
    assert "00123" not in text


def test_results_with_a_synthetic_record_are_marked_as_test_data():
    bundle = transaction(REPORTS["synthetic"], "Patient/17")

    for entry in bundle["entry"]:
        assert "HTEST" in [tag["code"] for tag in entry["resource"]["meta"]["tag"]]


def test_a_value_with_an_unusual_identifier_stays_one_parameter():
    odd = finding(1, tracking_uid="2.25.1")
    bundle = transaction(report(identifier="A&B|C#1", findings=(odd,)), "Patient/17")

    urls = [entry["request"]["url"] for entry in bundle["entry"] if entry["request"]["method"] == "PUT"]
    assert not [url for url in urls if "&" in url or "|" in url or "#" in url]


def test_a_code_value_and_a_text_keep_their_kind():
    said = (Observation(Code("99EMERALD", "x"), "text"), Observation(Code("LN", "1-8"), Code("SCT", "7")))
    nodule = resources(transaction(report(findings=(finding(1, observations=said),)), "Patient/17"), "Observation")[0]

    text, code = nodule["component"][1:]
    assert text["valueString"] == "text"
    assert code["valueCodeableConcept"]["coding"] == [{"system": "http://snomed.info/sct", "code": "7"}]


def test_times_have_a_zone_or_are_days():
    (diagnostic,) = resources(transaction(REPORTS["time without a zone"], "Patient/17"), "DiagnosticReport")

    assert diagnostic["effectiveDateTime"] == "2021-05-04"
    assert diagnostic["issued"] == datetime(2021, 5, 4, 12, 30, 15, tzinfo=UTC).isoformat()
