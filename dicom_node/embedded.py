"""The embedded launcher: worker processes that live and die with ``emerald serve``.

The parent hands each child (``child.py``) its settings on standard input and keeps that pipe open; a child that reads
its end knows that the parent is gone and ends at once. No lock, no file and no signal can be left behind.
"""

import logging
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field

from dicom_node import node
from dicom_node.settings import Settings

_LOG = logging.getLogger(__name__)
_RESTART_PAUSE_S = 2.0


@dataclass
class _Child:
    role: str
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)


class EmbeddedLauncher:
    """Keeps ``worker.processes`` analysis workers and one delivery worker running.

    What a child held when it died is given back at once, without waiting for the end of its lease.
    """

    def __init__(self, settings: Settings, log_level: str = "INFO") -> None:
        self._settings = settings
        self._log_level = log_level
        self._children: list[_Child] = []

    def start(self) -> None:
        """Start every child. No worker outlives its node: what is still held was held by children of an earlier one."""
        self._store = node.open_store(self._settings)
        self._store.abandon("")
        roles = ["analyse"] * self._settings.worker.processes + ["deliver"]
        self._children = [self._spawn(role) for role in roles]

    def tend(self) -> None:
        """Start again what has ended."""
        for index, child in enumerate(self._children):
            if child.process.poll() is not None and time.monotonic() - child.started > _RESTART_PAUSE_S:
                _LOG.warning("%s worker ended with %s, starting another", child.role, child.process.returncode)
                self._store.abandon(node.workers_of(child.process.pid))
                child.started = time.monotonic()
                try:
                    self._children[index] = self._spawn(child.role)
                except OSError as error:  # no memory, no more processes: the next time, perhaps
                    _LOG.error("no worker could be started: %s", error)

    def stop(self, timeout_s: float = 8.0) -> None:
        """End the children: politely, then not."""
        for child in self._children:
            child.process.terminate()
        deadline = time.monotonic() + timeout_s
        for child in self._children:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self._children = []
        self._store.close()

    def _spawn(self, role: str) -> _Child:
        command = [sys.executable, "-m", "dicom_node.child", role, self._log_level]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        if process.stdin:
            with suppress(BrokenPipeError):  # it has ended already: tend() will see
                process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
                process.stdin.flush()
        return _Child(role, process)
