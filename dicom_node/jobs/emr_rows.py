"""Rows of the record: patients and orders as documents, received and waiting messages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dicom_node.jobs import emr_tables as t
from dicom_node.jobs.database import Ledger, insert_of
from dicom_node.jobs.records import RecordRow

Document = dict[str, Any]
PatientKey = tuple[str, str]
# SQLite takes 32,766 parameters in one statement.
_MOST_KEYS = 5000
# Made once: to build a statement costs more than to run it.
_KEYS: sa.BindParameter[Any] = sa.bindparam("keys", expanding=True)
_SEEN_COLUMNS = (t.inbox.c.digest, t.inbox.c.control_id, t.inbox.c.sender)
_SEEN = sa.select(*_SEEN_COLUMNS).where(sa.tuple_(*_SEEN_COLUMNS).in_(_KEYS))
_KNOWN = sa.select(t.patients).where(sa.tuple_(t.patients.c.issuer, t.patients.c.value).in_(_KEYS))


@dataclass(frozen=True)
class MessageRow:
    """A received message, as the ledger keeps it."""

    sender: str
    control_id: str
    digest: str
    peer: str
    at: datetime
    refused: str = ""
    content: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two messages the same."""
        return self.digest, self.control_id, self.sender


@dataclass(frozen=True)
class OrderRow:
    """An order; ``id`` is None for one that is not in the ledger yet."""

    id: int | None
    accession_number: str
    study_instance_uid: str
    document: Document


@dataclass(frozen=True)
class OutboxRow:
    """A message on its way out."""

    id: int
    destination: str
    control_id: str
    content: bytes = field(repr=False)
    attempts: int
    last_error: str | None = None
    dead: bool = False
    answer: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it was accepted, or cannot be."""
        return self.dead or self.answer is not None


class EmrTransaction:
    """One writing transaction over the tables of the record: a few statements for a whole batch of messages."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def seen(self, messages: Iterable[MessageRow]) -> set[tuple[str, str, str]]:
        """Return the keys of those messages that were taken before."""
        keys = list({message.key for message in messages})
        return {(row.digest, row.control_id, row.sender) for row in self._connection.execute(_SEEN, {"keys": keys})}

    def note_received(self, messages: Sequence[MessageRow]) -> None:
        """Note messages that are new; what is refused of them becomes a dead letter."""
        rows = [
            {"sender": m.sender, "control_id": m.control_id, "digest": m.digest, "received_at": m.at} for m in messages
        ]
        dead = [
            {"sender": m.sender, "control_id": m.control_id, "peer": m.peer, "at": m.at}
            | {"reason": m.refused, "content": m.content}
            for m in messages
            if m.refused
        ]
        for table, values in ((t.inbox, rows), (t.dead_letters, dead)):
            if values:
                self._connection.execute(sa.insert(table), values)

    def patients(self, keys: Iterable[PatientKey]) -> dict[PatientKey, Document]:
        """Return what is known under these identifiers."""
        return _patients(self._connection, list(set(keys)))

    def put_patients(self, known: Mapping[PatientKey, Document | None]) -> None:
        """Write what is known under these identifiers now; None: nothing any more."""
        columns = (t.patients.c.issuer, t.patients.c.value)
        if gone := [key for key, document in known.items() if document is None]:
            self._connection.execute(sa.delete(t.patients).where(sa.tuple_(*columns).in_(gone)))
        rows = [
            {"issuer": issuer, "value": value, "document": document, "updated_at": self._now}
            for (issuer, value), document in known.items()
            if document is not None
        ]
        if rows:
            self._connection.execute(_put_patients(self._connection.dialect.name), rows)

    def orders(self, accession_numbers: Iterable[str]) -> list[OrderRow]:
        """Return the orders with these accession numbers, the one that was renewed last at the end."""
        return _orders(self._connection, t.orders.c.accession_number.in_(list(set(accession_numbers))))

    def put_orders(self, orders: Iterable[OrderRow]) -> None:
        """Write orders, new ones and renewed ones."""
        for order in orders:
            values = {
                "accession_number": order.accession_number,
                "study_instance_uid": order.study_instance_uid,
                "document": order.document,
                "updated_at": self._now,
            }
            if order.id is None:
                self._connection.execute(sa.insert(t.orders).values(**values))
            else:
                self._connection.execute(sa.update(t.orders).where(t.orders.c.id == order.id).values(**values))

    def count(self, counts: Mapping[str, int]) -> None:
        """Add to counters."""
        _count(self._connection, counts)


