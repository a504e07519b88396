"""The processes of a node, and how they are killed and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from dicom_node.domain import RemoteAE
from dicom_node.jobs.records import JobStatus
from tests.crash.moments import Launcher, Victim
from tests.support.broker import Broker
from tests.support.running import RunningNode, descendants, pid_of, wait_until


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
    probe_s : float
        How often a parked destination is probed.
    """

    def __init__(self, data_dir: Path, destinations: Sequence[RemoteAE], quiet_s: float, probe_s: float = 60.0) -> None:
        self.node = RunningNode(data_dir, destinations, settle={"quiet_s": quiet_s}, worker={"probe_s": probe_s})

    def jobs(self) -> list[JobStatus]:
        """Return the jobs, newest first."""
        return self._store.jobs(100)

    def at_work(self) -> int | None:
        """Return the process that analyses or delivers just now: its id is part of the worker's name."""
        attempts = [attempt for status in self.jobs() for attempt in self._store.attempts(status.job.id)]
        found = next((pid_of(each.worker) for each in attempts if each.ended_at is None), None)
        self._seen = found or self._seen
        return found

    def kill(self, victim: Victim) -> list[int]:
        """Send SIGKILL; returns the processes that must end now."""
        if victim == "node":
            ending = [self.node.pid, *descendants(self.node.pid)]
            self.node.kill()
            return ending
        pid = self.at_work() or self._seen or self.node.children("analyse")[0]
        os.kill(pid, signal.SIGKILL)
        return [pid]

    def kill_at(self, victim: Victim, syscall: str, number: int) -> list[int]:
        """Have strace send SIGKILL when a system call is entered for so many times; returns what must end then."""
        pid = self.node.pid if victim == "node" else self.node.children("analyse")[0]
        which = f"/^{syscall}"
        at = ("-e", f"trace={which}", "-e", f"inject={which}:signal=SIGKILL:when={number}")
        strace = subprocess.Popen(["strace", "-f", "-qq", "-o", os.devnull, *at, "-p", str(pid)])
        self._stack.callback(strace.wait, 10)  # it ends with the process
        wait_until(lambda: "TracerPid:\t0" not in Path(f"/proc/{pid}/status").read_text(), 30, "strace has it", 0.01)
        return [pid, *descendants(pid)]

    def stop(self) -> None:
        """End everything by SIGTERM; it has 20 s for it."""
        assert self.node.stop() == 0

    def restore(self) -> None:
        """Start again what nobody else starts; the node starts its workers."""
        if not self.node.is_running:
            self.node.start()
        wait_until(lambda: len(self.node.children()) == 2, 30, "both workers run")

    def __enter__(self) -> Self:
        self._seen: int | None = None  # who was at work last
        with ExitStack() as stack:
            self._begin(stack)
            self._stack = stack.pop_all()
        return self

    def _begin(self, stack: ExitStack) -> None:
        stack.enter_context(self.node)
        self._store = self.node.store
        stack.callback(self._store.close)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class WithCelery(Embedded):
    """``emerald serve``, an ``emerald worker`` and a Valkey server.

    The worker is started again as systemd would, and so is the broker.

    Attributes
    ----------
    worker : subprocess.Popen
        ``emerald worker``.
    """

    def __init__(self, data_dir: Path, destinations: Sequence[RemoteAE], quiet_s: float, probe_s: float = 60.0) -> None:
        self._broker = Broker()
        worker = {"launcher": "celery", "broker_url": self._broker.url, "lease_s": 5.0, "probe_s": probe_s}
        self.node = RunningNode(data_dir, destinations, settle={"quiet_s": quiet_s}, worker=worker)

    def kill(self, victim: Victim) -> list[int]:
        """Send SIGKILL; returns the processes that must end now."""
        if victim == "broker":
            self._broker.kill()
            return []
        if victim == "worker":
            ending = [self.worker.pid, *descendants(self.worker.pid)]
            self.worker.kill()
            self.worker.wait()
            return ending
        return super().kill(victim)

    def stop(self) -> None:
        """End everything by SIGTERM; it has 20 s for it."""
        super().stop()
        self.worker.terminate()
        assert self.worker.wait(20) == 0

    def restore(self) -> None:
        """Start again what does not run."""
        if not self.node.is_running:
            self.node.start()
        if self.worker.poll() is not None:
            self._start_worker()
        if not self._broker.is_running:
            self._broker.start()

    def _begin(self, stack: ExitStack) -> None:
        stack.enter_context(self._broker)
        self._start_worker()
        stack.callback(self._kill_worker)
        super()._begin(stack)

    def _kill_worker(self) -> None:
        self.worker.kill()  # its processes end with it
        self.worker.wait()

    def _start_worker(self) -> None:
        command = [sys.executable, "-m", "dicom_node", "worker", "--config", str(self.node.config)]
        with self.node.log.open("ab") as log:
            self.worker = subprocess.Popen(command, stdout=log, stderr=log)


BUILD: dict[Launcher, type[Embedded]] = {"embedded": Embedded, "celery": WithCelery}
