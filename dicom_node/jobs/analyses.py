"""The ledger's analysing side: claims with leases, heartbeats, results, failures."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dicom_node.domain import InstanceRef, Job, Outcome, Reason
from dicom_node.errors import LeaseLost
from dicom_node.jobs import states
from dicom_node.jobs import tables as t
from dicom_node.jobs.backoff import backoff_s
from dicom_node.jobs.database import Ledger
from dicom_node.jobs.emr_rows import keep_record
from dicom_node.jobs.records import Saved
from dicom_node.jobs.rows import AnyRow, columns_of_result, instance_of, job_of, json_of_verdict
from dicom_node.jobs.states import DeliveryState, JobEvent, JobState
from dicom_node.jobs.transitions import end_attempt, end_if_delivered, insert, move_job, record, start_attempt

_RELEASED: dict[str, object] = {"worker": None, "lease_until": None, "stage": None, "fraction": None}


class Analyses(Ledger):
    """What the analysis worker reads and writes."""

    def claimable_jobs(self) -> list[int]:
        """Return the ids of the jobs that wait for a worker, oldest first."""
        with self.read() as connection:
            return list(connection.scalars(_claimable(self.clock())))

    def claim_job(self, worker: str, lease_s: float, job_id: int | None = None) -> Job | None:
        """Take the oldest job that waits to be analysed (or this one), for ``lease_s`` seconds.

        A claim counts as an attempt from its first moment, so that a job which kills its worker comes to an end too.
        A job that is handed out with reason FAILED has used up its attempts: it wants a "not analysed" result.

        Parameters
        ----------
        worker : str
            Unique among the workers that live at one time.

        Returns
        -------
        Job or None
            None if there is nothing to do, or somebody else has it.
        """
        now = self.clock()
        with self.read() as connection:
            if connection.scalar(_claimable(now, job_id)) is None and not _expired(connection, now):
                return None
        with self.write() as connection:
            _take_back(connection, t.jobs.c.lease_until < now, now, self.max_attempts)
            found = connection.scalar(_claimable(now, job_id))
            if found is None:
                return None
            lease = {"worker": worker, "lease_until": now + timedelta(seconds=lease_s), "stage": None, "fraction": None}
            which = t.jobs.c.id == found
            connection.execute(sa.update(t.jobs).where(which).values(attempts=t.jobs.c.attempts + 1, **lease))
            start_attempt(connection, found, None, worker, now)
            return job_of(connection.execute(sa.select(t.jobs).where(which)).one())

    def beat(self, job_id: int, worker: str, lease_s: float, stage: str | None, fraction: float | None) -> None:
        """Prolong a lease and show how far the work is.

        Raises
        ------
        LeaseLost
            The job is another worker's, or went back to RECEIVING: stop.
        """
        lease = {"lease_until": self.clock() + timedelta(seconds=lease_s), "stage": stage, "fraction": fraction}
        mine = (t.jobs.c.id == job_id, t.jobs.c.worker == worker, t.jobs.c.state == JobState.READY)
        with self.write() as connection:
            if connection.execute(sa.update(t.jobs).where(*mine).values(**lease)).rowcount != 1:
                raise LeaseLost(f"job {job_id} is no longer {worker}'s")

    def instances(self, job_id: int) -> list[InstanceRef]:
        """Return the instance set of a job: all of its study that came up to its revision and is held."""
        with self.read() as connection:
            job = connection.execute(sa.select(t.jobs).where(t.jobs.c.id == job_id)).one()
            which = (
                t.instances.c.called_ae_title == job.called_ae_title,
                t.instances.c.study_instance_uid == job.study_instance_uid,
                t.instances.c.revision <= job.revision,
                t.instances.c.removing_at.is_(None),
            )
            rows = connection.execute(sa.select(t.instances).where(*which).order_by(t.instances.c.sop_instance_uid))
            return [instance_of(row) for row in rows]

    def save_analysis(self, job_id: int, worker: str, saved: Saved) -> None:
        """Record results and open their deliveries: READY -> ANALYSED, and DONE where nothing is to be delivered.

        Raises
        ------
        IllegalTransition
            The job is not READY any more (a late image, or saved before): drop the result.
        LeaseLost
            Another worker has taken the job over: drop the result.
        """
        now = self.clock()
        with self.write() as connection:
            job = _mine(connection, job_id, worker, JobEvent.ANALYSIS_SAVED)
            words = " ".join(filter(None, (saved.outcome, saved.reason and saved.reason.sentence, saved.detail)))
            columns = {**_RELEASED, **_columns_of(saved), "attempts": 0, "last_error": None, "analysed_at": now}
            move_job(connection, job, JobEvent.ANALYSIS_SAVED, now, words, **columns)
            _insert_results(connection, job_id, saved)
            if saved.record is not None:
                keep_record(connection, job_id, saved.record)
                record(connection, job_id, now, "record", saved.record.words)
            end_attempt(connection, job_id, None, now, "saved")
            end_if_delivered(connection, job_id, now)

    def fail(
        self, job_id: int, worker: str, error: str, transient: bool, traceback: str = "", *, counts: bool = True
    ) -> None:
        """Record that the analysis failed, and decide what is next.

        A transient failure is tried again after a while, ``max_attempts`` times in all. Then, or at once when it is
        not transient, the job asks for a "not analysed" result; a job that cannot even give that is parked.

        Parameters
        ----------
        counts : bool
            False for a transient failure that is no fault of the job (a full disk): it is tried again without end.

        Raises
        ------
        LeaseLost
            The job is not this worker's any more: nothing is recorded.
        """
        now = self.clock()
        with self.write() as connection:
            job = _mine(connection, job_id, worker, None)
            end_attempt(connection, job_id, None, now, "failed", error=error, traceback=traceback or None)
            tries = self.max_attempts if counts else job.attempts + 1
            _after_failure(connection, job, error, now, tries if transient else 0)

    def give_back(self, job_id: int, worker: str) -> None:
        """Return a claimed job untouched (the worker is told to stop): this attempt does not count."""
        now = self.clock()
        mine = (t.jobs.c.id == job_id, t.jobs.c.worker == worker)
        with self.write() as connection:
            values = {**_RELEASED, "attempts": t.jobs.c.attempts - 1}
            if connection.execute(sa.update(t.jobs).where(*mine).values(**values)).rowcount:
                end_attempt(connection, job_id, None, now, "given back")


def take_back_jobs(connection: Connection, workers: str | None, now: datetime, max_attempts: int) -> int:
    """End the leases that ran out, or all of the workers whose names begin so; return how many."""
    which = t.jobs.c.lease_until < now
    if workers is not None:
        which = t.jobs.c.worker.startswith(workers, autoescape=True)
    return _take_back(connection, which, now, max_attempts)


def _claimable(now: datetime, job_id: int | None = None) -> sa.Select[int]:
    which = [
        t.jobs.c.state == JobState.READY,
        t.jobs.c.worker.is_(None),
        t.jobs.c.parked_at.is_(None),
        t.jobs.c.next_attempt_at.is_(None) | (t.jobs.c.next_attempt_at <= now),
    ]
    if job_id is not None:
        which.append(t.jobs.c.id == job_id)
    return sa.select(t.jobs.c.id).where(*which).order_by(t.jobs.c.settled_at, t.jobs.c.id)


def _expired(connection: Connection, now: datetime) -> bool:
    return connection.scalar(sa.select(t.jobs.c.id).where(t.jobs.c.lease_until < now).limit(1)) is not None


def _take_back(connection: Connection, which: sa.ColumnElement[bool], now: datetime, max_attempts: int) -> int:
    jobs = connection.execute(sa.select(t.jobs).where(which)).all()
    for job in jobs:
        error = f"worker {job.worker} was killed or hung while analysing"
        end_attempt(connection, job.id, None, now, "lease expired", error=error)
        _after_failure(connection, job, error, now, max_attempts)
    return len(jobs)


def _after_failure(connection: Connection, job: AnyRow, error: str, now: datetime, max_attempts: int) -> None:
    columns: dict[str, object] = {**_RELEASED, "last_error": error}
    if job.attempts < max_attempts:
        columns["next_attempt_at"] = now + timedelta(seconds=backoff_s(job.attempts))
        words = f"attempt {job.attempts} failed, will be tried again: {error}"
    elif job.reason != Reason.FAILED:
        columns |= {"outcome": Outcome.NOT_ANALYSED, "reason": Reason.FAILED, "detail": error, "attempts": 0}
        columns["next_attempt_at"] = None
        words = f"given up after {job.attempts} attempts, will be reported as not analysed: {error}"
    else:
        columns["parked_at"] = now
        words = f"parked, not even the report of the failure could be built; see `emerald retry`: {error}"
    connection.execute(sa.update(t.jobs).where(t.jobs.c.id == job.id).values(**columns))
    record(connection, job.id, now, "failed", words)


def _mine(connection: Connection, job_id: int, worker: str, event: JobEvent | None) -> AnyRow:
    job = connection.execute(sa.select(t.jobs).where(t.jobs.c.id == job_id)).one()
    if event is not None:
        states.next_state(states.JOB_TABLE, JobState(job.state), event)
    if job.worker != worker:
        raise LeaseLost(f"job {job_id} is no longer {worker}'s")
    return job


def _columns_of(saved: Saved) -> dict[str, object]:
    return {
        "outcome": saved.outcome,
        "reason": saved.reason,
        "detail": saved.detail,
        "verdicts": [json_of_verdict(verdict) for verdict in saved.verdicts],
        "findings": saved.findings,
        "digests": saved.digests,
    }


def _insert_results(connection: Connection, job_id: int, saved: Saved) -> None:
    for ref in saved.results:
        connection.execute(sa.insert(t.results).values(job_id=job_id, **columns_of_result(ref)))
    for target in dict.fromkeys(saved.targets):
        values = {"target": target, "state": DeliveryState.PENDING, "attempts": 0}
        wanted = target in saved.commitment_targets
        row = {"job_id": job_id, "commitment_wanted": wanted, **values}
        delivery_id = insert(connection, t.deliveries, row)
        if target in saved.after_others:
            connection.execute(sa.insert(t.after_others).values(delivery_id=delivery_id))
