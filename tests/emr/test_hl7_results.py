"""ORU^R01 from a report: what stands where, and that others read it."""

import base64
import dataclasses

import pytest

from hl7_emr.domain import Identifier, Patient
from hl7_emr.hl7v2.message import Message, Segment, read
from hl7_emr.hl7v2.patients import patient
from hl7_emr.hl7v2.results import Addresses, oru
from tests.support.hl7_peers import hl7apy_fields, needs_peers
from tests.support.hl7_reports import PATIENT, full_report


def built(revision: int = 1) -> Message:
    return read(oru(full_report(revision), Addresses("EMERALD", "RAD", "KIS", "HOSP"), "EMR17R1"))


def observations(message: Message, code: str) -> list[Segment]:
    return [segment for segment in message.all("OBX") if segment.part(3) == code]


def test_the_header_says_what_it_is() -> None:
    header = built().header
    assert [header.value(number).text for number in (3, 4, 5, 6, 10, 11, 12, 18)] == [
        *("EMERALD", "RAD", "KIS", "HOSP", "EMR17R1", "P", "2.5.1", "UNICODE UTF-8")
    ]
    assert header.raw(7) == "20260102030405+0000"
    assert header.raw(9) == "ORU^R01^ORU_R01"


def test_the_patient_comes_back_as_it_was_given() -> None:
    """With every delimiter in the name, and the authority of the number kept."""
    found = patient(built().all("PID")[0])
    names = [(name.family, name.representation) for name in found.names]
    assert (found.identifiers, found.birth_date, found.sex) == (PATIENT.identifiers, PATIENT.birth_date, "F")
    assert names == [("Grüßer^|~\\&", ""), ("山田", "I")]


def test_an_unknown_sex_is_unknown() -> None:
    report = dataclasses.replace(full_report(), patient=Patient((Identifier("1"),)))
    assert read(oru(report, Addresses(), "1")).all("PID")[0].part(8) == "U"


def test_the_order_is_answered() -> None:
    obr = built().all("OBR")[0]
    assert obr.raw(2) == "P1^KIS"
    assert obr.raw(3) == "EMR-17^EMERALD"
    assert obr.raw(4) == "71250^CT Chest without contrast^C4"
    assert (obr.raw(7), obr.raw(18), obr.raw(24), obr.raw(25)) == ("20260101123000+0000", "A100", "RAD", "P")


@pytest.mark.parametrize(("revision", "status"), [(1, "P"), (2, "C")])
def test_a_result_of_ours_is_preliminary_and_a_later_revision_a_correction(revision: int, status: str) -> None:
    message = built(revision)
    assert {segment.part(11) for segment in message.all("OBX")} == {status}
    assert message.all("OBR")[0].part(25) == status
    assert message.all("OBR")[0].raw(3) == "EMR-17^EMERALD"


def test_each_nodule_is_a_group_of_its_own() -> None:
    message = built()
    assert [segment.part(4) for segment in observations(message, "112040")] == ["1.2", "2.2"]
    assert [segment.value(5).text for segment in observations(message, "112040")] == ["2.25.1", "2.25.2"]
    sizes = observations(message, "103339001")
    assert [(segment.part(5), segment.part(6), segment.part(4)) for segment in sizes] == [
        *(("12.345", "mm", "1.4"), ("6", "mm", "2.4"))
    ]
    risks = observations(message, "PMALIGNANCY")
    assert [(segment.part(5), segment.part(6)) for segment in risks] == [("0.4321", "1"), ("0.000012", "1")]
    assert "Brock 2b" in risks[0].part(3, 2)


def test_numbers_have_no_exponent_and_come_back() -> None:
    for segment in built().all("OBX"):
        if segment.part(2) == "NM":
            assert set(segment.part(5)) <= set("0123456789.")


def test_what_was_used_missing_and_contradictory_is_said() -> None:
    message = built()
    assert observations(message, "RECORD")[1].value(5).text == (
        "age years: 75 (from HL7 v2 message 17, PID, recorded on 2026-01-01)"
    )
    assert [segment.value(5).text for segment in observations(message, "MISSING")] == ["emphysema"]
    assert [segment.value(5).text for segment in observations(message, "CONFLICT")] == ["smoking: never smoked, but 30"]


def test_sentences_of_the_impression_are_lines() -> None:
    assert [segment.value(5).text for segment in observations(built(), "19005-8")] == list(full_report().impression)


def test_the_document_is_attached() -> None:
    (segment,) = observations(built(), "18748-4")
    assert segment.raw(5).split("^")[1:4] == ["application", "pdf", "Base64"]
    assert base64.b64decode(segment.part(5, 5)) == full_report().pdf


def test_the_same_report_gives_the_same_bytes() -> None:
    first, second = (oru(full_report(), Addresses(), "EMR17R1") for _ in range(2))
    assert first == second


@needs_peers
@pytest.mark.foreign
@pytest.mark.parametrize("revision", [1, 2])
def test_hl7apy_reads_and_validates_it(revision: int) -> None:
    content = oru(full_report(revision), Addresses("EMERALD", "RAD", "KIS", "HOSP"), "EMR17R1")
    found = hl7apy_fields(content)
    # hl7apy hands out each repetition by itself
    lines = (line.split("|") for line in content.decode().split("\r")[:-1])
    ours = [[name, *(each for field in fields for each in field.split("~") if each)] for name, *fields in lines]
    assert [segment[0] for segment in found] == [segment[0] for segment in ours]
    values = [[field for field in segment[1:] if field] for segment in found]
    assert values[1:] == [segment[1:] for segment in ours[1:]]
