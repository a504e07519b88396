"""One unit of work: claim it, run its step with a heartbeat beside, record what came of it.

The worker is one of the three places where errors are caught. It reads ``transient``: such an error is tried again, any
other is not. The embedded launcher and the Celery tasks call the same two functions.
"""

import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random
from types import TracebackType

from dicom_node.domain import Job
from dicom_node.errors import AssociationRejected, IllegalTransition, LeaseLost, LedgerError, SpoolError
from dicom_node.jobs.backoff import backoff_s
from dicom_node.jobs.records import Delivery, Saved
from dicom_node.jobs.store import Store

_LOG = logging.getLogger(__name__)

# Often enough that `emerald jobs --watch` shows the stage that runs.
_BEAT_S = 2.0
# The work became void, or the ledger is away: then the lease runs out, and somebody tries again.
_CANNOT_BE_NOTED = (LeaseLost, IllegalTransition, LedgerError)

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Steps:
    """What a worker does with its claim.

    Attributes
    ----------
    analyse : callable
        Turns a READY job into results on disk. A job that comes with reason FAILED has used up its attempts and wants
        a "not analysed" result. ``progress(stage, fraction)`` may raise ``LeaseLost``: let it pass.
    deliver : callable
        Sends what a delivery's target does not hold yet and notes each status; raises ``PeerError``.
    """

    analyse: Callable[[Job, Progress], Saved]
    deliver: Callable[[Delivery], None]


class Heartbeat:
    """A thread that prolongs a lease while a step runs, and learns whether it is lost.

    Parameters
    ----------
    beat : callable
        Takes stage and fraction; raises ``LeaseLost``.
    period_s : float
        Seconds between two beats.
    """

    def __init__(self, beat: Callable[[str | None, float | None], None], period_s: float) -> None:
        self._beat = beat
        self._period_s = period_s
        self._stage: tuple[str | None, float | None] = (None, None)
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def progress(self, stage: str, fraction: float) -> None:
        """Take note of how far the step is; raises ``LeaseLost`` once the work is no longer ours."""
        self._stage = (stage, fraction)
        if self._lost.is_set():
            raise LeaseLost("the work was taken over or has become void")

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            try:
                self._beat(*self._stage)
            except LeaseLost:
                self._lost.set()
                return
            except LedgerError as error:
                _LOG.warning("heartbeat: %s", error)


@dataclass(frozen=True)
class Worker:
    """Somebody who takes work from the ledger, one unit at a time.

    Attributes
    ----------
    name : str
        Unique among the workers that live at one time.
    lease_s : float
        Seconds of silence after which the worker is held to be dead.
    rng : random.Random
        Where the jitter of the back-off comes from.
    """

    store: Store
    steps: Steps
    name: str
    lease_s: float
    rng: Random

    def run_once(self, job_id: int | None = None) -> int | None:
        """Claim one job (or this one), analyse it and record the outcome, whatever it is.

        Returns
        -------
        int or None
            The job's id, or None if there was nothing to do.
        """
        job = self.store.claim_job(self.name, self.lease_s, job_id)
        if job is None:
            return None
        _LOG.info("job %d: analysis begins", job.id)
        try:
            with Heartbeat(partial(self.store.beat, job.id, self.name, self.lease_s), self._period_s) as heartbeat:
                saved = self.steps.analyse(job, heartbeat.progress)
            self.store.save_analysis(job.id, self.name, saved)
            _LOG.info("job %d: %s", job.id, saved.outcome)
        except (LeaseLost, IllegalTransition) as error:
            _LOG.info("job %d: result dropped, %s", job.id, error)
        except Exception as error:
            self._failed(job, error)
        except BaseException:
            # told to stop: not the job's fault
            self.store.give_back(job.id, self.name)
            raise
        return job.id

    def deliver_once(self, target: str | None = None, delivery_id: int | None = None) -> int | None:
        """Claim one delivery that is due, send it and record the outcome, whatever it is.

        Returns
        -------
        int or None
            The delivery's id, or None if nothing was due.
        """
        delivery = self.store.claim_delivery(self.name, self.lease_s, target, delivery_id)
        if delivery is None:
            return None
        try:
            with Heartbeat(lambda *_: self._beat_delivery(delivery), self._period_s):
                self.steps.deliver(delivery)
            self.store.finish_delivery(delivery.id, self.name)
            _LOG.info("job %d: delivered to %s", delivery.job_id, delivery.target)
        except (LeaseLost, IllegalTransition) as error:
            _LOG.info("job %d: %s", delivery.job_id, error)
        except Exception as error:
            self._not_delivered(delivery, error)
        except BaseException:
            self.store.give_back_delivery(delivery.id, self.name)
            raise
        return delivery.id

    @property
    def _period_s(self) -> float:
        return min(_BEAT_S, self.lease_s / 3)

    def _beat_delivery(self, delivery: Delivery) -> None:
        self.store.beat_delivery(delivery.id, self.name, self.lease_s)

    def _failed(self, job: Job, error: Exception) -> None:
        # Out of memory: another moment, with less beside it, may do.
        transient = bool(getattr(error, "transient", isinstance(error, MemoryError)))
        unforeseen = not transient and not hasattr(error, "transient")  # our own errors are sentences
        _LOG.warning("job %d: analysis failed, %s", job.id, _words(error), exc_info=unforeseen)
        try:
            counts = not isinstance(error, SpoolError | LedgerError)
            self.store.fail(job.id, self.name, _words(error), transient, traceback.format_exc(), counts=counts)
        except _CANNOT_BE_NOTED as late:
            _LOG.warning("job %d: %s", job.id, late)

    def _not_delivered(self, delivery: Delivery, error: Exception) -> None:
        words = _words(error)
        logged = getattr(error, "logged", words)
        _LOG.warning("job %d: not delivered to %s, %s", delivery.job_id, delivery.target, logged)
        try:
            if isinstance(error, AssociationRejected) and error.permanent:
                self.store.park_target(delivery.id, self.name, words)
            elif getattr(error, "transient", False):
                self._delay(delivery, words)
            else:
                self.store.park_delivery(delivery.id, self.name, words, traceback.format_exc())
        except _CANNOT_BE_NOTED as late:
            _LOG.warning("job %d: %s", delivery.job_id, late)

    def _delay(self, delivery: Delivery, words: str) -> None:
        now, failures = self.store.clock(), self.store.target_failures(delivery.target) + 1
        own, shared = (now + timedelta(seconds=backoff_s(n, self.rng)) for n in (delivery.attempts, failures))
        self.store.delay_delivery(delivery.id, self.name, words, own, shared)


def _words(error: Exception) -> str:
    """Say what went wrong: our own errors are sentences, others need their name."""
    return str(error) if hasattr(error, "transient") else f"{type(error).__name__}: {error}"
