"""Instances on disk: streamed in, proved whole, made durable, kept under names that say nothing of the patient.

::

    spool/incoming/                                         temporary files, on the same file system as the rest
    spool/received/<called AE>/<study>/<instance>.dcm       names are digests of the UIDs
    spool/results/<job id>/<name>.dcm
    spool/quarantine/<digest>.dcm and .txt                  what was refused, and why

What has a name outside ``incoming`` is complete and survives a power cut: the file is synced, renamed, and its folder
synced, in this order.
"""

import contextlib
import hashlib
import itertools
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote
from uuid import uuid4

from pydicom import Dataset

from dicom_node.domain import InstanceRef
from dicom_node.errors import DiskFull, InstanceUnreadable
from dicom_node.objects.disk import FolderSync, as_spool_error
from dicom_node.objects.headers import instance_ref, media_storage_sop_instance_uid
from dicom_node.objects.incoming import GATHERED_BYTES, Incoming
from dicom_node.objects.part10 import Announced

_LOG = logging.getLogger(__name__)
_MB = 1 << 20
# A file waits seconds for its row in the ledger; a busy site receives ten thousand an hour.
_RECENT_S = 3600.0


class Spool:
    """The files under ``data_dir/spool``.

    Parameters
    ----------
    min_free_mb : int
        Free space below which nothing new is taken.
    max_object_mb : int
        Largest data set taken.
    """

    def __init__(self, data_dir: Path, min_free_mb: int, max_object_mb: int) -> None:
        self.root = data_dir / "spool"
        self.received = self.root / "received"
        self.incoming = self.root / "incoming"
        self._results = self.root / "results"
        self._quarantine = self.root / "quarantine"
        self._min_free_mb = min_free_mb
        self._max_bytes = max_object_mb * _MB
        self._folders = FolderSync()
        self._session, self._numbers = uuid4().hex, itertools.count(1)
        for folder in (self.received, self.incoming, self._results, self._quarantine):
            self._make(folder)

    def open_incoming(self, announced: Announced, gathering: bytearray | None = None) -> Incoming:
        """Begin to receive a data set.

        Parameters
        ----------
        gathering : bytearray or None
            Of ``GATHERED_BYTES``, to be used by one incoming data set at a time; made where it is not given.

        Raises
        ------
        DiskFull
            Less free space than ``min_free_mb``.
        SpoolError
            The temporary file could not be made.
        """
        if (free := self.free_mb()) < self._min_free_mb:
            raise DiskFull(f"{free} MB free, min_free_mb is {self._min_free_mb}")
        path = self.incoming / f"{self._session}-{next(self._numbers)}.part"
        return Incoming(path, announced, self._max_bytes, gathering or bytearray(GATHERED_BYTES))

    def keep(self, incoming: Incoming, called_ae_title: str, ref: InstanceRef) -> InstanceRef:
        """Make a checked instance durable under its final name: file synced, renamed, folder synced.

        Raises
        ------
        SpoolError
            The disk failed; nothing is to be acknowledged then.
        """
        path = self.path_of(called_ae_title, ref.study_instance_uid, ref.sop_instance_uid)
        incoming.sync()
        self._make(path.parent)
        self._rename(incoming.path, path)
        incoming.was_moved()
        return replace(ref, path=path)

    def holds(self, called_ae_title: str, ref: InstanceRef) -> bool:
        """Whether a received instance of this study and UID lies here."""
        return self.path_of(called_ae_title, ref.study_instance_uid, ref.sop_instance_uid).exists()

    def path_of(self, called_ae_title: str, study_instance_uid: str, sop_instance_uid: str) -> Path:
        """Where a received instance lies."""
        return self._study_dir(called_ae_title, study_instance_uid) / f"{_name(sop_instance_uid, 32)}.dcm"

    def quarantine(self, path: Path, why: str) -> Path:
        """Put a refused file aside, durably; the same bytes are kept once. Returns where it is now."""
        with as_spool_error(), path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        aside = self._quarantine / f"{digest[:32]}.dcm"
        with as_spool_error():
            aside.with_suffix(".txt").write_text(f"{why}\n", encoding="utf-8")
        self._rename(path, aside)
        return aside

    def write_result(self, job_id: int, name: str, dataset: Dataset) -> Path:
        """Write a result object durably as ``<name>.dcm``; an earlier one of that name is replaced."""
        folder = self.results_dir(job_id)
        self._make(folder)
        # Not among the incoming: those are removed when the node starts, and a worker may be writing then.
        temporary = folder / f"{uuid4().hex}.part"
        try:
            with as_spool_error(), temporary.open("xb") as file:
                dataset.save_as(file, enforce_file_format=True)
                file.flush()
                os.fsync(file.fileno())
            self._rename(temporary, folder / f"{name}.dcm")
        finally:
            temporary.unlink(missing_ok=True)
        return folder / f"{name}.dcm"

    def results_dir(self, job_id: int) -> Path:
        """Where the results of a job lie."""
        return self._results / str(job_id)

    def remove_received(self, path: Path) -> None:
        """Remove a received instance, and its study's folder with the last one."""
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or just now filled again
            path.parent.rmdir()

    def remove_results(self, job_id: int) -> None:
        """Remove all results of a job."""
        shutil.rmtree(self.results_dir(job_id), ignore_errors=True)

    def free_mb(self) -> int:
        """Free space of the file system, in MB, as an ordinary user may use it."""
        with as_spool_error():
            state = os.statvfs(self.root)
        return state.f_bavail * state.f_frsize // _MB

    def clear_incoming(self) -> int:
        """Remove what a crash left half received; none of it was acknowledged. Returns how many files."""
        left = list(self.incoming.iterdir())
        for path in left:
            path.unlink()
        return len(left)

    def held(self, last_s: float = float("inf")) -> Iterator[tuple[str, Path]]:
        """Yield the files received in the last so many seconds, with the called AE title that received them.

        Folders that nothing was added to since are not opened: there may be hundreds of thousands of files.
        """
        studies = [study for folder in sorted(self.received.iterdir()) for study in sorted(folder.iterdir())]
        since = max((study.stat().st_mtime for study in studies), default=0.0) - last_s
        for study in studies:
            if study.stat().st_mtime >= since:
                for path in sorted(study.glob("*.dcm")):
                    if path.stat().st_mtime >= since:
                        yield unquote(study.parent.name), path

    def _study_dir(self, called_ae_title: str, study_instance_uid: str) -> Path:
        # An AE title may hold a slash, or be two dots.
        folder = quote(called_ae_title, safe=" ").replace(".", "%2E")
        return self.received / folder / _name(study_instance_uid, 16)

    def _make(self, folder: Path) -> None:
        """Make a folder that survives a power cut, with its parents."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        with as_spool_error():
            folder.mkdir(exist_ok=True)
        self._folders.sync(folder.parent)

    def _rename(self, path: Path, final: Path) -> None:
        with as_spool_error():
            path.replace(final)
        self._folders.sync(final.parent)


class InstanceIndex(Protocol):
    """What ``reconcile`` asks of the ledger."""

    def known_instance(self, called_ae_title: str, sop_instance_uid: str) -> InstanceRef | None:
        """Return the instance, if it was noted."""

    def note_instance(self, called_ae_title: str, association_id: int | None, ref: InstanceRef) -> bool:
        """Note a durable instance; False where one of its UID is held already."""

    def note_quarantined(self, called_ae_title: str, association_id: int | None, path: Path, reason: str) -> None:
        """Note a refused one."""


def reconcile(spool: Spool, store: InstanceIndex) -> int:
    """Bring spool and ledger together after a crash; returns how many instances were noted.

    Half received files go; a file that was renamed but not yet noted is noted now. Its sender saw no answer and sends
    it again, which is a repeat then. Only the last hour before the crash is looked at.
    """
    if removed := spool.clear_incoming():
        _LOG.info("removed %d half received objects", removed)
    noted = sum(_note_if_unknown(spool, store, *file) for file in list(spool.held(_RECENT_S)))
    if noted:
        _LOG.info("noted %d instances that a crash had left without a row in the ledger", noted)
    return noted


def _note_if_unknown(spool: Spool, store: InstanceIndex, called_ae_title: str, path: Path) -> bool:
    try:
        if store.known_instance(called_ae_title, media_storage_sop_instance_uid(path)) is not None:
            return False
        return store.note_instance(called_ae_title, None, instance_ref(path))
    except InstanceUnreadable as error:
        store.note_quarantined(called_ae_title, None, spool.quarantine(path, str(error)), str(error))
        return False


def _name(uid: str, n_digits: int) -> str:
    return hashlib.sha256(uid.encode("ascii")).hexdigest()[:n_digits]
