"""A site's own codes: understood from both wires by what they mean, kept as they came, else refused."""

from datetime import date
from urllib.parse import parse_qs

import httpx2
import pytest

from hl7_emr.codes import CHEST_CT, QUESTIONS, Vocabulary
from hl7_emr.domain import Code, Identifier, Item, PartialDate, Patient, PersonName, Trust
from hl7_emr.errors import UnknownMeaning
from hl7_emr.fhir.source import FhirSource
from hl7_emr.fhir.statements import statements as fhir_statements
from hl7_emr.hl7v2.message import read
from hl7_emr.hl7v2.statements import statements as hl7_statements
from tests.support.fhir_bundles import client, searchset
from tests.support.hl7_messages import message, msh, obx, pid

URI, OID = "https://hospital.example/codes", "1.2.276.0.76.5.1"
MEANS = {
    "SMK": "LN 72166-2",
    "PY": "LN 8664-5",
    "PACKS": "LN 8663-7",
    "EX": "SCT 8517006",
    "NEVER": "LN LA18978-9",
    "C12": "SCT 13645005",
    "LUNGCA": "I10C C34.1",
    "J": "SCT 373066001",
    "CTTHX": "LN 24627-2",
}
SYSTEMS = ("99KIS", URI, OID, "")


def code(text: str) -> Code:
    system, _, value = text.partition(" ")
    return Code(system, value)


VOCABULARY = Vocabulary((Code(system, own), code(means)) for own, means in MEANS.items() for system in SYSTEMS)


def by_hl7(*segments: str, vocabulary: Vocabulary = VOCABULARY) -> list[Item]:
    return list(hl7_statements(read(message(msh("ORU^R01"), pid(), *segments)), vocabulary))


def by_fhir(resource: dict[str, object], vocabulary: Vocabulary = VOCABULARY) -> list[Item]:
    return fhir_statements([{"id": "1", "status": "final"} | resource], date(2026, 1, 1), vocabulary)


def observation(question: str, value: dict[str, object], system: str = URI) -> dict[str, object]:
    asked = {"coding": [{"system": system, "code": question, "display": "as the site says"}]}
    return {"resourceType": "Observation", "code": asked, "effectiveDateTime": "2025-12-01", **value}


def answered(answer: str, system: str = URI) -> dict[str, object]:
    return {"valueCodeableConcept": {"coding": [{"system": system, "code": answer}]}}


def said(items: list[Item]) -> list[tuple[object, ...]]:
    """Return name, value, trust and the code as it was received."""
    return [(each.name, each.value, each.trust, each.code and (each.code.system, each.code.code)) for each in items]


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("SMK", "EX", ("smoking_status", "former", Trust.CODED, "EX")),
        ("SMK", "NEVER", ("smoking_status", "never", Trust.ANSWER, "NEVER")),
        ("C12", "J", ("copd", True, Trust.CODED, "C12")),
    ],
)
def test_a_question_and_its_answer_read_the_same_from_both(
    question: str, answer: str, expected: tuple[object, ...]
) -> None:
    *same, own = expected

    for system in ("99KIS", "99kis", OID):
        hl7 = by_hl7(obx(f"{question}^as the site says^{system}", "CWE", f"{answer}^x^{system}"))
        assert said(hl7) == [(*same, (system, own))]
    for system in (URI, f"urn:oid:{OID}"):
        fhir = by_fhir(observation(question, answered(answer, system), system))
        assert said(fhir) == [(*same, (system, own))]


@pytest.mark.parametrize(
    ("question", "number", "expected"), [("PY", 30, ("pack_years", 30)), ("PACKS", 1.5, ("cigarettes_per_day", 30))]
)
def test_a_number_keeps_the_question_as_it_was_received(
    question: str, number: float, expected: tuple[str, float]
) -> None:
    hl7 = by_hl7(obx(f"{question}^local^99KIS", "NM", f"{number:g}"))
    fhir = by_fhir(observation(question, {"valueQuantity": {"value": number}}))

    assert said(hl7) == [(*expected, Trust.CODED, ("99KIS", question))]
    assert said(fhir) == [(*expected, Trust.CODED, (URI, question))]


def test_a_diagnosis_is_understood_from_both() -> None:
    hl7 = by_hl7("DG1|1||C12^COPD^99KIS||20240301")
    fhir = by_fhir({"resourceType": "Condition", "code": {"coding": [{"system": URI, "code": "C12"}]}})

    assert said(hl7) == [("copd", True, Trust.CODED, ("99KIS", "C12"))]
    assert said(fhir) == [("copd", True, Trust.CODED, (URI, "C12"))]


