"""What the supervisor and the operator do to jobs: give back what the dead held, try again, open a revision."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dicom_node.domain import Reason
from dicom_node.errors import NoSuchJob
from dicom_node.jobs import tables as t
from dicom_node.jobs.analyses import take_back_jobs
from dicom_node.jobs.database import Ledger
from dicom_node.jobs.deliveries import take_back_deliveries
from dicom_node.jobs.rows import AnyRow
from dicom_node.jobs.states import DeliveryState, JobState
from dicom_node.jobs.transitions import open_revision, record


class Control(Ledger):
    """Sweeping and retrying."""

    def sweep(self) -> int:
        """Give back all whose lease ran out: their worker is dead or hangs. Returns how many."""
        return self._take_back(None)

    def abandon(self, workers: str) -> int:
        """Give back at once all that is held by workers known to be dead: those whose names begin so."""
        return self._take_back(workers)

    def retry(self, job_id: int) -> list[str]:
        """Take a job up again where it is stuck.

        A parked job is analysed again; deliveries that are parked or back off are sent again at once; of a job that
        was reported as failed, the next revision is opened.

        Returns
        -------
        list of str
            What was done, in words; empty if the job was not stuck.

        Raises
        ------
        NoSuchJob
            There is no such job.
        """
        with self.write() as connection:
            job = connection.execute(sa.select(t.jobs).where(t.jobs.c.id == job_id)).one_or_none()
            if job is None:
                raise NoSuchJob(f"there is no job {job_id}")
            done = [*_retry_analysis(connection, job), *_retry_deliveries(connection, job)]
            done += self._retry_failed(connection, job)
            for words in done:
                record(connection, job_id, self.clock(), "retry", words)
            return done

    def revise(self, job_id: int, why: str) -> int | None:
        """Open the next revision of a study for another reason than an image, and return its job.

        Returns
        -------
        int or None
            None: the job is not analysed yet, or superseded, or its images are no longer held.
        """
        with self.write() as connection:
            job = connection.execute(sa.select(t.jobs).where(t.jobs.c.id == job_id)).one()
            if job.state not in (JobState.ANALYSED, JobState.DONE) or _is_superseded(connection, job):
                return None
            of_study = (
                t.instances.c.called_ae_title == job.called_ae_title,
                t.instances.c.study_instance_uid == job.study_instance_uid,
                t.instances.c.removing_at.is_not(None),
            )
            if connection.scalar(sa.select(t.instances.c.id).where(*of_study).limit(1)) is not None:
                return None
            new_id = open_revision(connection, job.called_ae_title, job.study_instance_uid, job, self.clock())
            record(connection, new_id, self.clock(), "revised", why)
            return new_id

    def _take_back(self, workers: str | None) -> int:
        now = self.clock()
        with self.write() as connection:
            n_jobs = take_back_jobs(connection, workers, now, self.max_attempts)
            return n_jobs + take_back_deliveries(connection, workers, now)

    def _retry_failed(self, connection: Connection, job: AnyRow) -> list[str]:
        analysed = job.state in (JobState.ANALYSED, JobState.DONE)
        if not analysed or job.reason != Reason.FAILED or _is_superseded(connection, job):
            return []
        new_id = open_revision(connection, job.called_ae_title, job.study_instance_uid, job, self.clock())
        record(connection, new_id, self.clock(), "retry", f"of job {job.id}, which had failed")
        return [f"opened revision {job.revision + 1} as job {new_id}"]


def _is_superseded(connection: Connection, job: AnyRow) -> bool:
    return connection.scalar(sa.select(t.jobs.c.id).where(t.jobs.c.predecessor_id == job.id)) is not None


def _retry_analysis(connection: Connection, job: AnyRow) -> list[str]:
    if job.parked_at is None:
        return []
    fresh: dict[str, Any] = {"attempts": 0, "parked_at": None, "next_attempt_at": None}
    fresh |= {"outcome": None, "reason": None, "detail": ""}
    connection.execute(sa.update(t.jobs).where(t.jobs.c.id == job.id).values(**fresh))
    return ["will be analysed again"]


def _retry_deliveries(connection: Connection, job: AnyRow) -> list[str]:
    stuck = (
        t.deliveries.c.job_id == job.id,
        t.deliveries.c.state == DeliveryState.PENDING,
        t.deliveries.c.parked_at.is_not(None)
        | t.deliveries.c.next_attempt_at.is_not(None)
        | t.deliveries.c.target.in_(sa.select(t.targets.c.name)),
    )
    targets = connection.scalars(sa.select(t.deliveries.c.target).where(*stuck)).all()
    connection.execute(sa.update(t.deliveries).where(*stuck).values(parked_at=None, next_attempt_at=None))
    connection.execute(sa.delete(t.targets).where(t.targets.c.name.in_(targets)))
    return [f"will be sent again to {target}" for target in targets]
