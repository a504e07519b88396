"""The statements that change a state: all of them, each through the tables of ``states.py`` and into the history.

They take the connection of a writing transaction, so what they read is true until it commits.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dicom_node.errors import LedgerError
from dicom_node.jobs import states
from dicom_node.jobs import tables as t
from dicom_node.jobs.rows import AnyRow
from dicom_node.jobs.states import DeliveryEvent, DeliveryState, JobEvent, JobState

# What a job forgets when its instance set changes: the analysis begins anew, trouble included.
FRESH = {
    "settled_at": None,
    "outcome": None,
    "reason": None,
    "detail": "",
    "attempts": 0,
    "next_attempt_at": None,
    "last_error": None,
    "parked_at": None,
    "news_weighed": None,
    "worker": None,
    "lease_until": None,
    "stage": None,
    "fraction": None,
}


def insert(connection: Connection, table: sa.Table, values: Mapping[str, object]) -> int:
    """Insert a row and return its id."""
    key = connection.execute(sa.insert(table).values(**values)).inserted_primary_key
    if key is None:
        raise LedgerError(f"no key for the new row of {table.name}")
    return int(key[0])


def record(connection: Connection, job_id: int, at: datetime, event: str, words: str) -> None:
    """Add a line to the history of a job."""
    connection.execute(sa.insert(t.events).values(job_id=job_id, at=at, event=event, words=words))


def move_job(
    connection: Connection, job: AnyRow, event: JobEvent, at: datetime, words: str, **columns: object
) -> JobState:
    """Apply an event to a job (a row with ``id`` and ``state``), set columns with it, and write its history.

    Raises
    ------
    IllegalTransition
        The table has no row; nothing is changed.
    """
    state = states.next_state(states.JOB_TABLE, JobState(job.state), event)
    connection.execute(sa.update(t.jobs).where(t.jobs.c.id == job.id).values(state=state, **columns))
    record(connection, job.id, at, event, words)
    return state


def move_delivery(
    connection: Connection, delivery: AnyRow, event: DeliveryEvent, at: datetime, words: str
) -> DeliveryState:
    """Apply an event to a delivery (a whole row), write its job's history, and end the job if it was the last.

    Raises
    ------
    IllegalTransition
        The table has no row; nothing is changed.
    """
    state = states.next_state(states.DELIVERY_TABLE, DeliveryState(delivery.state), event)
    columns: dict[str, Any] = {"state": state, "worker": None, "lease_until": None, "parked_at": None}
    if states.has_ended(state, delivery.commitment_wanted):
        columns["ended_at"] = at
    connection.execute(sa.update(t.deliveries).where(t.deliveries.c.id == delivery.id).values(**columns))
    record(connection, delivery.job_id, at, event, f"{delivery.target}: {words}")
    end_if_delivered(connection, delivery.job_id, at)
    return state


def end_if_delivered(connection: Connection, job_id: int, at: datetime) -> None:
    """Apply DELIVERIES_ENDED to an ANALYSED job once all its deliveries are at their end."""
    job = connection.execute(sa.select(t.jobs.c.id, t.jobs.c.state).where(t.jobs.c.id == job_id)).one()
    rows = connection.execute(sa.select(t.deliveries).where(t.deliveries.c.job_id == job_id)).all()
    ended = all(states.has_ended(DeliveryState(row.state), row.commitment_wanted) for row in rows)
    if ended and states.is_legal(states.JOB_TABLE, JobState(job.state), JobEvent.DELIVERIES_ENDED):
        words = "all deliveries are at their end" if rows else "nothing to deliver"
        move_job(connection, job, JobEvent.DELIVERIES_ENDED, at, words, done_at=at)


def cancel_superseded(connection: Connection, job_id: int, at: datetime) -> None:
    """Cancel what a superseded job has not delivered.

    A delivery that is on its way is left alone until its worker reports: the row must not say CANCELLED of objects
    that the PACS has just stored.
    """
    successor = connection.scalar(sa.select(t.jobs.c.revision).where(t.jobs.c.predecessor_id == job_id))
    if successor is None:
        return
    idle = (
        t.deliveries.c.job_id == job_id,
        t.deliveries.c.state == DeliveryState.PENDING,
        t.deliveries.c.worker.is_(None),
    )
    for row in connection.execute(sa.select(t.deliveries).where(*idle)).all():
        move_delivery(connection, row, DeliveryEvent.SUPERSEDED, at, f"superseded by revision {successor}")


def open_revision(
    connection: Connection, called_ae_title: str, study_instance_uid: str, predecessor: AnyRow | None, at: datetime
) -> int:
    """Open the first or next revision of a study, in RECEIVING, and return its job id."""
    values: dict[str, Any] = {
        **FRESH,
        "called_ae_title": called_ae_title,
        "study_instance_uid": study_instance_uid,
        "revision": 1 if predecessor is None else predecessor.revision + 1,
        "predecessor_id": None if predecessor is None else predecessor.id,
        "state": JobState.RECEIVING,
        "created_at": at,
        "evidence": {},
        "incomplete": False,
        "verdicts": [],
        "digests": {},
    }
    job_id = insert(connection, t.jobs, values)
    if predecessor is not None:
        record(connection, predecessor.id, at, "superseded", f"by job {job_id}, revision {values['revision']}")
        cancel_superseded(connection, predecessor.id, at)
    return job_id


def start_attempt(connection: Connection, job_id: int, delivery_id: int | None, worker: str, at: datetime) -> None:
    """Write the row of an attempt that begins now."""
    values = {"job_id": job_id, "delivery_id": delivery_id, "worker": worker, "started_at": at}
    connection.execute(sa.insert(t.attempts).values(**values))


def end_attempt(
    connection: Connection, job_id: int, delivery_id: int | None, at: datetime, result: str, **columns: object
) -> None:
    """Complete the row of the attempt that is under way (``error``, ``traceback``); no row: nothing to do."""
    which = t.attempts.c.delivery_id.is_(None) if delivery_id is None else t.attempts.c.delivery_id == delivery_id
    unfinished = (t.attempts.c.job_id == job_id, which, t.attempts.c.ended_at.is_(None))
    connection.execute(sa.update(t.attempts).where(*unfinished).values(ended_at=at, result=result, **columns))
