"""The composition root: settings in, running parts out. The one place that builds adapters."""

import fcntl
import logging
import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Protocol, Self

from dicom_node import late_records, pipeline
from dicom_node.dimse import scu
from dicom_node.dimse.scp import Scp
from dicom_node.emr_listener import mllp_service
from dicom_node.emr_records import asking
from dicom_node.engines import check_engines, engine_for
from dicom_node.errors import (
    AssociationAborted,
    AssociationRejected,
    LedgerError,
    NodeError,
    PeerError,
    PeerTimeout,
)
from dicom_node.jobs import housekeeping, settle
from dicom_node.jobs.store import Store
from dicom_node.jobs.worker import Steps, Worker
from dicom_node.objects.spool import Spool, reconcile
from dicom_node.settings import Settings
from hl7_emr.hl7v2.service import Service

_LOG = logging.getLogger(__name__)
_TICK_S = 0.25
_SWEEP_S = 5.0
_HOUSEKEEPING_S = 60.0


class Launcher(Protocol):
    """Who runs the steps: worker processes, or Celery workers."""

    def start(self) -> None:
        """Begin."""

    def tend(self) -> None:
        """Do what is due; called a few times a second."""

    def stop(self) -> None:
        """End what was started."""


def begin_log(level: str) -> None:
    """Log to standard error; each process of the node calls it first."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Their warnings quote values of the images, such as whole UIDs. They come twice: as warnings and in their logs.
    warnings.filterwarnings("ignore", module="pydicom|highdicom")
    for library in ("pydicom", "highdicom"):
        logging.getLogger(library).setLevel(logging.ERROR)


def software_version() -> str:
    """Return the version of the installed distribution."""
    return version("emerald-node")


def open_store(settings: Settings) -> Store:
    """Open the ledger that the settings name."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return Store(settings.ledger_url, max_attempts=settings.worker.attempts)


def open_spool(settings: Settings) -> Spool:
    """Open the spool in ``data_dir``."""
    return Spool(settings.data_dir, settings.dicom.min_free_mb, settings.dicom.max_object_mb)


def build_parts(settings: Settings) -> pipeline.Parts:
    """Build what the steps of a job work with."""
    store = open_store(settings)
    return pipeline.Parts(
        settings=settings,
        store=store,
        spool=open_spool(settings),
        identity=pipeline.Identity(installation_uid(settings.data_dir), software_version()),
        engine_for=partial(engine_for, models_dir=settings.models),
        ask=asking(settings, store),
    )


def installation_uid(data_dir: Path) -> str:
    """Return the UID of this installation; the first call makes it."""
    path = data_dir / "installation"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        with draft.open("w", encoding="ascii") as file:
            file.write(f"2.25.{uuid.uuid4().int}\n")
            file.flush()
            os.fsync(file.fileno())  # all UIDs derive from it: it must outlive a power cut
        try:
            os.link(draft, path)  # the first of several processes wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()


def build_steps(parts: pipeline.Parts) -> Steps:
    """Return the steps of a job over these parts."""
    return Steps(
        analyse=lambda job, progress: pipeline.analyse(job, parts, progress),
        deliver=lambda delivery: pipeline.deliver(delivery, parts),
    )


class Node:
    """A running node: reception, settling, housekeeping, and a launcher for the work.

    Raises
    ------
    SettingsError
        The weights of a pipeline's engine are missing, or not what they should be.
    NodeError
        Another node already serves this ``data_dir``, the port is taken, or the ledger cannot be opened.
    """

    def __init__(self, settings: Settings, launcher: Launcher) -> None:
        self._settings = settings
        self._launcher = launcher
        self._parts = build_parts(settings)
        check_engines(settings)
        self._scp = Scp(settings, self._parts.spool, self._parts.store)
        mllp = settings.emr.mllp
        self._looking = threading.Thread()
        self._mllp = mllp_service(settings, self._parts.store, mllp.port) if mllp.enabled else None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._scp.port

    @property
    def mllp_port(self) -> int | None:
        """The port of the HL7 v2 listener; None: there is none."""
        return self._mllp.port if self._mllp else None

    def __enter__(self) -> Self:
        self._lock = _sole_server(self._settings.data_dir)
        self._lock.__enter__()
        store = self._parts.store
        store.close_open_associations()
        reconcile(self._parts.spool, store)
        self._launcher.start()
        self._scp.start()
        if self._mllp:
            self._begin_mllp(self._mllp)
        self._started_at = store.clock()  # from now on senders that were cut off can come back
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mllp:
            self._mllp.__exit__(None, None, None)
        self._scp.stop()
        self._launcher.stop()
        self._parts.store.close()
        self._lock.__exit__(kind, error, trace)

    def _begin_mllp(self, mllp: Service) -> None:
        try:
            mllp.__enter__()
        except OSError as error:
            self._scp.stop()
            self._launcher.stop()
            port = self._settings.emr.mllp.port
            raise NodeError(f"MLLP port {port}: {error.strerror or error}") from error

    def run(self, stop: threading.Event) -> None:
        """Settle studies and keep house until ``stop`` is set."""
        due, trouble = _Due(), ""
        while not stop.wait(_TICK_S):
            try:
                self._tick(due, self._parts.store, self._started_at)
                trouble = ""
            except Exception as error:  # said once, not four times a second
                if repr(error) != trouble:
                    _say(error)
                trouble = repr(error)

    def _tick(self, due: "_Due", store: Store, started_at: datetime) -> None:
        self._launcher.tend()
        for job_id in settle.settle_due(store, self._settings.settle, started_at):
            _LOG.info("job %d: the study is complete", job_id)
        if due.now("sweep", _SWEEP_S):
            store.sweep()
        self._look_for_late_records(due, store)
        if due.now("housekeeping", _HOUSEKEEPING_S):
            housekeeping.run(store, self._parts.spool, self._settings.retention)

    def _look_for_late_records(self, due: "_Due", store: Store) -> None:
        """Look on a thread of its own, one at a time: servers answer slowly."""
        emr, ask = self._settings.emr, self._parts.ask
        if not emr.revise_for_late_records or ask is None or self._looking.is_alive():
            return
        if due.now("late records", emr.late_record_every_s):
            arguments = (store, ask, emr.late_record_hours)
            self._looking = threading.Thread(target=late_records.look, args=arguments, name="late", daemon=True)
            self._looking.start()


