"""What the command line, the report and the next revision ask of the ledger. Reads only."""

from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dicom_node.domain import Job, Outcome, Reason, ResultRef
from dicom_node.errors import NoSuchJob
from dicom_node.jobs import tables as t
from dicom_node.jobs.database import Ledger
from dicom_node.jobs.emr_tables import job_records
from dicom_node.jobs.records import Attempt, Counts, Delivery, HistoryEvent, JobStatus, Peer, Saved
from dicom_node.jobs.rows import AnyRow, attempt_of, delivery_of, job_of, result_of, verdict_of
from dicom_node.jobs.states import DeliveryState, JobState


class Reading(Ledger):
    """Questions to the ledger."""

    def job(self, job_id: int) -> Job:
        """Return a job; raises ``NoSuchJob``."""
        with self.read() as connection:
            return job_of(_row(connection, job_id))

    def status(self, job_id: int) -> JobStatus:
        """Return a job with its trouble and deliveries; raises ``NoSuchJob``."""
        with self.read() as connection:
            return _status(connection, _row(connection, job_id))

    def jobs(self, limit: int = 50) -> list[JobStatus]:
        """Return the newest jobs, newest first."""
        with self.read() as connection:
            rows = connection.execute(sa.select(t.jobs).order_by(t.jobs.c.id.desc()).limit(limit)).all()
            return [_status(connection, row) for row in rows]

    def jobs_of_study(self, study_instance_uid: str) -> list[Job]:
        """Return all revisions of a study under all called AE titles, oldest first."""
        which = t.jobs.c.study_instance_uid == study_instance_uid
        with self.read() as connection:
            return [job_of(row) for row in connection.execute(sa.select(t.jobs).where(which).order_by(t.jobs.c.id))]

    def jobs_with_record(self, since: datetime) -> list[Job]:
        """Return the last revisions that are analysed and asked for a record, of studies that came after ``since``."""
        first, next_one = t.jobs.alias("first"), t.jobs.alias("next_one")
        which = (
            t.jobs.c.state.in_((JobState.ANALYSED, JobState.DONE)),
            first.c.called_ae_title == t.jobs.c.called_ae_title,
            first.c.study_instance_uid == t.jobs.c.study_instance_uid,
            first.c.revision == 1,
            first.c.created_at >= since,
            ~sa.exists().where(next_one.c.predecessor_id == t.jobs.c.id),
            sa.exists().where(job_records.c.job_id == t.jobs.c.id),
        )
        with self.read() as connection:
            return [job_of(row) for row in connection.execute(sa.select(t.jobs).where(*which).order_by(t.jobs.c.id))]

    def history(self, job_id: int) -> list[HistoryEvent]:
        """Return what happened to a job, oldest first."""
        query = sa.select(t.events).where(t.events.c.job_id == job_id).order_by(t.events.c.id)
        with self.read() as connection:
            return [HistoryEvent(row.at, row.event, row.words) for row in connection.execute(query)]

    def attempts(self, job_id: int) -> list[Attempt]:
        """Return every try at the job and its deliveries, oldest first."""
        joined = t.attempts.outerjoin(t.deliveries, t.deliveries.c.id == t.attempts.c.delivery_id)
        query = sa.select(t.attempts, t.deliveries.c.target).select_from(joined).where(t.attempts.c.job_id == job_id)
        with self.read() as connection:
            return [attempt_of(row) for row in connection.execute(query.order_by(t.attempts.c.id))]

    def deliveries(self, job_id: int) -> list[Delivery]:
        """Return the deliveries of a job."""
        with self.read() as connection:
            return _deliveries(connection, job_id)

    def results(self, job_id: int) -> list[ResultRef]:
        """Return the result objects of a job, also those whose files are removed by now."""
        with self.read() as connection:
            return _results(connection, job_id)

    def saved(self, job_id: int) -> Saved | None:
        """Return what the analysis of a job left, or None if it is not analysed yet."""
        with self.read() as connection:
            row = _row(connection, job_id)
            if row.analysed_at is None:
                return None
            return Saved(
                outcome=Outcome(row.outcome),
                reason=None if row.reason is None else Reason(row.reason),
                detail=row.detail,
                verdicts=tuple(verdict_of(values) for values in row.verdicts),
                findings=row.findings,
                results=tuple(_results(connection, job_id)),
                targets=tuple(delivery.target for delivery in _deliveries(connection, job_id)),
                digests=row.digests,
            )

    def peers(self) -> list[Peer]:
        """Return who has sent to us, by calling and called AE title and address, the one seen last first."""
        a, i = t.associations.c, t.instances.c
        who = (a.calling_ae_title, a.called_ae_title, a.address)
        seen = sa.func.max(sa.func.coalesce(a.ended_at, a.opened_at), type_=a.opened_at.type).label("seen")
        sent = sa.select(i.association_id, sa.func.count().label("n")).group_by(i.association_id).subquery()
        query = (
            sa.select(*who, seen, sa.func.count().label("n"), sa.func.coalesce(sa.func.sum(sent.c.n), 0).label("sent"))
            .select_from(t.associations.outerjoin(sent, sent.c.association_id == a.id))
            .group_by(*who)
            .order_by(seen.desc())
        )
        with self.read() as connection:
            return [
                Peer(row.calling_ae_title, row.called_ae_title, row.address, row.seen, row.n, int(row.sent))
                for row in connection.execute(query)
            ]

    def quarantine(self, limit: int = 50) -> list[tuple[Path, str]]:
        """Return the newest objects that were put aside, and why."""
        query = sa.select(t.quarantined).order_by(t.quarantined.c.id.desc()).limit(limit)
        with self.read() as connection:
            return [(Path(row.path), row.reason) for row in connection.execute(query)]

    def counts(self) -> Counts:
        """Return how the ledger stands."""
        week_ago = self.clock() - timedelta(days=7)
        pending = t.deliveries.c.state == DeliveryState.PENDING
        size = sa.func.coalesce(sa.func.sum(t.instances.c.n_bytes), 0)
        with self.read() as connection:
            return Counts(
                jobs=_by(connection, t.jobs.c.state),
                parked_jobs=_count(connection, t.jobs.c.parked_at.is_not(None)),
                pending=_by(connection, t.deliveries.c.target, pending),
                parked=_by(connection, t.deliveries.c.target, pending, t.deliveries.c.parked_at.is_not(None)),
                quarantined=connection.scalar(sa.select(sa.func.count()).select_from(t.quarantined)) or 0,
                bytes_held=int(connection.scalar(sa.select(size).where(t.instances.c.removed_at.is_(None))) or 0),
                bytes_last_7_days=int(
                    connection.scalar(sa.select(size).where(t.instances.c.received_at >= week_ago)) or 0
                ),
            )


