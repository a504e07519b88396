"""The record of the patient of the images, from a server that may mix people up."""

from dataclasses import replace
from datetime import date
from urllib.parse import parse_qs

import httpx2
import pytest

from hl7_emr.domain import Identifier, PartialDate, Patient, PersonName
from hl7_emr.errors import FhirError, Unreachable
from hl7_emr.fhir.source import FhirSource
from hl7_emr.identity import Reason
from tests.support.fhir_bundles import BASE, client, searchset

STUDIED = date(2021, 5, 4)
SYSTEM = "urn:oid:1.2.276.0.76.3.1.1"
ASKED = Patient(
    (Identifier("00123", namespace="HOSP"),), (PersonName("MUELLER", ("HANS",)),), PartialDate(1950, 3, 9), "M"
)
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"versionId": "5"},
    "identifier": [{"system": SYSTEM, "value": "00123"}],
    "name": [{"family": "Müller", "given": ["Hans"]}],
    "birthDate": "1950-03-09",
    "gender": "male",
}


def smoking(identifier, code, subject="Patient/p1"):
    coding = {"system": "http://snomed.info/sct", "code": code}
    return {
        "resourceType": "Observation",
        "id": identifier,
        "status": "final",
        "subject": {"reference": subject},
        "effectiveDateTime": "2020-01-02",
        "code": {"coding": [{"system": "http://loinc.org", "code": "72166-2"}]},
        "valueCodeableConcept": {"coding": [coding]},
    }


class Server:
    """Answers each search with the rows of its type, whatever the parameters; a status instead of rows fails."""

    def __init__(self, *rows, **statuses):
        self.rows, self.statuses, self.asked = rows, statuses, []

    def __call__(self, request):
        self.asked.append(request)
        kind, _, identifier = request.url.path.removeprefix("/r4/").partition("/")
        if status := self.statuses.get(kind):
            return httpx2.Response(status, json={"resourceType": "OperationOutcome", "issue": []})
        rows = [each for each in self.rows if each["resourceType"] == kind]
        if identifier:
            found = [each for each in rows if each["id"] == identifier]
            return httpx2.Response(200, json=found[0]) if found else httpx2.Response(404)
        return httpx2.Response(200, json=searchset(*(each for each in rows if not each.get("unlisted"))))


def lookup(server, asked=ASKED, authorities=None):
    source = FhirSource(client(server), {"HOSP": SYSTEM} if authorities is None else authorities)
    return source.lookup(asked, STUDIED)


def test_the_record_of_the_patient_is_read():
    found = lookup(Server(PATIENT, smoking("1", "8517006")))

    assert found.record.smoking_status.value == "former"
    assert found.record.smoking_status.source == "Observation/1"
    assert (found.record.age_years.value, found.record.age_years.source) == (71, "Patient/p1/_history/5")
    assert found.notes == ()


def test_rows_of_other_patients_are_left_out_and_counted():
    others = ("Patient/p2", "Patient/p11", "https://evil.example/Patient/p1", "urn:uuid:p1", "#p1", "Group/p1", "")
    rows = [smoking(str(number), "266919005", subject) for number, subject in enumerate(others)]

    found = lookup(Server(PATIENT, *rows, {**smoking("n", "266919005"), "subject": None}))

    assert found.record.smoking_status is None
    assert found.notes == ("8 rows of Observation left out: of other patients",) * 2


@pytest.mark.parametrize("subject", ["Patient/p1", f"{BASE}/Patient/p1", "Patient/p1/_history/5"])
def test_the_patient_is_known_by_each_literal_reference(subject):
    assert lookup(Server(PATIENT, smoking("1", "8517006", subject))).record.smoking_status.value == "former"


def test_a_row_found_by_two_searches_counts_once():
    found = lookup(Server(PATIENT, smoking("1", "8517006")))

    assert len([item for item in found.record.items() if item.name == "smoking_status"]) == 1


