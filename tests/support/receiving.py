"""A node's receiving side alone: SCP, spool and ledger in a folder of their own."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_node.dimse.scp import Scp
from dicom_node.jobs.store import Store
from dicom_node.objects.spool import Spool
from dicom_node.settings import parse
from tests.support.peers import Peer

CALLED = "EMERALD"


@dataclass
class Receiver:
    """The running parts; ``port`` is where peers connect."""

    scp: Scp
    store: Store
    spool: Spool

    @property
    def port(self) -> int:
        """The port of the SCP."""
        return self.scp.port

    def held(self) -> list[Path]:
        """Received files."""
        return [path for _, path in self.spool.held()]

    def temporary(self) -> list[Path]:
        """Files that are arriving."""
        return list(self.spool.incoming.iterdir())

    def put_aside(self) -> list[str]:
        """Reasons of what is in quarantine."""
        return [reason for _, reason in self.store.quarantine()]

    def serves(self) -> bool:
        """Whether a well-behaved peer is served."""
        with Peer(self.port) as peer:
            peer.associate()
            served = peer.echo() == 0
            peer.release()
        return served


@contextmanager
def receiver(folder: Path, pipelines: tuple[dict[str, Any], ...] = (), **dicom: Any) -> Iterator[Receiver]:
    """Run a receiver on a free port of the loopback interface; ``dicom`` are settings of that section."""
    values = {"host": "127.0.0.1", "port": 0, "min_free_mb": 0, **dicom}
    pipelines = pipelines or ({"called_ae_title": CALLED},)
    settings = parse({"data_dir": str(folder), "dicom": values, "pipelines": pipelines})
    folder.mkdir(exist_ok=True)
    store = Store(settings.ledger_url)
    spool = Spool(folder, settings.dicom.min_free_mb, settings.dicom.max_object_mb)
    scp = Scp(settings, spool, store)
    scp.start()
    try:
        yield Receiver(scp, store, spool)
    finally:
        scp.stop()


def until(condition: Callable[[], bool], patience_s: float = 10.0) -> bool:
    """Wait for what another thread is about to do; False if it did not."""
    pause = threading.Event()
    deadline = time.monotonic() + patience_s
    while not (done := condition()) and time.monotonic() < deadline:
        pause.wait(0.01)
    return done


def tracebacks(records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    """Log records that carry a traceback or call themselves an error."""
    return [record for record in records if record.exc_info or record.levelno >= logging.ERROR]
