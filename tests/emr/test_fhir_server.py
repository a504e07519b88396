"""A real FHIR server of others, with SMART Backend Services on: records are read from it, results are written to it."""

import json
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import date

import pytest

from hl7_emr.domain import Identifier, PartialDate, Patient, PersonName
from hl7_emr.errors import FhirError, Unreachable
from hl7_emr.fhir.client import Endpoint, FhirClient
from hl7_emr.fhir.http import Http, Tls
from hl7_emr.fhir.results import transaction
from hl7_emr.fhir.smart import BackendServices
from hl7_emr.fhir.source import FhirSource
from hl7_emr.identity import Reason
from tests.support.certificates import Authority
from tests.support.data import needs_data
from tests.support.fhir_bundles import index, synthea
from tests.support.fhir_server import FhirServer
from tests.support.hl7_peers import needs_peers
from tests.support.imaging_reports import report

pytestmark = [pytest.mark.foreign, pytest.mark.slow, needs_peers]

SYSTEM = "urn:oid:1.2.276.0.76.3.1.1"
AUTHORITIES = {"HOSP": SYSTEM}
# the server holds a transaction for a request about every type
WRITE = "system/*.cud"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Run a server with the shared patients, under Patient IDs as CT has them: their number in the index."""
    with FhirServer(tmp_path_factory.mktemp("fhir")) as running:
        for number, entry in enumerate(index()):
            running.load(_renamed(json.loads((synthea() / entry["file"]).read_text()), number))
        yield running


def _renamed(bundle, number):
    bundle["entry"][0]["resource"]["identifier"].append({"system": SYSTEM, "value": f"CT-{number:03}"})
    return bundle


@pytest.fixture
def connect():
    """Return what makes a client of a server; its connections are closed at the end."""
    with ExitStack() as open_connections:

        def connected(server, tls=None, **smart):
            http = open_connections.enter_context(closing(Http(tls)))
            authorization = BackendServices(server.base_url, replace(server.smart, **smart))
            return FhirClient(Endpoint(server.base_url), http, authorization)

        yield connected


def asked(number):
    """Return the patient as the images would name them."""
    person = json.loads((synthea() / index()[number]["file"]).read_text())["entry"][0]["resource"]
    name = PersonName(person["name"][0]["family"].upper(), tuple(person["name"][0]["given"]))
    born = PartialDate.parse(person["birthDate"])
    return Patient((Identifier(f"CT-{number:03}", namespace="HOSP"),), (name,), born, person["gender"][0].upper())


def studied(entry):
    """Return a day on which the patient was alive and the last smoking status known."""
    return date.fromisoformat(entry["last_smoking_status"][0][0])


@needs_data
@pytest.mark.parametrize("number", range(len(index())))
def test_each_shared_patient_is_read(connect, server, number):
    entry = index()[number]

    found = FhirSource(connect(server), AUTHORITIES).lookup(asked(number), studied(entry))

    conditions = " ".join(entry["lung_related_conditions"])
    words = {"never": "Never smoker", "former": "Former smoker", "current": "Current every day smoker"}
    assert words[found.record.smoking_status.value] == entry["last_smoking_status"][0][1]
    assert (found.record.emphysema is not None) == ("emphysema" in conditions)
    assert (found.record.own_cancer is not None) == ("lung cancer (disorder)" in conditions)
    assert found.record.smoking_status.source.startswith("Observation/")
    assert found.notes == ()


@needs_data
def test_another_patient_under_the_identifier_is_not_used(connect, server):
    stranger = replace(asked(0), identifiers=asked(1).identifiers)

    found = FhirSource(connect(server), AUTHORITIES).lookup(stranger, date(2021, 5, 4))

    assert (found.record, found.decision.reason) == (None, Reason.NAME_DIFFERS)


@needs_data
def test_relatives_of_other_patients_are_left_out(connect, server):
    """The server ignores ``patient`` in a search for FamilyMemberHistory."""
    relatives = [_relative(server, 0), _relative(server, 1)]
    server.load({"resourceType": "Bundle", "type": "transaction", "entry": relatives})

    found = FhirSource(connect(server), AUTHORITIES).lookup(asked(2), date(2021, 5, 4))

    assert found.record.family_history_of_lung_cancer is None
    assert found.notes == ("2 rows of FamilyMemberHistory left out: of other patients",)
    own = FhirSource(connect(server), AUTHORITIES).lookup(asked(0), date(2021, 5, 4))
    assert own.record.family_history_of_lung_cancer.value is True


def _relative(server, number):
    patient = server.get(f"Patient?identifier={SYSTEM}%7CCT-{number:03}")["entry"][0]["resource"]["id"]
    resource = {
        "resourceType": "FamilyMemberHistory",
        "status": "completed",
        "patient": {"reference": f"Patient/{patient}"},
        "relationship": {"coding": [{"code": "FTH"}]},
        "condition": [{"code": {"coding": [{"system": "http://snomed.info/sct", "code": "363358000"}]}}],
    }
    return {"resource": resource, "request": {"method": "POST", "url": "FamilyMemberHistory"}}


@needs_data
def test_a_report_is_written_and_read_back_with_the_same_numbers(connect, server):
    client = connect(server, scopes=WRITE)
    subject = server.get(f"Patient?identifier={SYSTEM}%7CCT-003")["entry"][0]["resource"]["id"]
    bundle = transaction(_self_contained(report()), f"Patient/{subject}")

    client.transaction(bundle, client.budget())

    risks = sorted(each["prediction"][0]["probabilityDecimal"] for each in _held(server, "RiskAssessment"))
    assert risks == [0.0625, 0.3125]
    (diagnostic,) = _held(server, f"DiagnosticReport?identifier={report().identifier}")
    assert len(diagnostic["result"]) == 3
    nodule = server.get(diagnostic["result"][0]["reference"])
    sizes = [each["valueQuantity"]["value"] for each in nodule["component"] if "valueQuantity" in each]
    assert sizes == [14.25, 1204.5]


@needs_data
def test_a_report_sent_twice_and_revised_is_there_once(connect, server):
    client = connect(server, scopes=WRITE)
    subject = server.get(f"Patient?identifier={SYSTEM}%7CCT-004")["entry"][0]["resource"]["id"]
    sent = _self_contained(report(identifier="2.25.4712", study_instance_uid="1.2.840.4712"))
    for revision in (1, 1, 2):
        client.transaction(transaction(replace(sent, revision=revision), f"Patient/{subject}"), client.budget())

    assert len(_held(server, f"ImagingStudy?subject=Patient/{subject}")) == 1
    assert len(_held(server, f"Observation?subject=Patient/{subject}&category=imaging")) == 3
    # this server cannot search risks by patient
    risks = [each for each in _held(server, "RiskAssessment") if subject in each["subject"]["reference"]]
    assert len(risks) == 2
    (diagnostic,) = _held(server, "DiagnosticReport?identifier=2.25.4712")
    targets = [each["target"][0]["reference"] for each in _held(server, "Provenance")]
    assert len([each for each in targets if diagnostic["id"] in each]) == 2


def _self_contained(sent):
    """Name the record's items in words: those resources are not on this server."""
    risks = tuple(replace(risk, items=()) for risk in sent.findings[0].risks)
    record = replace(sent.record, emphysema=None, bmi=None)
    return replace(sent, record=record, findings=(replace(sent.findings[0], risks=risks), sent.findings[1]))


