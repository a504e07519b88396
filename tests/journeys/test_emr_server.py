"""The journey of the record among systems of others only: a FHIR server with SMART on, and two makers of HL7 v2."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dicom_node.cli import main
from dicom_node.cli.demo_pacs import ReceiverPacs, free_port
from tests.journeys.test_emr import Site, brock, resources_of, segments, texts
from tests.support import fhir_judges
from tests.support.data import needs_data
from tests.support.emr_case import AUTHORITIES, SYSTEM, order_about, write_study
from tests.support.fhir_bundles import synthea
from tests.support.fhir_server import FhirServer
from tests.support.hl7_messages import message, msh, pid
from tests.support.hl7_peers import hl7apy_fields, needs_node_peers, needs_peers, receiving, send
from tests.support.running import RunningNode

pytestmark = [pytest.mark.slow, pytest.mark.foreign, needs_data, needs_peers, needs_node_peers]

# of the shared patients the one with emphysema and a smoking status; her maiden name is in the bundle, too
_BUNDLE = "Kirsten_Witting_a09212a3-af3e-4194-b1d1-3f0a543222f6.json"
_PID = pid("CT-000", "Witting^Kirsten", "19480614", "F")
_IMAGES = {
    "PatientID": "CT-000",
    "PatientName": "WITTING^KIRSTEN",
    "PatientBirthDate": "19480614",
    "PatientAge": "077Y",
}


def load(server: FhirServer) -> str:
    """Put the shared patient on the server, under the Patient ID of the images too; returns her reference."""
    bundle = json.loads((synthea() / _BUNDLE).read_text())
    bundle["entry"][0]["resource"]["identifier"].append({"system": SYSTEM, "value": "CT-000"})
    server.load(bundle)
    (found,) = held(server, f"Patient?identifier={SYSTEM}%7CCT-000")
    return f"Patient/{found['id']}"


def held(server: FhirServer, search: str) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in server.get(search).get("entry", [])]
    return [each for each in found if each["resourceType"] != "OperationOutcome"]


def emr_settings(server: FhirServer, key: Path, listens_on: int, ris_port: int) -> dict[str, Any]:
    key.write_text(server.smart.private_key)
    smart = {"client_id": "emerald", "private_key": str(key), "key_id": "emerald-1", "algorithm": "ES384"}
    # the server holds a transaction for a request about every type
    writing = smart | {"scopes": "system/Patient.rs system/*.cud"}
    return {
        "authorities": AUTHORITIES,
        "mllp": {"enabled": True, "port": listens_on},
        "fhir": {"base_url": server.base_url, "smart": smart},
        "destinations": [
            {"kind": "hl7v2", "name": "ris", "host": "127.0.0.1", "port": ris_port},
            {"kind": "fhir", "name": "emr", "base_url": server.base_url, "smart": writing},
        ],
    }


def test_messages_and_a_shared_bundle_go_into_the_score_and_the_results_lie_where_they_belong(tmp_path: Path) -> None:
    for name in ("fhir", "pacs", "messages"):
        (tmp_path / name).mkdir()
    port = free_port()
    with ExitStack() as stack:
        server = stack.enter_context(FhirServer(tmp_path / "fhir"))
        subject = load(server)
        ris = stack.enter_context(receiving("node-hl7-server"))
        pacs = stack.enter_context(ReceiverPacs(tmp_path / "pacs"))
        emr = emr_settings(server, tmp_path / "smart.pem", port, ris.port)
        site = Site(stack.enter_context(RunningNode(tmp_path / "node", [pacs.remote], emr=emr)), pacs)
        config = ["--config", str(site.node.config)]
        assert main(["check", *config]) == 0

        # Z80.1: lung cancer in the family, which no shared bundle says
        admission = message(msh("ADT^A08", "ADT-1"), _PID, "DG1|1||Z80.1^Family history^I10C||20240301")
        assert "AA" in send("mllp_send", admission, port, tmp_path / "messages")
        assert "AA ORM-1" in send("node-hl7-client", order_about(_PID, "ORM-1"), port, tmp_path / "messages")
        site.send_images(write_study(tmp_path / "ct", **_IMAGES))
        site.node.wait_done()

        said = texts(sr := site.report(tmp_path / "fetched"))
        assert "Patient record used: identity confirmed." in said
        assert "family history of lung cancer: yes (from HL7 v2 message ADT-1, DG1 1, recorded on 2024-03-01)" in said
        assert any(text.startswith("emphysema: yes (from Condition/") for text in said)
        assert any(text.startswith("ever smoked: yes (from Observation/") for text in said)
        (percent, *_) = brock(sr)

        (risk,) = held(server, "RiskAssessment")
        assert risk["prediction"][0]["probabilityDecimal"] == pytest.approx(percent / 100)
        (diagnostic,) = [each for each in held(server, "DiagnosticReport") if each["status"] == "preliminary"]
        assert diagnostic["subject"]["reference"].endswith(subject)
        oru = "\r".join(ris.message()).encode()
        assert segments(oru, "OBR")[0][2] == "P-77^RIS"
        risks = [float(row[5]) for row in segments(oru, "OBX") if "PMALIGNANCY" in row[3]]
        assert risks == [risk["prediction"][0]["probabilityDecimal"]]

        assert main(["emr", "report", "1", "--dry-run", str(tmp_path / "told"), "--subject", subject, *config]) == 0
        judged_by_others(tmp_path / "told")


def judged_by_others(folder: Path) -> None:
    """Let hl7apy and three validators of FHIR find no fault in what a real job sends."""
    content = (folder / "oru.hl7").read_bytes()
    assert len(hl7apy_fields(content)) == content.count(b"\r")
    bundle = json.loads((folder / "bundle.json").read_text())
    assert len(resources_of(bundle, "RiskAssessment")) == 1
    assert fhir_judges.fhirkit([bundle]) == []
    assert fhir_judges.fhir_resources([bundle]) == []
    assert fhir_judges.pyrofile([bundle], folder) == []
