"""A PACS for the demo: Orthanc where it is installed, else DCMTK's storescp, else a plain receiver of our own."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from dicom_node.dimse.receiver import Receiver
from dicom_node.domain import RemoteAE
from dicom_node.errors import NodeError

_STORESCP = Path("/usr/bin/storescp")  # a virtual environment has a storescp of pynetdicom's


class Pacs(Protocol):
    """A receiving PACS that runs while it is entered."""

    name: str
    remote: RemoteAE

    def fetch(self, folder: Path) -> list[Path]:
        """Write every instance that the PACS holds into ``folder`` and return the files."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def best_pacs(data_dir: Path) -> "OrthancPacs | StorescpPacs | ReceiverPacs":
    """Return the most realistic PACS that this machine can run; its state lies in ``data_dir``."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if shutil.which("Orthanc"):
        return OrthancPacs(data_dir)
    if _STORESCP.exists():
        return StorescpPacs(data_dir)
    return ReceiverPacs(data_dir)


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _ProcessPacs:
    """A PACS that is a program of its own."""

    name = ""

    def __init__(self, data_dir: Path, ae_title: str) -> None:
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None
        self.remote = RemoteAE(ae_title, "127.0.0.1", free_port())

    def command(self) -> list[str]:
        """Return the program and its arguments."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Tell whether the program serves."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.remote.port)) == 0

    def __enter__(self) -> Self:
        log = (self._data_dir / "pacs.log").open("ab")
        # Without TCP_NODELAY DCMTK answers each image in two small writes: 40 ms an image (DCMTK envvars.txt).
        environ = os.environ | {"TCP_NODELAY": "1"}
        self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=environ)
        log.close()
        deadline = time.monotonic() + 30
        while not self.ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NodeError(f"{self.name} did not start, see {self._data_dir / 'pacs.log'}")
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class OrthancPacs(_ProcessPacs):
    """Orthanc with its data in a folder, DICOM and REST on free loopback ports.

    Parameters
    ----------
    settings : dict or None
        Orthanc settings that replace those chosen here.
    """

    name = "Orthanc"

    def __init__(self, data_dir: Path, ae_title: str = "ORTHANC", settings: dict[str, object] | None = None) -> None:
        super().__init__(data_dir, ae_title)
        self._http_port = free_port()
        self._settings = settings or {}

    def command(self) -> list[str]:
        """Write the configuration and return the command."""
        config = self._data_dir / "orthanc.json"
        config.write_text(json.dumps(self._config(), indent=2))
        return ["Orthanc", str(config)]

    def ready(self) -> bool:
        """Tell whether both doors are open."""
        try:
            return super().ready() and bool(self.get("/system"))
        except (urllib.error.URLError, ConnectionError):
            return False

    def get(self, path: str) -> bytes:
        """Return the answer of the REST interface to a GET of ``path``."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def fetch(self, folder: Path) -> list[Path]:
        """Write every instance into ``folder``, named by SOP Instance UID."""
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for instance in json.loads(self.get("/instances?expand")):
            path = folder / f"{instance['MainDicomTags']['SOPInstanceUID']}.dcm"
            path.write_bytes(self.get(f"/instances/{instance['ID']}/file"))
            files.append(path)
        return sorted(files)

    def _config(self) -> dict[str, object]:
        chosen: dict[str, object] = {
            "Name": "Emerald demo",
            "StorageDirectory": str(self._data_dir / "storage"),
            "IndexDirectory": str(self._data_dir / "storage"),
            "Plugins": [],
            "DicomAet": self.remote.ae_title,
            "DicomPort": self.remote.port,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowEcho": True,
            "HttpPort": self._http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
        }
        return chosen | self._settings


class StorescpPacs(_ProcessPacs):
    """DCMTK's storescp, which writes what it receives into a folder."""

    name = "DCMTK storescp"

    def __init__(self, data_dir: Path, ae_title: str = "STORESCP") -> None:
        super().__init__(data_dir, ae_title)
        self._received = data_dir / "received"

    def command(self) -> list[str]:
        """Return the command: unique file names, every transfer syntax, bytes as received."""
        self._received.mkdir(exist_ok=True)
        title = ["--aetitle", self.remote.ae_title]
        return [str(_STORESCP), *title, "--fork", "+B", "+xa", "-od", str(self._received), str(self.remote.port)]

    def fetch(self, folder: Path) -> list[Path]:
        """Copy every received file into ``folder``."""
        return _copy_all(self._received, folder)


class ReceiverPacs:
    """A plain receiver in this process, for machines without DCMTK and Orthanc."""

    name = "a plain receiver (neither Orthanc nor DCMTK is installed)"

    def __init__(self, data_dir: Path, ae_title: str = "RECEIVER") -> None:
        self._received = data_dir / "received"
        self._receiver = Receiver(ae_title, self._received)
        self.remote = RemoteAE(ae_title, "127.0.0.1", 0)

    def fetch(self, folder: Path) -> list[Path]:
        """Copy every received file into ``folder``."""
        return _copy_all(self._received, folder)

    def __enter__(self) -> Self:
        self.remote = RemoteAE(self.remote.ae_title, "127.0.0.1", self._receiver.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._receiver.stop()


def _copy_all(source: Path, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return sorted(Path(shutil.copy(path, folder)) for path in source.iterdir() if path.is_file())
