"""An EMR is told what the stored report says: once, the same at each attempt, and only where it may be."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dicom_node import emr_delivery, node, settings
from dicom_node.cli import main
from dicom_node.emr_store import EmrStore
from dicom_node.errors import ReportDelayed, ReportRefused
from dicom_node.jobs.records import RecordRow
from dicom_node.jobs.store import Store
from dicom_node.jobs.worker import Steps, Worker
from dicom_node.record_used import USED, RecordUsed
from dicom_node.settings import Settings
from hl7_emr.domain import EntityIdentifier, Identifier, ImagingOrder, Item, PartialDate, PatientRecord
from hl7_emr.stores import Received
from tests.node.test_report import made
from tests.support import synthetic_ct
from tests.support.emr_case import AUTHORITIES, resources
from tests.support.emr_systems import FhirStandIn, MllpReceiver
from tests.support.ledger import receive, saved, settle

FATHER = Item("family_history_of_lung_cancer", True, "FamilyMemberHistory/5/_history/1", PartialDate(2020))
RECORD = PatientRecord(family_history_of_lung_cancer=FATHER)


@pytest.fixture
def ris() -> Iterator[MllpReceiver]:
    with MllpReceiver() as receiver:
        yield receiver


@pytest.fixture
def fhir() -> Iterator[FhirStandIn]:
    with FhirStandIn(resources()) as server:
        yield server


@pytest.fixture
def open_node(tmp_path: Path) -> Iterator[Any]:
    """Return what makes settings and ledger with these EMR destinations."""
    stores = []

    def opened(*destinations: dict[str, Any], **emr: Any) -> tuple[Settings, Store]:
        names = [each["name"] for each in destinations]
        values = settings.parse(
            {
                "data_dir": tmp_path / "data",
                "emr": {"destinations": destinations, "authorities": AUTHORITIES, **emr},
                "pipelines": [{"called_ae_title": "EMERALD", "destinations": names}],
            }
        )
        stores.append(node.open_store(values))
        return values, stores[-1]

    yield opened
    for store in stores:
        store.close()


def by_mllp(receiver: MllpReceiver, **more: Any) -> dict[str, Any]:
    return {"kind": "hl7v2", "name": "ris", "host": "127.0.0.1", "port": receiver.port, "answer_timeout_s": 2} | more


def by_fhir(server: FhirStandIn, **more: Any) -> dict[str, Any]:
    return {"kind": "fhir", "name": "emr", "base_url": server.base_url} | more


def told(store: Store, folder: Path, revision: int = 1, known: PatientRecord = RECORD) -> int:
    """Bring a revision of a study to ANALYSED with a report on disk; returns the job's id."""
    header = {"IssuerOfPatientID": "HOSP", "PatientID": "4711"}
    case = made(synthetic_ct.series(**header), replace(made().context, revision=revision), n_nodules=1)
    (sr,) = case.of_kind("sr")
    receive(store, range(4 * revision, 4 * revision + 3))
    job_id = store.jobs(1)[0].job.id
    settle(store, job_id)
    assert store.claim_job("w", 30, job_id)
    result = replace(
        saved(job_id).results[1], path=folder / f"sr-{revision}.dcm", sop_instance_uid=str(sr.SOPInstanceUID)
    )
    sr.save_as(result.path, enforce_file_format=True)
    row = RecordRow("record_used", "used", RecordUsed(known, USED, "record used: identity confirmed").as_json())
    store.save_analysis(job_id, "w", replace(saved(job_id, ("ris",)), results=(result,), record=row))
    return job_id


def tell(values: Settings, store: Store, job_id: int) -> None:
    emr_delivery.tell(store.job(job_id), values.emr.destinations[0], values, store)


def test_a_report_that_was_acknowledged_is_not_sent_again(open_node: Any, ris: MllpReceiver, tmp_path: Path) -> None:
    """A worker that was killed between the answer and its note comes a second time."""
    values, store = open_node(by_mllp(ris, receiving_application="KIS", receiving_facility="HOSPITAL"))
    job_id = told(store, tmp_path)

    tell(values, store, job_id)
    tell(values, store, job_id)

    (message,) = ris.messages
    assert message.startswith(b"MSH|^~\\&|EMERALD||KIS|HOSPITAL|")
    assert b"family history of lung cancer: yes (from FamilyMemberHistory/5/_history/1" in message
    assert b"record used: identity confirmed" in message


