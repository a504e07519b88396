"""The stores of the record over the ledger: nouns of ``hl7_emr`` on one side, rows of ``jobs/`` on the other."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import TypeAdapter

from dicom_node.jobs.emr_rows import Document, EmrRows, EmrTransaction, MessageRow, OrderRow, PatientKey
from hl7_emr import order_book
from hl7_emr.domain import Identifier, ImagingOrder
from hl7_emr.order_book import key_of
from hl7_emr.stores import (
    Change,
    Forget,
    Inbox,
    KnownPatient,
    Merge,
    OrderStore,
    Outbox,
    Outgoing,
    PatientUpdate,
    Received,
    RecordStore,
)

_PATIENT = TypeAdapter(KnownPatient)
_ORDER = TypeAdapter(ImagingOrder)


class EmrStore:
    """Satisfies ``Inbox``, ``OrderStore``, ``RecordStore`` and ``Outbox`` of ``hl7_emr.stores``."""

    def __init__(self, ledger: EmrRows) -> None:
        self._ledger = ledger

    def take(self, batch: Sequence[Received]) -> Sequence[bool]:
        """Apply the changes of all messages in one transaction; see ``hl7_emr.stores.Inbox``."""
        messages = [_row(each) for each in batch]
        with self._ledger.emr_write() as transaction:
            seen = transaction.seen(messages)
            news = []
            for message in messages:
                news.append(message.key not in seen)
                seen.add(message.key)
            fresh = [each for each, new in zip(batch, news, strict=True) if new]
            _Working(transaction, [change for each in fresh for change in each.changes]).save()
            transaction.note_received([message for message, new in zip(messages, news, strict=True) if new])
            transaction.count(_counts(batch, news))
        return news

    def orders(self, accession_number: str) -> Sequence[ImagingOrder]:
        """Return the orders under an accession number, the one that was renewed last at the end."""
        rows = self._ledger.emr_orders(accession_number=accession_number) if accession_number else []
        return [_ORDER.validate_python(row.document) for row in rows]

    def orders_of_study(self, study_instance_uid: str) -> Sequence[ImagingOrder]:
        """Return the orders that name a study."""
        rows = self._ledger.emr_orders(study_instance_uid=study_instance_uid) if study_instance_uid else []
        return [_ORDER.validate_python(row.document) for row in rows]

    def known(self, identifier: Identifier) -> KnownPatient | None:
        """Return what is known under one identifier of one authority."""
        document = self._ledger.emr_patient(key_of(identifier))
        return None if document is None else _PATIENT.validate_python(document)

    def add(self, destination: str, control_id: str, content: bytes, at: datetime) -> int:
        """Keep a message durably; see ``hl7_emr.stores.Outbox``."""
        return self._ledger.outbox_add(destination, control_id, content, at)

    def next_due(self, destination: str, now: datetime) -> Outgoing | None:
        """Return the oldest message that waits for a destination, or None while it is not yet time for it."""
        row = self._ledger.outbox_next(destination, now)
        return None if row is None else Outgoing(row.id, row.destination, row.control_id, row.content, row.attempts)

    def sent(self, number: int, answer: str, at: datetime) -> None:
        """Note that a message was accepted."""
        self._ledger.outbox_note(number, answer=answer, ended_at=at, last_error=None)

    def delay(self, number: int, error: str, until: datetime) -> None:
        """Note a failure that another attempt may mend."""
        self._ledger.outbox_note(number, last_error=error, next_attempt_at=until)

    def bury(self, number: int, error: str, at: datetime) -> None:
        """Make it a dead letter."""
        self._ledger.outbox_note(number, last_error=error, ended_at=at, dead=True)


def _satisfies(store: EmrStore) -> tuple[Inbox, OrderStore, RecordStore, Outbox]:
    """Let mypy hold the class against the Protocols."""
    return store, store, store, store


def _row(each: Received) -> MessageRow:
    return MessageRow(each.sender, each.control_id, each.digest, each.peer, each.at, each.refused, each.content)


def _counts(batch: Sequence[Received], news: Sequence[bool]) -> Counter[str]:
    return Counter(
        received=len(batch),
        repeated=news.count(False),
        rejected=sum(bool(each.refused) for each in batch),
        acknowledged=sum(not each.refused for each in batch),
    )


class _Working:
    """Patients and orders that the messages of one batch speak of: read once, changed in memory, written once."""

    def __init__(self, transaction: EmrTransaction, changes: Sequence[Change]) -> None:
        self._transaction = transaction
        keys = [key for change in changes for key in _keys(change)]
        documents = transaction.patients(keys) if keys else {}
        self._patients: dict[PatientKey, KnownPatient | None] = {
            key: _PATIENT.validate_python(document) for key, document in documents.items()
        }
        orders = [change for change in changes if isinstance(change, ImagingOrder)]
        rows = transaction.orders(order.accession_number for order in orders) if orders else []
        self._orders = [(row.id, _ORDER.validate_python(row.document)) for row in rows]
        self._changed_patients: set[PatientKey] = set()
        self._changed_orders: set[int] = set()
        for change in changes:
            self._apply(change)

    def save(self) -> None:
        """Write what has changed."""
        self._transaction.put_patients({key: self._document(key) for key in self._changed_patients})
        self._transaction.put_orders(self._row(*self._orders[index]) for index in sorted(self._changed_orders))

    def _document(self, key: PatientKey) -> Document | None:
        known = self._patients.get(key)
        return None if known is None else _PATIENT.dump_python(known, mode="json")

    @staticmethod
    def _row(number: int | None, order: ImagingOrder) -> OrderRow:
        document = _ORDER.dump_python(order, mode="json")
        return OrderRow(number, order.accession_number, order.study_instance_uid, document)

    def _apply(self, change: Change) -> None:
        if isinstance(change, ImagingOrder):
            self._put_order(change)
        elif isinstance(change, Merge):
            for prior, survivor in order_book.pairs(change):
                gone, kept = order_book.merged(
                    self._patients.get(key_of(prior)), self._patients.get(key_of(survivor)), change
                )
                self._put(key_of(prior), gone)
                self._put(key_of(survivor), kept)
        elif isinstance(change, Forget):
            for identifier in change.identifiers:
                self._put(key_of(identifier), None)
        else:
            for key in _keys(change):
                self._put(key, order_book.updated(self._patients.get(key), change))

    def _put(self, key: PatientKey, known: KnownPatient | None) -> None:
        self._patients[key] = known
        self._changed_patients.add(key)

    def _put_order(self, order: ImagingOrder) -> None:
        same = (i for i, (_, known) in enumerate(self._orders) if order_book.same_order(known, order))
        index = next(same, None)
        if index is None:
            self._orders.append((None, order))
            index = len(self._orders) - 1
        else:
            number, known = self._orders[index]
            self._orders[index] = number, order_book.renewed(known, order)
        self._changed_orders.add(index)


def _keys(change: Change) -> Iterable[PatientKey]:
    if isinstance(change, PatientUpdate):
        return dict.fromkeys(map(key_of, change.patient.identifiers))
    if isinstance(change, Merge):
        return map(key_of, (*change.prior, *change.surviving))
    return map(key_of, change.identifiers) if isinstance(change, Forget) else ()