def _say(error: Exception) -> None:
    """Log what went wrong in a tick; reception goes on, and the next tick tries again."""
    if isinstance(error, NodeError):  # the ledger is busy, or the disk is full
        _LOG.warning("%s", error)
    else:
        _LOG.error("a mistake of ours", exc_info=error)


class _Due:
    """What is to be done every so many seconds."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def now(self, what: str, every_s: float) -> bool:
        """Tell whether it is time; if so, the time starts anew."""
        now = time.monotonic()
        if now - self._last.get(what, float("-inf")) < every_s:
            return False
        self._last[what] = now
        return True


@contextmanager
def _sole_server(data_dir: Path) -> Iterator[None]:
    """Hold the kernel's lock on ``data_dir``; it goes with the process, however that ends."""
    with (data_dir / "serving").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise NodeError(f"{data_dir}: another emerald serve already uses this data_dir") from error
        yield


def worker_name(role: str) -> str:
    """Return a name that no other living worker has."""
    return workers_of(os.getpid()) + role


def workers_of(pid: int) -> str:
    """Return how the names of all workers in a process of this machine begin."""
    return f"{socket.gethostname()}-{pid}-"


def analyse_for_ever(settings: Settings) -> None:
    """Be an analysis worker: claim, analyse, record."""
    parts = build_parts(settings)
    worker = Worker(parts.store, build_steps(parts), worker_name("analyse"), settings.worker.lease_s, Random())
    while True:
        try:
            idle = worker.run_once() is None
        except LedgerError as error:
            _LOG.warning("%s", error)
            idle = True
        if idle:
            time.sleep(_TICK_S)


def deliver_for_ever(settings: Settings) -> None:
    """Be the delivery worker: one thread for each destination, so that none holds up another."""
    parts = build_parts(settings)
    threads = [
        threading.Thread(target=partial(_deliver_to, parts, target), name=target, daemon=True)
        for target in settings.targets
    ]
    for thread in threads:
        thread.start()
    while all(thread.is_alive() for thread in threads):  # else end: the parent starts us anew
        time.sleep(_TICK_S)


def _deliver_to(parts: pipeline.Parts, target: str) -> None:
    name, lease_s = worker_name(f"deliver-{target}"), parts.settings.worker.lease_s
    worker = Worker(parts.store, build_steps(parts), name, lease_s, Random())
    due = _Due()
    while True:
        try:
            idle = worker.deliver_once(target) is None
            if idle and due.now("probe", parts.settings.worker.probe_s) and target in parts.store.parked_targets():
                probe(parts, target)
        except LedgerError as error:
            _LOG.warning("%s: %s", target, error)
            idle = True
        if idle:
            time.sleep(_TICK_S)


def probe_parked(parts: pipeline.Parts) -> None:
    """Ask each parked destination by C-ECHO; the deliveries of one that answers resume."""
    for target in parts.store.parked_targets():
        probe(parts, target)


def probe(parts: pipeline.Parts, target: str) -> None:
    """Ask a parked destination by C-ECHO; its deliveries resume where it takes associations again.

    One that takes the association and not the C-ECHO is well enough: what was refused was the association.
    """
    destination = parts.settings.destination(target)
    sender = next((p for p in parts.settings.pipelines if target in p.destinations), None)
    if destination is None or sender is None:
        return
    try:
        scu.echo(destination.remote, sender.called_ae_title, destination.timeout_s)
    except (AssociationRejected, AssociationAborted, PeerTimeout) as error:
        _LOG.info("still parked: %s", error)
        return
    except PeerError as error:
        _LOG.info("%s", error)
    _LOG.info("%s takes associations again", destination.remote)
    parts.store.unpark(target)
