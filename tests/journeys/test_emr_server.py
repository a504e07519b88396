"""The journey of the record with a real FHIR server of others, SMART Backend Services on, to read and to write."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dicom_node.cli import main
from dicom_node.cli.demo_pacs import ReceiverPacs, free_port
from hl7_emr.hl7v2.client import Peer
from tests.journeys.test_emr import Hospital, brock, texts
from tests.support.emr_case import AUTHORITIES, SYSTEM, admission, order, resources, write_study
from tests.support.emr_systems import FhirStandIn, MllpReceiver
from tests.support.fhir_server import FhirServer
from tests.support.hl7_peers import needs_peers
from tests.support.running import RunningNode

pytestmark = [pytest.mark.slow, pytest.mark.foreign, needs_peers]


def load(server: FhirServer) -> str:
    """Put Jane Doe and her father's illness on the server; returns her reference."""
    person, father = resources()
    entries = []
    for number, resource in enumerate((person, father)):
        content = {name: value for name, value in resource.items() if name not in ("id", "meta")}
        if "patient" in content:
            content["patient"] = {"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"}
        request = {"method": "POST", "url": resource["resourceType"]}
        full_url = f"urn:uuid:00000000-0000-4000-8000-00000000000{number}"
        entries.append({"fullUrl": full_url, "resource": content, "request": request})
    server.load({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    (found,) = held(server, f"Patient?identifier={SYSTEM}%7C4711")
    return f"Patient/{found['id']}"


def held(server: FhirServer, search: str) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in server.get(search).get("entry", [])]
    return [each for each in found if each["resourceType"] != "OperationOutcome"]


def test_the_record_is_read_from_a_real_server_and_the_report_lies_there_beside_it(tmp_path: Path) -> None:
    (tmp_path / "fhir").mkdir()
    (tmp_path / "pacs").mkdir()
    port = free_port()
    with ExitStack() as stack:
        server = stack.enter_context(FhirServer(tmp_path / "fhir"))
        subject = load(server)
        key = tmp_path / "smart.pem"
        key.write_text(server.smart.private_key)
        smart = {"client_id": "emerald", "private_key": str(key), "key_id": "emerald-1", "algorithm": "ES384"}
        # the server holds a transaction for a request about every type
        writing = smart | {"scopes": "system/Patient.rs system/*.cud"}
        ris = stack.enter_context(MllpReceiver())
        pacs = stack.enter_context(ReceiverPacs(tmp_path / "pacs"))
        emr = {
            "authorities": AUTHORITIES,
            "mllp": {"enabled": True, "port": port},
            "fhir": {"base_url": server.base_url, "smart": smart},
            "destinations": [
                {"kind": "hl7v2", "name": "ris", "host": "127.0.0.1", "port": ris.port},
                {"kind": "fhir", "name": "emr", "base_url": server.base_url, "smart": writing},
            ],
        }
        node = stack.enter_context(RunningNode(tmp_path / "node", [pacs.remote], emr=emr))
        hospital = Hospital(node, pacs, ris, FhirStandIn(), Peer("127.0.0.1", port))
        assert main(["check", "--config", str(node.config)]) == 0
        assert [hospital.tell(admission()), hospital.tell(order())] == ["AA", "AA"]
        hospital.send_images(write_study(tmp_path / "ct"))
        node.wait_done()

        said = texts(sr := hospital.report(tmp_path / "fetched"))
        assert "Patient record used: identity confirmed." in said
        assert any("family history of lung cancer: yes (from FamilyMemberHistory/" in text for text in said)
        (percent, *_) = brock(sr)
        (diagnostic,) = held(server, "DiagnosticReport")
        (risk,) = held(server, "RiskAssessment")
        assert diagnostic["status"] == "preliminary"
        assert diagnostic["subject"]["reference"].endswith(subject)
        assert risk["prediction"][0]["probabilityDecimal"] == pytest.approx(percent / 100)
        assert len(ris.messages) == 1
