"""HL7 v2 messages for tests, written by hand, and the shared real ones."""

from pathlib import Path

from tests.support.data import data_dir

SAMPLES = data_dir() / "hl7v2" / "fhir-converter-samples"


def sample(name: str) -> bytes:
    """Return a shared message with the CR that git had turned into LF."""
    return _restored(SAMPLES / f"{name}.hl7")


def _restored(path: Path) -> bytes:
    return path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r")


def message(*segments: str, codec: str = "utf-8") -> bytes:
    """Join segments as they go over the wire."""
    return "".join(f"{segment}\r" for segment in segments).encode(codec)


def msh(
    kind: str = "ADT^A08",
    control_id: str = "1",
    *,
    at: str = "20260101120000",
    charset: str = "UNICODE UTF-8",
    accept: str = "",
    application: str = "",
    version: str = "2.5.1",
) -> str:
    """Return an MSH from KIS at HOSPITAL to EMERALD at RADIOLOGY."""
    return (
        f"MSH|^~\\&|KIS|HOSPITAL|EMERALD|RADIOLOGY|{at}||{kind}|{control_id}|P|{version}|||{accept}|{application}||"
        f"{charset}"
    )


def pid(number: str = "4711", name: str = "Doe^Jane", born: str = "19500203", sex: str = "F") -> str:
    """Return a PID whose number was given by HOSP."""
    return f"PID|1||{number}^^^HOSP^MR||{name}||{born}|{sex}"


def obx(question: str, kind: str, value: str, *, unit: str = "", status: str = "F", on: str = "20251201") -> str:
    """Return an OBX."""
    return f"OBX|1|{kind}|{question}||{value}|{unit}|||||{status}|||{on}"
