"""A real node as its own process, and DCMTK as its sender: for journeys, crash tests and benchmarks."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dicom_node import node, settings
from dicom_node.cli.demo_pacs import free_port
from dicom_node.dimse import scu
from dicom_node.domain import RemoteAE
from dicom_node.errors import PeerError
from dicom_node.jobs.records import JobStatus
from dicom_node.jobs.store import Store
from tests.support.programs import DCMTK

AE_TITLE = "EMERALD"
QUICK: dict[str, Any] = {"settle": {"quiet_s": 1.0, "incomplete_hold_s": 4.0}, "dicom": {"min_free_mb": 100}}


def wait_until(met: Callable[[], Any], timeout_s: float, what: str, every_s: float = 0.1) -> Any:
    """Return what ``met`` returns once it is true; fails the test with ``what`` when the time is over."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := met():
            return found
        time.sleep(every_s)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)


def pid_of(worker: str) -> int:
    """Return the process id of a worker of this machine from the name it has in the ledger."""
    return int(worker.removeprefix(f"{socket.gethostname()}-").split("-")[0])


def descendants(pid: int) -> list[int]:
    """Return the process ids of a process's children and theirs."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    children = [int(line) for line in found.stdout.split()]
    return [each for child in children for each in (child, *descendants(child))]


class RunningNode:
    """``emerald serve`` in a process group of its own.

    Parameters
    ----------
    data_dir : Path
        Holds the node's state, its settings (``config``) and ``node.log``.
    destinations : sequence of RemoteAE
        Where results go; named ``pacs1``, ``pacs2``...
    objects : sequence of str
        What they get.
    detector : str
        What finds. Most nodes are sent phantoms, whose drawn vessels are nodules to the encoder: as in the demo, they
        are searched without it.
    **changes
        Sections of the settings, merged over ``QUICK``.
    """

    def __init__(
        self,
        data_dir: Path,
        destinations: Sequence[RemoteAE] = (),
        objects: Sequence[str] = ("seg", "sr"),
        detector: str = "classical",
        **changes: dict[str, Any],
    ) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir = data_dir
        self.log = data_dir / "node.log"
        self.config = data_dir / "node.toml"
        self.settings = settings.parse(_values(data_dir, destinations, objects, detector, changes))
        self.config.write_text(_toml(self.settings.model_dump(mode="json")), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def remote(self) -> RemoteAE:
        """The node as a peer."""
        return RemoteAE(AE_TITLE, "127.0.0.1", self.settings.dicom.port)

    @property
    def pid(self) -> int:
        """Process id of ``emerald serve``, which leads its process group."""
        assert self._process
        return self._process.pid

    @property
    def store(self) -> Store:
        """The ledger, opened anew."""
        return node.open_store(self.settings)

    @property
    def is_running(self) -> bool:
        """Tell whether ``emerald serve`` runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and return once C-ECHO is answered."""
        self.launch()
        wait_until(self._answers, 30, f"C-ECHO from the node:\n{self.log.read_text()[-2000:]}")

    def launch(self) -> None:
        """Start and return at once."""
        command = [sys.executable, "-m", "dicom_node", "serve", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> int:
        """End it by SIGTERM; returns its exit status, which must come within 20 s."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)

    def kill(self) -> None:
        """End the node by SIGKILL; its children have to notice by themselves."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def children(self, role: str = "") -> list[int]:
        """Return the process ids of the node's workers, or of those of one role (``analyse``, ``deliver``)."""
        command = ["pgrep", "-P", str(self.pid), "-f", f"dicom_node.child {role}"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return [int(line) for line in found.stdout.split()]

    def wait_done(self, n_jobs: int = 1, timeout_s: float = 180) -> list[JobStatus]:
        """Return the jobs, oldest first, once there are so many and all are DONE."""
        store = self.store

        def done() -> list[JobStatus] | None:
            statuses = store.jobs(1000)
            ended = len(statuses) >= n_jobs and all(status.job.state == "DONE" for status in statuses)
            return statuses[::-1] if ended else None

        try:
            found: list[JobStatus] = wait_until(done, timeout_s, f"{n_jobs} jobs DONE; see {self.log}")
            return found
        finally:
            store.close()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.push(self.__exit__)  # where it does not answer
            self.start()
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            with suppress(ProcessLookupError):  # the whole group has ended
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            scu.echo(self.remote, "TEST", 5)
        except PeerError:
            return False
        return True


def storescu(folder: Path, to: RemoteAE, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Send every file of a folder with DCMTK's storescu; ``options`` such as ``-xt`` propose other syntaxes."""
    command = [str(DCMTK / "storescu"), *options, "-aec", to.ae_title, "+sd", to.host, str(to.port), str(folder)]
    environ = os.environ | {"TCP_NODELAY": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=check, env=environ, timeout=300)


def _values(
    data_dir: Path,
    destinations: Sequence[RemoteAE],
    objects: Sequence[str],
    detector: str,
    changes: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    values: dict[str, Any] = {name: dict(section) for name, section in QUICK.items()}
    values["dicom"] |= {"host": "127.0.0.1", "port": free_port()}
    for name, section in changes.items():
        values[name] = values.get(name, {}) | section
    values["data_dir"] = str(data_dir)
    values["destinations"] = [
        {"name": f"pacs{i}", "ae_title": to.ae_title, "host": to.host, "port": to.port, "timeout_s": 5}
        | {"objects": list(objects)}
        for i, to in enumerate(destinations, start=1)
    ]
    emr = values.get("emr", {}).get("destinations", ())
    names = [destination["name"] for destination in (*values["destinations"], *emr)]
    engine = {"detector": detector}
    values["pipelines"] = [{"called_ae_title": AE_TITLE, "destinations": names, "engine": engine}]
    return values


def _toml(values: dict[str, Any]) -> str:
    """Write settings as TOML: nested values inline, which TOML allows."""
    return "\n".join(f"{name} = {_inline(value)}" for name, value in values.items() if value is not None) + "\n"


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_inline(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(each) for each in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else '"' + str(value).replace("\\", "\\\\") + '"'
