"""Messages from the operator's side: ``emr parse``, the listener of a node, TLS."""

import asyncio
import json
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom_node import node, settings
from dicom_node.cli import main
from dicom_node.cli.demo_pacs import free_port
from dicom_node.emr_listener import mllp_service
from dicom_node.emr_store import EmrStore
from dicom_node.errors import SettingsError
from hl7_emr.domain import Identifier
from hl7_emr.errors import Nak, Unreachable
from hl7_emr.hl7v2.client import Connection, Peer
from hl7_emr.hl7v2.service import Service, client_tls
from tests.support.certificates import Authority
from tests.support.data import data_dir, needs_data
from tests.support.hl7_messages import message, msh, obx, pid
from tests.support.running import RunningNode

SMOKER = obx("72166-2^Tobacco smoking status^LN", "CWE", "8517006^Former^SCT", on="20250101")


def parsed(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[dict[str, object]]]:
    code = main(["emr", "parse", str(path), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("framing", [(b"", b""), (b"\x0b", b"\x1c\r")], ids=["plain", "framed"])
def test_parse_shows_what_is_read(
    framing: tuple[bytes, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.hl7"
    path.write_bytes(framing[0] + message(msh("ORU^R01", "M1"), pid(), SMOKER) + framing[1])
    code, (found,) = parsed(path, capsys, "--study-date", "2026-01-01")
    record = found["records"][0]  # type: ignore[index]
    assert (code, found["type"], found["event"], found["control_id"]) == (0, "ORU", "R01", "M1")
    assert record["smoking_status"]["value"] == "former"
    assert record["smoking_status"]["source"] == "HL7 v2 message M1, OBX 1"
    assert record["age_years"]["value"] == 75


def test_parse_says_why_a_message_would_be_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.hl7"
    path.write_bytes(message(msh("SIU^S12"), pid()))
    assert main(["emr", "parse", str(path)]) == 1
    assert "MSH-9" in capsys.readouterr().out


def test_parse_reads_each_message_of_a_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.hl7"
    path.write_bytes(message("BHS|^~\\&", msh(control_id="1"), pid("1"), msh(control_id="2"), pid("2"), "BTS|2"))
    assert [found["control_id"] for found in parsed(path, capsys)[1]] == ["1", "2"]


@needs_data
def test_parse_reads_a_fhir_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    index = json.loads((data_dir() / "fhir" / "r4-synthea" / "index.json").read_text())
    assert index
    path = next(iter(sorted((data_dir() / "fhir" / "r4-synthea").glob("[!i]*.json"))))
    code, (found,) = parsed(path, capsys)
    assert code == 0
    assert "Patient" in found["resources"]  # type: ignore[operator]
    assert found["records"][0]["patient"]["identifiers"]  # type: ignore[index]


def test_a_file_that_is_nothing_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.json"
    path.write_text("{ not json")
    assert main(["emr", "parse", str(path)]) == 1
    assert "neither JSON nor HL7" in capsys.readouterr().err


def test_a_port_that_is_taken_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["emr", "listen", "--config", str(config), "--port", str(port)]) == 1
    assert f"MLLP port {port}" in capsys.readouterr().err


def service(tmp_path: Path, **mllp: object) -> tuple[Service, EmrStore]:
    values = settings.parse({"data_dir": str(tmp_path / "data"), "emr": {"mllp": mllp}})
    store = node.open_store(values)
    return mllp_service(values, store, 0), EmrStore(store)


def send(peer: Peer, content: bytes, control_id: str) -> str:
    async def run() -> str:
        connection = await Connection.open(peer)
        try:
            return (await connection.exchange(content, control_id)).code
        finally:
            await connection.close()

    return asyncio.run(run())


def test_a_message_lands_in_the_ledger(tmp_path: Path) -> None:
    running, store = service(tmp_path)
    with running:
        assert send(Peer("127.0.0.1", running.port), message(msh("ORU^R01", "M1"), pid(), SMOKER), "M1") == "AA"
    known = store.known(Identifier("4711", "HOSP"))
    assert known is not None
    assert [item.value for item in known.items] == ["former"]


def test_tls_asks_for_the_clients_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("listener")
    own, own_key = authority.issue("client")
    running, _ = service(
        tmp_path, certificate=str(certificate), key=str(key), client_authority=str(authority.certificate)
    )
    content = message(msh(control_id="M1"), pid())
    with running:
        known = client_tls(authority.certificate, own, own_key)
        assert send(Peer("127.0.0.1", running.port, known), content, "M1") == "AA"
        with pytest.raises(Unreachable):
            send(Peer("127.0.0.1", running.port, client_tls(authority.certificate, None, None)), content, "M1")
        with pytest.raises(Unreachable):
            send(Peer("127.0.0.1", running.port, answer_s=2), content, "M1")
        stranger = ssl.create_default_context()
        with pytest.raises(Unreachable):
            send(Peer("127.0.0.1", running.port, stranger), content, "M1")


def test_jobs_shows_what_waits_for_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running, store = service(tmp_path)
    with running, pytest.raises(Nak):
        send(Peer("127.0.0.1", running.port), message(msh(control_id="M1")), "M1")
    store.bury(store.add("emr", "R1", b"", datetime.now(UTC)), "answered AR: unknown patient", datetime.now(UTC))
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n')
    assert main(["jobs", "--config", str(config)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("KIS|HOSPITAL", "M1", "PID segment", "R1", "unknown patient"):
        assert words in shown


@pytest.mark.slow
def test_the_node_takes_messages_beside_images(tmp_path: Path) -> None:
    """And answers for what it took after it was killed."""
    port = free_port()
    served = RunningNode(tmp_path / "node", emr={"mllp": {"enabled": True, "port": port}})
    served.start()
    content = message(msh("ORU^R01", "M1"), pid(), SMOKER)
    try:
        assert send(Peer("127.0.0.1", port), content, "M1") == "AA"
        served.kill()
        served.start()
        assert send(Peer("127.0.0.1", port), content, "M1") == "AA"
    finally:
        served.stop()
    assert served.store.emr_counts() == {"acknowledged": 2, "received": 2, "repeated": 1}
    assert EmrStore(served.store).known(Identifier("4711", "HOSP")) is not None
    assert "Doe" not in served.log.read_text()


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        service(tmp_path, certificate=str(tmp_path / "none.pem"))
    assert raised.value.field == "emr.mllp.certificate"


@pytest.mark.parametrize("field", ["OBR", "OBR-0", "obr-18", "OBR-18.1"])
def test_a_place_that_is_none_is_refused(field: str) -> None:
    with pytest.raises(SettingsError):
        settings.parse({"emr": {"mllp": {"accession_fields": [field]}}})
