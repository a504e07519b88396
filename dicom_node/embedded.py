"""The embedded launcher: worker processes that live and die with ``emerald serve``.

The parent hands each child its settings on standard input and keeps that pipe open; a child that reads its end knows
that the parent is gone and ends at once. No lock, no file and no signal can be left behind.
"""

import logging
import os
import subprocess
import sys
import threading
import time
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
    """Keeps ``worker.processes`` analysis workers and one delivery worker running."""

    def __init__(self, settings: Settings, log_level: str = "INFO") -> None:
        self._settings = settings
        self._log_level = log_level
        self._children: list[_Child] = []

    def start(self) -> None:
        """Start every child."""
        roles = ["analyse"] * self._settings.worker.processes + ["deliver"]
        self._children = [self._spawn(role) for role in roles]

    def tend(self) -> None:
        """Start again what has ended."""
        for index, child in enumerate(self._children):
            if child.process.poll() is not None and time.monotonic() - child.started > _RESTART_PAUSE_S:
                _LOG.warning("%s worker ended with %s, starting another", child.role, child.process.returncode)
                self._children[index] = self._spawn(child.role)

    def stop(self, timeout_s: float = 10.0) -> None:
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

    def _spawn(self, role: str) -> _Child:
        command = [sys.executable, "-m", "dicom_node.embedded", role, self._log_level]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        if process.stdin:
            process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
            process.stdin.flush()
        return _Child(role, process)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(role: str, log_level: str) -> None:
    """Be a child: read the settings, then work until the parent ends."""
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if role == "analyse":
        os.nice(settings.worker.niceness)
        node.analyse_for_ever(settings)
    else:
        node.deliver_for_ever(settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
