"""What makes a change to the disk survive a power cut, and disk errors as our own."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dicom_node.errors import SpoolError


@contextlib.contextmanager
def as_spool_error() -> Iterator[None]:
    """Raise SpoolError for what the operating system says."""
    try:
        yield
    except OSError as error:
        raise SpoolError(f"{error.strerror or error}") from error


def fsync_folder(folder: Path) -> None:
    """Have a folder's entries on the disk itself; raises SpoolError."""
    with as_spool_error():
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class FolderSync:
    """Syncs folders; threads that ask for a folder while it is being synced share the next sync of it.

    What was renamed into the folder before ``sync`` was called is on the disk when ``sync`` returns.
    """

    def __init__(self, fsync: Callable[[Path], None] | None = None) -> None:
        self._fsync = fsync or fsync_folder
        self._changed = threading.Condition()
        self._rounds: dict[Path, _Rounds] = {}

    def sync(self, folder: Path) -> None:
        """Return once the folder is on the disk; raises SpoolError where the disk failed."""
        with self._changed:
            rounds = self._rounds.setdefault(folder, _Rounds())
            rounds.users += 1
        try:
            self._take_part(folder, rounds)
        finally:
            with self._changed:
                rounds.users -= 1
                if not rounds.users:
                    del self._rounds[folder]

    def _take_part(self, folder: Path, rounds: "_Rounds") -> None:
        with self._changed:
            mine = rounds.begun + 1  # the first round that begins after the rename
            while rounds.running and rounds.done < mine:
                self._changed.wait()
            if rounds.done >= mine:
                return
            rounds.running = True
            rounds.begun += 1
            this = rounds.begun
        try:
            self._fsync(folder)
            rounds.done = this
        finally:
            with self._changed:
                rounds.running = False
                self._changed.notify_all()


@dataclass
class _Rounds:
    """The syncs of one folder, counted; those that failed are never ``done``."""

    users: int = 0
    begun: int = 0
    done: int = 0
    running: bool = False
