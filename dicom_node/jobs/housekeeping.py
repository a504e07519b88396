"""Removes the files whose time is over. What may go, and that it is gone, is the ledger's to say (``retention.py``)."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from dicom_node.jobs.records import HeldFile
from dicom_node.jobs.store import Store
from dicom_node.settings import RetentionSettings

_LOG = logging.getLogger(__name__)


class Disk(Protocol):
    """What housekeeping asks of the spool."""

    def remove_received(self, path: Path) -> None:
        """Remove a received instance; it may be gone already."""

    def remove_results(self, job_id: int) -> None:
        """Remove all results of a job; they may be gone already."""


@dataclass(frozen=True)
class Removed:
    """How many files went."""

    received: int
    results: int


def run(store: Store, disk: Disk, settings: RetentionSettings) -> Removed:
    """Remove what is due, some thousand files at most; what cannot be removed is tried again next time."""
    now = store.clock()
    received = store.removable_received(now - timedelta(days=settings.keep_received_days))
    gone = [file for file in received if _received_gone(disk, file)]
    store.note_received_removed(gone)
    results = store.removable_results(now - timedelta(days=settings.keep_results_days))
    for job_id in {file.job_id for file in results}:
        disk.remove_results(job_id)
    store.note_results_removed(results)
    store.emr_prune(now - timedelta(days=settings.keep_messages_days))
    if gone or results:
        _LOG.info("removed %d received and %d result files whose time was over", len(gone), len(results))
    return Removed(len(gone), len(results))


def _received_gone(disk: Disk, file: HeldFile) -> bool:
    try:
        disk.remove_received(Path(file.path))
    except OSError as error:
        _LOG.error("a received file cannot be removed: %s", error.strerror)
        return False
    return True
