"""The patient's record on its whole way: messages and FHIR in, the images by DICOM, the report to PACS and EMR."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from dicom_node.cli import main
from dicom_node.cli.demo_pacs import ReceiverPacs, free_port
from hl7_emr.hl7v2.client import Peer
from tests.node.test_emr_messages import send
from tests.support.emr_case import AUTHORITIES, admission, order, resources, write_study
from tests.support.emr_systems import FhirStandIn, MllpReceiver
from tests.support.reports import items
from tests.support.running import RunningNode, wait_until

pytestmark = pytest.mark.slow


@dataclass
class Site:
    """The node, and the PACS that gets its results."""

    node: RunningNode
    pacs: ReceiverPacs

    def send_images(self, folder: Path) -> None:
        """Send a study as a modality does."""
        to = self.node.remote
        assert main(["send", str(folder), f"{to.ae_title}@{to.host}:{to.port}"]) == 0

    def report(self, folder: Path) -> Dataset:
        """Return the SR that the PACS holds."""
        files = (dcmread(path) for path in self.pacs.fetch(folder))
        return next(each for each in files if each.Modality == "SR")


@dataclass
class Hospital(Site):
    """A site with systems that send and get messages; each is a stand-in."""

    ris: MllpReceiver
    fhir: FhirStandIn
    mllp: Peer

    def tell(self, content: bytes) -> str:
        """Send the node a message; returns MSA-1."""
        return send(self.mllp, content, content.split(b"|")[9].decode())


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    with ExitStack() as stack:
        fhir = stack.enter_context(FhirStandIn(resources()))
        ris = stack.enter_context(MllpReceiver())
        pacs = stack.enter_context(ReceiverPacs(_made(tmp_path / "pacs")))
        port = free_port()
        emr = {
            "authorities": AUTHORITIES,
            "mllp": {"enabled": True, "port": port},
            "fhir": {"base_url": fhir.base_url},
            "destinations": [
                {"kind": "hl7v2", "name": "ris", "host": "127.0.0.1", "port": ris.port},
                {"kind": "fhir", "name": "emr", "base_url": fhir.base_url},
            ],
        }
        node = stack.enter_context(RunningNode(tmp_path / "node", [pacs.remote], emr=emr))
        yield Hospital(node, pacs, ris, fhir, Peer("127.0.0.1", port))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def texts(sr: Dataset) -> list[str]:
    return [str(item.TextValue) for item in items(sr) if item.ValueType == "TEXT"]


def brock(sr: Dataset) -> list[float]:
    """Return the probabilities of cancer in the nodules' groups, in percent."""
    return [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in items(sr)
        if item.ValueType == "NUM" and item.ConceptNameCodeSequence[0].CodeValue == "111047"
    ]


def segments(oru: bytes, name: str) -> list[list[str]]:
    lines = oru.decode("utf-8").split("\r")
    return [line.split("|") for line in lines if line.startswith(f"{name}|")]