def test_the_identifier_is_asked_for_with_its_system():
    server = Server(PATIENT)

    lookup(server)

    assert parse_qs(server.asked[0].url.query.decode()) == {"identifier": [f"{SYSTEM}|00123"]}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (replace(ASKED, identifiers=()), Reason.NO_PATIENT_ID),
        (replace(ASKED, identifiers=(Identifier("00123"),)), Reason.ISSUER_UNKNOWN),
        (replace(ASKED, identifiers=(Identifier("00123", namespace="WARD"),)), Reason.ISSUER_UNKNOWN),
    ],
)
def test_nobody_is_asked_where_the_issuer_is_not_known(asked, reason):
    server = Server(PATIENT)

    assert lookup(server, asked).decision.reason is reason
    assert server.asked == []


def test_nothing_of_a_patient_who_was_not_confirmed_is_read():
    server = Server({**PATIENT, "birthDate": "1951-03-09"}, smoking("1", "8517006"))

    found = lookup(server)

    assert (found.record, found.decision.reason) == (None, Reason.BIRTH_DATE_DIFFERS)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "patient",
    [
        {**PATIENT, "identifier": [{"system": SYSTEM, "value": "00123", "use": "old"}]},
        {**PATIENT, "identifier": [{"system": SYSTEM, "value": "00123", "period": {"end": "2019-01-01"}}]},
        {**PATIENT, "identifier": [{"value": "00123"}]},
        {**PATIENT, "identifier": [{"system": SYSTEM + ".1", "value": "00123"}]},
        {**PATIENT, "identifier": None},
    ],
)
def test_the_identifier_is_looked_for_in_the_answer(patient):
    assert lookup(Server(patient)).decision.reason is Reason.IDENTIFIER_NOT_CONFIRMED


def replaced_by(reference):
    return {**PATIENT, "active": False, "link": [{"type": "replaced-by", "other": {"reference": reference}}]}


def test_a_record_that_was_replaced_leads_to_its_successor():
    survivor = {**PATIENT, "id": "p2", "identifier": [{"system": SYSTEM, "value": "777"}], "unlisted": True}

    found = lookup(Server(replaced_by("Patient/p2"), survivor, smoking("1", "8517006", "Patient/p2")))

    assert found.record.smoking_status.value == "former"


def test_a_successor_that_is_gone_or_inactive_is_not_used():
    inactive = {**PATIENT, "id": "p2", "active": False, "unlisted": True}

    assert lookup(Server(replaced_by("Patient/p2"))).decision.reason is Reason.REPLACEMENT_UNRESOLVED
    assert lookup(Server(replaced_by("Patient/p2"), inactive)).decision.reason is Reason.INACTIVE


def test_a_successor_on_another_server_is_an_error():
    with pytest.raises(FhirError):
        lookup(Server(replaced_by("https://evil.example/Patient/p2")))


def test_patients_that_replace_each_other_end():
    second = {**replaced_by("Patient/p1"), "id": "p2", "unlisted": True}

    assert lookup(Server(replaced_by("Patient/p2"), second)).decision.reason is Reason.REPLACEMENT_UNRESOLVED


@pytest.mark.parametrize("status", [400, 403, 404, 405, 422, 501])
def test_what_the_server_does_not_show_is_noted_and_the_rest_is_read(status):
    found = lookup(Server(PATIENT, smoking("1", "8517006"), FamilyMemberHistory=status))

    assert found.record.smoking_status.value == "former"
    assert found.notes == (f"FamilyMemberHistory not shown by the server ({status})",)


@pytest.mark.parametrize("status", [401, 410, 500, 504])
def test_a_failed_read_is_no_record_without_statements(status):
    with pytest.raises(FhirError):
        lookup(Server(PATIENT, smoking("1", "8517006"), Condition=status))


def test_the_whole_lookup_has_one_budget():
    now = iter(range(0, 1000, 2))

    with pytest.raises(Unreachable):
        FhirSource(client(Server(PATIENT), clock=lambda: next(now)), {"HOSP": SYSTEM}).lookup(ASKED, STUDIED)


def test_a_patient_marked_as_test_data_makes_a_synthetic_record():
    tagged = {**PATIENT, "meta": {"tag": [{"code": "HTEST"}]}}

    assert lookup(Server(tagged)).record.synthetic
    assert not lookup(Server(PATIENT)).record.synthetic


def test_the_sex_at_birth_that_differs_leaves_the_sex_unknown():
    extension = {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex", "valueCode": "F"}

    found = lookup(Server({**PATIENT, "extension": [extension]}))

    assert found.record.sex is None
