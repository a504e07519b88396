"""HL7 software of others, as senders to our listener and as receivers of our results.

``make peers`` installs it into ``.venv-peers`` (or the folder that ``EMERALD_TEST_PEERS`` names): a virtual environment
of its own with a ``node_modules``, since none of it is a dependency of ours.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from dicom_node.cli.demo_pacs import free_port

_PROGRAMS = Path(__file__).parent / "hl7_programs"
_PATIENCE_S = 60


def peers_dir() -> Path:
    """Folder of the installed peers."""
    default = Path(__file__).parents[2] / ".venv-peers"
    return Path(os.environ.get("EMERALD_TEST_PEERS", default))


needs_peers = pytest.mark.skipif(
    not (peers_dir() / "bin" / "mllp_send").exists(), reason=f"no software of others at {peers_dir()}: run `make peers`"
)
needs_node_peers = pytest.mark.skipif(
    not (peers_dir() / "node_modules" / "simple-hl7").is_dir(),
    reason=f"no HL7 software for Node at {peers_dir()}: install npm, then run `make peers`",
)

_BIN = peers_dir() / "bin"
SENDERS = {
    "mllp_send": [_BIN / "mllp_send", "-p", "{port}", "-f", "{framed}", "127.0.0.1"],
    "hl7v2-fhir-bridge": [_BIN / "hl7v2-fhir-bridge", "send", "--port", "{port}", "{file}"],
    "node-hl7-client": ["node", _PROGRAMS / "send_node_hl7.js", "{port}", "{file}"],
    "simple-hl7": ["node", _PROGRAMS / "send_simple_hl7.js", "{port}", "{file}"],
}
RECEIVERS = {
    "python-hl7": [_BIN / "python", _PROGRAMS / "serve_python_hl7.py", "{port}"],
    "node-hl7-server": ["node", _PROGRAMS / "serve_node_hl7.js", "{port}"],
    "simple-hl7": ["node", _PROGRAMS / "serve_simple_hl7.js", "{port}"],
}


def runnable(peers: Iterable[str]) -> list[Any]:
    """Return the names of senders or receivers as parameters of a test that is skipped where they are not installed."""
    programs = SENDERS | RECEIVERS
    marks = {name: needs_node_peers if programs[name][0] == "node" else needs_peers for name in peers}
    return [pytest.param(name, marks=mark) for name, mark in sorted(marks.items())]


def send(sender: str, content: bytes, port: int, folder: Path) -> str:
    """Let a peer send a message; returns what it prints of the answer. It has to exit 0."""
    file, framed = folder / "message.hl7", folder / "framed.hl7"
    file.write_bytes(content)
    framed.write_bytes(b"\x0b" + content + b"\x1c\r")
    values = {"port": str(port), "file": str(file), "framed": str(framed)}
    command = [str(part).format(**values) for part in SENDERS[sender]]
    done = subprocess.run(command, env=_environment(), capture_output=True, timeout=_PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


def hl7apy_fields(content: bytes) -> list[list[str]]:
    """Return the segments of a message with their fields, as hl7apy reads them by the structure of its version.

    hl7apy's validation must find nothing either; only the length of an attached document is beyond its tables.
    """
    done = subprocess.run(
        [_BIN / "python", _PROGRAMS / "read_hl7apy.py"], input=content, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    fields: list[list[str]] = json.loads(done.stdout)
    return fields


@dataclass
class Receiver:
    """A running peer."""

    port: int
    lines: "Queue[str]" = field(default_factory=Queue)

    def message(self) -> list[str]:
        """Wait for the next message that it received: its segments, as the peer's parser writes them."""
        segments: list[str] = json.loads(self.lines.get(timeout=_PATIENCE_S))
        return segments


@contextmanager
def receiving(receiver: str) -> Iterator[Receiver]:
    """Run a peer that answers AA to all messages."""
    port = free_port()
    command = [str(part).format(port=port) for part in RECEIVERS[receiver]]
    with subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        peer = Receiver(port)
        reading = Thread(target=_read, args=(process, peer), daemon=True)
        reading.start()
        try:
            assert peer.lines.get(timeout=_PATIENCE_S) == "ready"
            yield peer
        finally:
            process.terminate()
            process.wait(_PATIENCE_S)
            reading.join(_PATIENCE_S)


def _read(process: "subprocess.Popen[str]", peer: Receiver) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        peer.lines.put(line.rstrip("\n"))


def _environment() -> dict[str, str]:
    return os.environ | {"NODE_PATH": str(peers_dir() / "node_modules")}