class EmrRows(Ledger):
    """What the record asks of the ledger."""

    @contextmanager
    def emr_write(self) -> Iterator[EmrTransaction]:
        """Run one writing transaction, on disk at the end of the block."""
        with self.write() as connection:
            yield EmrTransaction(connection, self.clock())

    def emr_patient(self, key: PatientKey) -> Document | None:
        """Return what is known under an identifier."""
        with self.read() as connection:
            return _patients(connection, [key]).get(key)

    def emr_orders(self, accession_number: str = "", study_instance_uid: str = "") -> list[OrderRow]:
        """Return the orders with an accession number, or of a study."""
        where = t.orders.c.study_instance_uid == study_instance_uid
        if accession_number:
            where = t.orders.c.accession_number == accession_number
        with self.read() as connection:
            return _orders(connection, where)

    def emr_counts(self) -> dict[str, int]:
        """Return all counters."""
        with self.read() as connection:
            return {row.name: row.n for row in connection.execute(sa.select(t.counters).order_by(t.counters.c.name))}

    def job_record(self, job_id: int) -> Document | None:
        """Return what the analysis of a job used of its patient's record; None: nobody was asked, or it is gone."""
        with self.read() as connection:
            return connection.scalar(sa.select(t.job_records.c.document).where(t.job_records.c.job_id == job_id))

    def emr_dead_letters(self, limit: int = 50) -> list[MessageRow]:
        """Return the newest dead letters, newest first."""
        query = sa.select(t.dead_letters).order_by(t.dead_letters.c.id.desc()).limit(limit)
        with self.read() as connection:
            return [
                MessageRow(row.sender, row.control_id, "", row.peer, row.at, row.reason, row.content)
                for row in connection.execute(query)
            ]

    def emr_prune(self, before: datetime) -> None:
        """Remove what is older: notes of received messages, dead letters, messages that were sent."""
        with self.write() as connection:
            connection.execute(sa.delete(t.inbox).where(t.inbox.c.received_at < before))
            connection.execute(sa.delete(t.dead_letters).where(t.dead_letters.c.at < before))
            connection.execute(sa.delete(t.outbox).where(t.outbox.c.ended_at < before))

    def outbox_add(self, destination: str, control_id: str, content: bytes, at: datetime) -> int:
        """Keep a message to be sent; the same control id is kept once. Returns its number."""
        same = sa.and_(t.outbox.c.destination == destination, t.outbox.c.control_id == control_id)
        with self.write() as connection:
            known = connection.scalar(sa.select(t.outbox.c.id).where(same))
            if known is not None:
                return int(known)
            values = {"destination": destination, "control_id": control_id, "content": content, "added_at": at}
            fresh = sa.insert(t.outbox).values(**values, attempts=0, next_attempt_at=at, dead=False)
            return int(connection.execute(fresh.returning(t.outbox.c.id)).scalar_one())

    def outbox_next(self, destination: str, now: datetime) -> OutboxRow | None:
        """Return the oldest message that waits for a destination, or None while it is not yet time for it."""
        waiting = sa.and_(t.outbox.c.destination == destination, t.outbox.c.ended_at.is_(None))
        query = sa.select(t.outbox).where(waiting).order_by(t.outbox.c.id).limit(1)
        with self.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.next_attempt_at > now:
            return None
        return _outbox_row(row)

    def outbox_note(self, number: int, **values: object) -> None:
        """Write columns of a waiting message; each note is one attempt."""
        with self.write() as connection:
            connection.execute(
                sa.update(t.outbox).where(t.outbox.c.id == number).values(attempts=t.outbox.c.attempts + 1, **values)
            )

    def outbox_hurry(self, destination: str, now: datetime) -> None:
        """Let what waits for a destination be due at once: how long it waited is the business of its deliveries."""
        waiting = sa.and_(t.outbox.c.destination == destination, t.outbox.c.ended_at.is_(None))
        with self.write() as connection:
            connection.execute(sa.update(t.outbox).where(waiting).values(next_attempt_at=now))

    def outbox_message(self, number: int) -> OutboxRow:
        """Return a message."""
        with self.read() as connection:
            return _outbox_row(connection.execute(sa.select(t.outbox).where(t.outbox.c.id == number)).one())

    def outbox_withdraw(self, destination: str, control_ids: Iterable[str]) -> None:
        """Remove messages that have not been accepted: later ones say all that they say."""
        same = (t.outbox.c.destination == destination, t.outbox.c.control_id.in_(list(control_ids)))
        with self.write() as connection:
            connection.execute(sa.delete(t.outbox).where(*same, t.outbox.c.answer.is_(None)))

    def outbox_dead(self) -> list[OutboxRow]:
        """Return the messages that no attempt can deliver, oldest first."""
        query = sa.select(t.outbox).where(t.outbox.c.dead).order_by(t.outbox.c.id)
        with self.read() as connection:
            return [_outbox_row(row) for row in connection.execute(query)]

    def outbox_retry(self, number: int, now: datetime) -> None:
        """Let a dead message be sent again."""
        fresh = {"dead": False, "ended_at": None, "attempts": 0, "next_attempt_at": now}
        with self.write() as connection:
            dead = sa.and_(t.outbox.c.id == number, t.outbox.c.dead)
            connection.execute(sa.update(t.outbox).where(dead).values(**fresh))