def test_each_attempt_is_the_same_message(open_node: Any, ris: MllpReceiver, tmp_path: Path) -> None:
    values, store = open_node(by_mllp(ris))
    job_id, ris.code, ris.words = told(store, tmp_path), "AE", "busy"

    with pytest.raises(ReportDelayed, match="ris: answered AE: busy"):
        tell(values, store, job_id)
    ris.code = "AA"
    tell(values, store, job_id)

    first, second = ris.messages
    assert first == second
    assert len(ris.controls[0]) == 20


def test_what_is_refused_waits_for_a_person_and_is_sent_again_when_told(
    open_node: Any, ris: MllpReceiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, store = open_node(by_mllp(ris))
    job_id, ris.code, ris.words = told(store, tmp_path), "AR", "unknown patient"

    with pytest.raises(ReportRefused, match="unknown patient"):
        tell(values, store, job_id)
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{values.data_dir}"\n')
    assert main(["jobs", "--config", str(config)]) == 0
    assert "unknown patient" in " ".join(capsys.readouterr().out.split())

    ris.code = "AA"
    tell(values, store, job_id)
    assert store.outbox_dead() == []


def test_what_an_emr_says_of_a_report_stands_in_the_ledger_and_not_in_the_log(
    open_node: Any, ris: MllpReceiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values, store = open_node(by_mllp(ris))
    job_id, ris.code, ris.words = told(store, tmp_path), "AR", "no patient Doe"
    steps = Steps(lambda *_: saved(job_id), lambda delivery: tell(values, store, delivery.job_id))

    with caplog.at_level("DEBUG"):
        Worker(store, steps, "w", 30, Random(1)).deliver_once()

    (delivery,) = store.deliveries(job_id)
    assert (delivery.parked, delivery.last_error) == (True, "ris: answered AR: no patient Doe")
    assert "answered AR" in caplog.text
    assert "Doe" not in caplog.text


def test_an_emr_that_is_away_is_waited_for(open_node: Any, tmp_path: Path) -> None:
    with MllpReceiver() as gone:
        pass
    values, store = open_node(by_mllp(gone, connect_timeout_s=1))

    with pytest.raises(ReportDelayed, match="no connection"):
        tell(values, store, told(store, tmp_path))


def test_a_later_revision_takes_the_place_of_what_did_not_arrive(
    open_node: Any, ris: MllpReceiver, tmp_path: Path
) -> None:
    values, store = open_node(by_mllp(ris))
    first, ris.code = told(store, tmp_path), "AE"
    with pytest.raises(ReportDelayed):
        tell(values, store, first)
    second, ris.code = told(store, tmp_path, revision=2), "AA"

    tell(values, store, second)

    assert len(set(ris.controls)) == 2
    assert [row[-1:] for row in (line.split(b"|") for line in ris.messages[-1].split(b"\r")) if row[0] == b"OBR"] == [
        [b"C"]
    ]
    assert ris.controls.count(ris.controls[0]) == 1


def test_a_made_up_record_goes_to_tests_only(open_node: Any, ris: MllpReceiver, tmp_path: Path) -> None:
    made_up = replace(RECORD, synthetic=True)
    values, store = open_node(by_mllp(ris))
    job_id = told(store, tmp_path, known=made_up)
    with pytest.raises(ReportRefused, match="not marked as a test"):
        tell(values, store, job_id)
    assert ris.messages == []

    values, store = open_node(by_mllp(ris, is_test=True))
    tell(values, store, job_id)
    assert len(ris.messages) == 1


@pytest.mark.parametrize(("name", "placer"), [("Doe", "P-77^RIS"), ("Smith", "")])
def test_the_order_is_named_where_it_is_this_patients(
    name: str, placer: str, open_node: Any, ris: MllpReceiver, tmp_path: Path
) -> None:
    values, store = open_node(by_mllp(ris))
    job_id = told(store, tmp_path)
    patient = emr_delivery.report_of(store, job_id).patient
    theirs = replace(patient, names=tuple(replace(each, family=name) for each in patient.names))
    order = ImagingOrder("A1", theirs, EntityIdentifier("P-77", "RIS"), control="NW")
    EmrStore(store).take([Received("KIS|", "1", "ab" * 32, store.clock(), "peer", (order,))])

    tell(values, store, job_id)

    (obr,) = (line.split(b"|") for line in ris.messages[0].split(b"\r") if line.startswith(b"OBR|"))
    assert obr[2].decode() == placer


def test_a_fhir_server_is_told_about_the_patient_that_it_confirms(
    open_node: Any, fhir: FhirStandIn, tmp_path: Path
) -> None:
    values, store = open_node(by_fhir(fhir), fhir={"base_url": fhir.base_url})
    tell(values, store, told(store, tmp_path))

    (bundle,) = fhir.transactions
    subjects = {
        entry["resource"]["subject"]["reference"] for entry in bundle["entry"] if "subject" in entry["resource"]
    }
    assert subjects == {"Patient/17"}
    assert fhir.asked == ["Patient"]
    assert '"reference": "FamilyMemberHistory/5' in json.dumps(bundle)


def test_another_fhir_server_is_given_no_reference_that_leads_nowhere(
    open_node: Any, fhir: FhirStandIn, tmp_path: Path
) -> None:
    values, store = open_node(by_fhir(fhir), fhir={"base_url": "https://elsewhere.example/r4"})
    tell(values, store, told(store, tmp_path))

    said = json.dumps(fhir.transactions[0])
    assert '"reference": "FamilyMemberHistory/5' not in said
    assert "from FHIR server, FamilyMemberHistory/5" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"birthDate": "1950-02-04"}, "the birth dates differ"),
        ({"identifier": []}, "no patient has this identifier"),
        ({"active": False}, "no longer in use"),
    ],
)
def test_no_report_goes_to_a_patient_who_is_not_confirmed(
    change: dict[str, Any], words: str, open_node: Any, fhir: FhirStandIn, tmp_path: Path
) -> None:
    fhir.resources = resources(**change)
    values, store = open_node(by_fhir(fhir))

    with pytest.raises(ReportRefused, match=words):
        tell(values, store, told(store, tmp_path))
    assert fhir.transactions == []