def _row(connection: Connection, job_id: int) -> AnyRow:
    row = connection.execute(sa.select(t.jobs).where(t.jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise NoSuchJob(f"there is no job {job_id}")
    return row


def _status(connection: Connection, row: AnyRow) -> JobStatus:
    which = (
        t.instances.c.called_ae_title == row.called_ae_title,
        t.instances.c.study_instance_uid == row.study_instance_uid,
        t.instances.c.revision <= row.revision,
    )
    return JobStatus(
        job=job_of(row),
        n_instances=_count(connection, *which),
        attempts=row.attempts,
        parked=row.parked_at is not None,
        last_error=row.last_error,
        next_attempt_at=row.next_attempt_at,
        worker=row.worker,
        stage=row.stage,
        fraction=row.fraction,
        analysed_at=row.analysed_at,
        done_at=row.done_at,
        deliveries=tuple(_deliveries(connection, row.id)),
    )


def _deliveries(connection: Connection, job_id: int) -> list[Delivery]:
    query = sa.select(t.deliveries).where(t.deliveries.c.job_id == job_id).order_by(t.deliveries.c.id)
    return [delivery_of(row) for row in connection.execute(query)]


def _results(connection: Connection, job_id: int) -> list[ResultRef]:
    query = sa.select(t.results).where(t.results.c.job_id == job_id).order_by(t.results.c.id)
    return [result_of(row) for row in connection.execute(query)]


def _count(connection: Connection, *which: sa.ColumnElement[bool]) -> int:
    return connection.scalar(sa.select(sa.func.count()).where(*which)) or 0


def _by(connection: Connection, column: sa.Column[Any], *which: sa.ColumnElement[bool]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for key, n in connection.execute(sa.select(column, sa.func.count()).where(*which).group_by(column)):
        counts[key] += n
    return dict(counts)
