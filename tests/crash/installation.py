"""The processes of a node, and how they are killed and started again."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from dicom_node.domain import RemoteAE
from dicom_node.jobs.records import JobStatus
from tests.crash.moments import Phase, Victim
from tests.support.running import RunningNode, descendants, wait_until


class Embedded:
    """``emerald serve`` with its own worker processes.

    Parameters
    ----------
    data_dir : Path
        Of the node.
    destinations : sequence of RemoteAE
        Where results go.
    quiet_s : float
        Quiet time of the node.
    """

    def __init__(self, data_dir: Path, destinations: Sequence[RemoteAE], quiet_s: float) -> None:
        self.node = RunningNode(data_dir, destinations, settle={"quiet_s": quiet_s})

    def jobs(self) -> list[JobStatus]:
        """Return the jobs, newest first."""
        return self._store.jobs(100)

    def kill(self, victim: Victim, phase: Phase) -> list[int]:
        """Send SIGKILL to the node, or to the worker of the phase; returns the processes that must end now."""
        if victim == "node":
            ending = [self.node.pid, *descendants(self.node.pid)]
            self.node.kill()
            return ending
        (pid,) = self.node.children("deliver" if phase == "delivery" else "analyse")
        os.kill(pid, signal.SIGKILL)
        return [pid]

    def restore(self) -> None:
        """Start the node again; a worker is started by the node itself."""
        if not self.node.is_running:
            self.node.start()
        wait_until(lambda: len(self.node.children()) == 2, 30, "both workers run")

    def __enter__(self) -> Self:
        self.node.start()
        self._store = self.node.store
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()
        self.node.__exit__(kind, error, trace)