def resources_of(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = (entry["resource"] for entry in bundle["entry"])
    return [each for each in found if each["resourceType"] == kind]


def test_the_record_of_messages_and_fhir_goes_into_the_score_and_the_results_to_pacs_and_emr(
    hospital: Hospital, tmp_path: Path
) -> None:
    assert [hospital.tell(admission()), hospital.tell(order())] == ["AA", "AA"]
    hospital.send_images(write_study(tmp_path / "ct"))
    (status,) = hospital.node.wait_done()

    said = texts(sr := hospital.report(tmp_path / "fetched"))
    assert "Patient record used: identity confirmed." in said
    assert "emphysema: yes (from HL7 v2 message ADT-1, DG1 1, recorded on 2024-03-01)" in said
    father = "family history of lung cancer: yes (from FamilyMemberHistory/5/_history/1, recorded on 2020-05-01)"
    assert father in said
    assert "ever smoked: yes" in " ".join(said)
    assert "Not known of the patient: cancer outside the chest." in said
    (percent, *_) = brock(sr)

    assert [(each.target, each.state) for each in status.deliveries] == [
        ("pacs1", "DELIVERED"),
        ("ris", "DELIVERED"),
        ("emr", "DELIVERED"),
    ]
    (oru,), (bundle,) = hospital.ris.messages, hospital.fhir.transactions
    assert segments(oru, "OBR")[0][2] == "P-77^RIS"
    risks = [float(row[5]) for row in segments(oru, "OBX") if "PMALIGNANCY" in row[3]]
    assert risks[0] == pytest.approx(percent / 100)
    assert resources_of(bundle, "RiskAssessment")[0]["prediction"][0]["probabilityDecimal"] == risks[0]
    assert resources_of(bundle, "DiagnosticReport")[0]["subject"] == {"reference": "Patient/17"}
    assert "FamilyMemberHistory/5/_history/1" in json.dumps(resources_of(bundle, "RiskAssessment")[0]["basis"])
    assert hospital.node.store.emr_counts()["record_used"] == 1
    assert "Doe" not in hospital.node.log.read_text()


def test_another_patients_record_is_not_used_and_that_is_said(hospital: Hospital, tmp_path: Path) -> None:
    """The images name John Smith under Jane Doe's number."""
    assert hospital.tell(admission()) == "AA"
    hospital.send_images(write_study(tmp_path / "ct", PatientName="Smith^John", PatientSex="M"))
    wait_until(lambda: len(hospital.ris.messages) == 1, 180, "the RIS was told")

    said = texts(sr := hospital.report(tmp_path / "fetched"))
    words = "record not used: identity not confirmed (the names differ)"
    assert f"Patient {words} [name_differs]." in said
    assert not any("emphysema: yes" in text or "family history of lung cancer: yes" in text for text in said)
    assert brock(sr) == []
    (missing,) = [text for text in said if text.startswith("Not known of the patient: ")]
    assert "family history of lung cancer" in missing
    assert "emphysema" in missing
    assert words in hospital.ris.messages[0].decode()
    store = hospital.node.store
    assert store.emr_counts()["record_refused"] == 1
    parked = wait_until(lambda: [d for d in store.deliveries(1) if d.parked], 180, "the FHIR server is not told")
    assert [each.target for each in parked] == ["emr"]
    assert parked[0].last_error == "emr: identity not confirmed there (the names differ)"
    assert hospital.fhir.transactions == []


def test_an_emr_that_is_away_gets_the_report_later_and_the_pacs_at_once(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        fhir = stack.enter_context(FhirStandIn(resources()))
        pacs = stack.enter_context(ReceiverPacs(_made(tmp_path / "pacs")))
        fhir.broken = True
        emr = {
            "authorities": AUTHORITIES,
            "fhir": {"base_url": fhir.base_url},
            "destinations": [
                {"kind": "hl7v2", "name": "ris", "host": "127.0.0.1", "port": port},
                {"kind": "fhir", "name": "emr", "base_url": fhir.base_url},
            ],
        }
        node = stack.enter_context(RunningNode(tmp_path / "node", [pacs.remote], emr=emr))
        hospital = Hospital(node, pacs, MllpReceiver(), fhir, Peer("127.0.0.1", 1))
        hospital.send_images(write_study(tmp_path / "ct"))
        store = node.store

        def waits() -> bool:
            rows = {each.target: each for each in store.deliveries(1)} if store.jobs(1) else {}
            return bool(rows) and rows["pacs1"].state == "DELIVERED" and all(rows[n].last_error for n in ("ris", "emr"))

        wait_until(waits, 180, "the PACS has the results, the EMRs are in trouble")
        said = texts(hospital.report(tmp_path / "fetched"))
        assert "Patient record not used: a source of records could not be asked [unavailable]." in said
        assert store.job(1).state == "ANALYSED"

        fhir.broken = False
        with MllpReceiver(port=port) as ris:
            node.wait_done()
        assert len(ris.messages) == 1
        assert len(fhir.transactions) == 1


def test_a_record_that_comes_after_the_results_makes_a_revision_where_that_is_wanted(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        ris = stack.enter_context(MllpReceiver())
        pacs = stack.enter_context(ReceiverPacs(_made(tmp_path / "pacs")))
        emr = {
            "authorities": AUTHORITIES,
            "mllp": {"enabled": True, "port": port},
            "destinations": [{"kind": "hl7v2", "name": "ris", "host": "127.0.0.1", "port": ris.port}],
            "revise_for_late_records": True,
            "late_record_every_s": 0.5,
        }
        node = stack.enter_context(RunningNode(tmp_path / "node", [pacs.remote], emr=emr))
        hospital = Hospital(node, pacs, ris, FhirStandIn(), Peer("127.0.0.1", port))
        hospital.send_images(write_study(tmp_path / "ct"))
        node.wait_done()
        assert hospital.tell(admission()) == "AA"
        first, second = node.wait_done(2)

        assert (first.job.revision, second.job.revision) == (1, 2)
        files = [dcmread(path) for path in pacs.fetch(tmp_path / "fetched")]
        later = [each for each in files if each.Modality == "SR" and "PredecessorDocumentsSequence" in each]
        assert len(later) == 1
        assert "emphysema: yes (from HL7 v2 message ADT-1, DG1 1, recorded on 2024-03-01)" in texts(later[0])
        assert [segments(message, "OBR")[0][25] for message in ris.messages] == ["P", "C"]
        assert node.store.emr_counts()["record_not_found"] == 1