def _held(server, search):
    found = [entry["resource"] for entry in server.get(search).get("entry", [])]
    return [each for each in found if each["resourceType"] != "OperationOutcome"]


@needs_data
def test_scopes_that_were_not_granted_are_refused(connect, server):
    client = connect(server, reads=("Patient",))

    with pytest.raises(FhirError) as caught:
        client.search("Condition", {"patient": "1"}, client.budget())

    assert caught.value.status == 403


def test_a_stranger_gets_no_token(tmp_path, connect, server):
    client = connect(server, private_key=FhirServer(tmp_path).smart.private_key)

    with pytest.raises(FhirError, match="no token"):
        client.search("Patient", {}, client.budget())


def test_a_token_that_was_revoked_is_replaced_once(connect, server):
    client = connect(server)
    question = ("Patient", {"identifier": f"{SYSTEM}|CT-000"})
    first = client.search(*question, client.budget())
    client._authorization._token = "revoked"  # as after a restart of the authorization server

    assert client.search(*question, client.budget()) == first


def test_https_with_a_private_authority(tmp_path, connect):
    certificate, key = Authority(tmp_path).issue("server")
    (tmp_path / "data").mkdir()
    with FhirServer(
        tmp_path / "data", certificate=certificate, key=key, authority=tmp_path / "authority.pem"
    ) as running:
        trusting, wary = connect(running, Tls(tmp_path / "authority.pem")), connect(running)
        assert trusting.search("Patient", {}, trusting.budget()) == []
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            wary.search("Patient", {}, wary.budget())