def keep_record(connection: Connection, job_id: int, record: RecordRow) -> None:
    """Keep what an analysis used of its patient's record, and count it."""
    connection.execute(sa.insert(t.job_records).values(job_id=job_id, document=record.document))
    if record.counter:
        _count(connection, {record.counter: 1})


def drop_records(connection: Connection, job_ids: Iterable[int]) -> None:
    """Drop what analyses used of their patients' records: their results are gone."""
    connection.execute(sa.delete(t.job_records).where(t.job_records.c.job_id.in_(list(set(job_ids)))))


def _patients(connection: Connection, keys: list[PatientKey]) -> dict[PatientKey, Document]:
    found: dict[PatientKey, Document] = {}
    for start in range(0, len(keys), _MOST_KEYS):
        rows = connection.execute(_KNOWN, {"keys": keys[start : start + _MOST_KEYS]})
        found |= {(row.issuer, row.value): row.document for row in rows}
    return found


def _orders(connection: Connection, where: sa.ColumnElement[bool]) -> list[OrderRow]:
    query = sa.select(t.orders).where(where).order_by(t.orders.c.updated_at, t.orders.c.id)
    return [
        OrderRow(row.id, row.accession_number, row.study_instance_uid, row.document)
        for row in connection.execute(query)
    ]


def _outbox_row(row: Any) -> OutboxRow:
    return OutboxRow(
        id=row.id,
        destination=row.destination,
        control_id=row.control_id,
        content=row.content,
        attempts=row.attempts,
        last_error=row.last_error,
        dead=bool(row.dead),
        answer=row.answer,
    )


def _count(connection: Connection, counts: Mapping[str, int]) -> None:
    rows = [{"name": name, "n": n} for name, n in counts.items() if n]
    if rows:
        connection.execute(_add_counts(connection.dialect.name), rows)


@cache
def _put_patients(dialect: str) -> sa.Insert:
    insert = insert_of(dialect, t.patients)
    new = {name: insert.excluded[name] for name in ("document", "updated_at")}
    return insert.on_conflict_do_update(index_elements=["issuer", "value"], set_=new)


@cache
def _add_counts(dialect: str) -> sa.Insert:
    insert = insert_of(dialect, t.counters)
    return insert.on_conflict_do_update(index_elements=["name"], set_={"n": t.counters.c.n + insert.excluded.n})
