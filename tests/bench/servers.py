"""The servers that are compared, each started in an empty folder and stopped again."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from dicom_node.cli.demo_pacs import OrthancPacs, StorescpPacs
from dicom_node.domain import RemoteAE
from tests.support.programs import DCMTK
from tests.support.running import RunningNode, storescu, wait_until

Server = Callable[[Path], AbstractContextManager[RemoteAE]]

NODE, STORESCP, ORTHANC = "emerald", "storescp", "Orthanc"
# DCMTK answers in two small writes; without TCP_NODELAY each image then waits 40 ms. That is its default.
STORESCP_NAGLE, ORTHANC_NAGLE = "storescp, no TCP_NODELAY", "Orthanc, no TCP_NODELAY"
SLOW = (STORESCP_NAGLE, ORTHANC_NAGLE)
_UNSET = ("env", "-u", "TCP_NODELAY")


def available() -> dict[str, Server]:
    """Return the servers that are installed, by name."""
    servers: dict[str, Server] = {NODE: node}
    if shutil.which("Orthanc"):
        servers |= {ORTHANC: _pacs(OrthancPacs), ORTHANC_NAGLE: _pacs(_NagleOrthanc)}
    if (DCMTK / "storescp").exists():
        servers |= {STORESCP: _pacs(StorescpPacs), STORESCP_NAGLE: _pacs(_NagleStorescp)}
    return servers


@contextmanager
def node(folder: Path) -> Iterator[RemoteAE]:
    """Run the node; its studies do not settle while it is measured."""
    with RunningNode(folder, settle={"quiet_s": 3600.0}) as running:
        # It answers C-ECHO while its workers still start; what they do then is not reception.
        wait_until(lambda: _is_idle([running.pid, *running.children()]), 60, "the workers have started")
        yield running.remote


@contextmanager
def busy_node(folder: Path, studies: Sequence[Path]) -> Iterator[RemoteAE]:
    """Run a node that analyses these studies, and then what it is sent, the whole time."""
    with RunningNode(folder) as running:
        for study in studies:
            storescu(study, running.remote, "-xe")
        store = running.store
        wait_until(lambda: any(status.worker for status in store.jobs()), 60, "the analysis begins")
        yield running.remote
        wait_until(lambda: any(status.worker for status in store.jobs()), 5, "the analysis still runs")
        store.close()


def _is_idle(pids: Sequence[int], within_s: float = 0.5) -> bool:
    """Whether these processes take less than a tenth of a CPU for some time."""
    before = _cpu_s(pids)
    time.sleep(within_s)
    return _cpu_s(pids) - before < within_s / 10


def _cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds that processes have used: utime and stime of proc(5)."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def _pacs(kind: type[StorescpPacs] | type[OrthancPacs]) -> Server:
    @contextmanager
    def running(folder: Path) -> Iterator[RemoteAE]:
        folder.mkdir(parents=True)
        with kind(folder) as pacs:
            yield pacs.remote

    return running


class _NagleStorescp(StorescpPacs):
    def command(self) -> list[str]:
        return [*_UNSET, *super().command()]


class _NagleOrthanc(OrthancPacs):
    def command(self) -> list[str]:
        return [*_UNSET, *super().command()]