def test_a_fhir_server_in_trouble_is_tried_again(open_node: Any, fhir: FhirStandIn, tmp_path: Path) -> None:
    values, store = open_node(by_fhir(fhir))
    fhir.broken = True

    with pytest.raises(ReportDelayed, match="500"):
        tell(values, store, told(store, tmp_path))


def test_check_tests_each_emr(
    ris: MllpReceiver, fhir: FhirStandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    with MllpReceiver() as gone:
        pass
    config.write_text(
        f'data_dir = "{tmp_path / "data"}"\n'
        f'[[emr.destinations]]\nkind = "hl7v2"\nname = "ris"\nhost = "127.0.0.1"\nport = {ris.port}\n'
        f'[[emr.destinations]]\nkind = "hl7v2"\nname = "old-ris"\nhost = "127.0.0.1"\nport = {gone.port}\n'
        f'[[emr.destinations]]\nkind = "fhir"\nname = "emr"\nbase_url = "{fhir.base_url}"\n'
        '[[pipelines]]\ncalled_ae_title = "EMERALD"\ndestinations = ["ris", "old-ris", "emr"]\n'
    )
    assert main(["check", "--config", str(config)]) == 1
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "takes connections by MLLP" in shown
    assert "no connection" in shown
    assert "Stand-in, FHIR 4.0.1 answers" in shown


def test_a_ledger_gives_a_record_back_as_it_was(open_node: Any, ris: MllpReceiver, tmp_path: Path) -> None:
    _, store = open_node(by_mllp(ris))
    made_of = emr_delivery.report_of(store, told(store, tmp_path))
    assert made_of.record == RECORD
    assert made_of.patient.identifiers == (Identifier("4711", namespace="HOSP"),)