def test_lung_cancer_of_a_relative_and_a_ct_of_the_chest_are_understood() -> None:
    own_cancer = {"code": {"coding": [{"system": URI, "code": "LUNGCA"}]}}
    father = {"relationship": {"coding": [{"code": "FTH"}]}, "condition": [own_cancer], "status": "completed"}
    before = {"code": {"coding": [{"system": URI, "code": "CTTHX", "display": "CT Thx"}]}, "issued": "2019-01-01"}

    (history,) = by_fhir({"resourceType": "FamilyMemberHistory", **father})
    (prior,) = by_fhir({"resourceType": "DiagnosticReport", **before})

    assert (history.name, history.code) == ("family_history_of_lung_cancer", Code(URI, "LUNGCA"))
    assert (prior.name, prior.value) == ("prior_imaging", "Report: CT Thx")


def test_a_code_that_comes_without_a_system_is_understood_where_the_site_says_so() -> None:
    without = obx("SMK^Smoking", "CWE", "EX^Former")

    assert said(by_hl7(without)) == [("smoking_status", "former", Trust.CODED, ("", "EX"))]
    assert by_hl7(without, vocabulary=Vocabulary([(Code("99KIS", "SMK"), code("LN 72166-2"))])) == []


@pytest.mark.parametrize("question", ["SMK^x^99OTHER", "smk^x^99KIS", "SMOKING^x^99KIS"])
def test_nothing_but_these_codes_is_understood(question: str) -> None:
    assert by_hl7(obx(question, "CWE", "EX^x^99KIS")) == []


def test_a_correction_takes_back_what_was_said_under_a_local_code() -> None:
    first, second = (obx("PY^local^99KIS", "NM", "30", status=status) for status in ("F", "D"))

    assert [(item.name, item.status) for item in (*by_hl7(first), *by_hl7(second))] == [
        ("pack_years", "final"),
        ("pack_years", "withdrawn"),
    ]
    assert by_hl7(first)[0].key == by_hl7(second)[0].key


@pytest.mark.parametrize(
    ("own", "means", "words"),
    [
        ("99KIS SMK", "LN 72166-3", "99KIS SMK means LN 72166-3, which is no code that the node understands"),
        ("99KIS SMK", "99KIS TABAK", "no code that the node understands"),
        ("99KIS X", "I10C J98.2", "no code that the node understands"),
        ("LN 72166-2", "LN 8664-5", "LN 72166-2 is a standard code"),
        ("http://snomed.info/sct 8517006", "SCT 266919005", "is a standard code"),
    ],
)
def test_a_wrong_meaning_is_refused_by_name(own: str, means: str, words: str) -> None:
    with pytest.raises(UnknownMeaning, match=words):
        Vocabulary([(code(own), code(means))])


def test_a_code_with_two_meanings_is_refused() -> None:
    with pytest.raises(UnknownMeaning, match="99kis R means two things"):
        Vocabulary([(code("99KIS R"), code("SCT 8517006")), (code("99kis R"), code("SCT 266919005"))])


@pytest.mark.parametrize(
    "means", ["LOINC 72166-2", "http://loinc.org 72166-2", "urn:oid:2.16.840.1.113883.6.1 72166-2"]
)
def test_a_meaning_may_name_its_system_in_any_known_way(means: str) -> None:
    vocabulary = Vocabulary([(code("99KIS SMK"), code(means))])

    assert vocabulary.question(Code("99KIS", "SMK")) == "smoking_status"


def test_a_server_is_asked_for_the_sites_codes_too() -> None:
    """Names of HL7 v2 are no systems of FHIR: they are left out; an OID becomes a URN."""
    asked: list[httpx2.Request] = []
    patient = {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"system": "urn:oid:1.2.3", "value": "1"}],
        "name": [{"family": "Doe", "given": ["Jane"]}],
        "birthDate": "1950-02-03",
    }

    def server(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json=searchset(*([patient] if request.url.path.endswith("/Patient") else [])))

    source = FhirSource(client(server), {"HOSP": "urn:oid:1.2.3"}, VOCABULARY, ("survey", "http://x|history"))
    jane = Patient((Identifier("1", "HOSP"),), (PersonName("Doe", ("Jane",)),), PartialDate(1950, 2, 3))
    assert source.lookup(jane, date(2026, 1, 1)).record is not None

    questions = [parse_qs(request.url.query.decode()) for request in asked]
    kinds = [request.url.path.rpartition("/")[2] for request in asked]
    by_code = {kind: each["code"][0].split(",") for kind, each in zip(kinds, questions, strict=True) if "code" in each}
    assert questions[1]["category"] == ["survey,http://x|history"]
    assert len(by_code["Observation"]) == len(QUESTIONS) + 3 * 2
    assert by_code["Observation"][-2:] == [f"{URI}|PACKS", f"urn:oid:{OID}|PACKS"]
    assert len(by_code["DiagnosticReport"]) == len(CHEST_CT) + 2
