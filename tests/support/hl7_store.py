"""The stores of the record in memory, for tests of what is above them."""

from collections.abc import Sequence
from datetime import datetime

from hl7_emr import order_book
from hl7_emr.domain import Identifier, ImagingOrder
from hl7_emr.order_book import key_of
from hl7_emr.stores import Forget, KnownPatient, Merge, Outgoing, PatientUpdate, Received


class MemoryStore:
    """Inbox, OrderStore and RecordStore."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.batches: list[int] = []
        self.patients: dict[tuple[str, str], KnownPatient] = {}
        self.by_accession: dict[str, list[ImagingOrder]] = {}
        self.fails = False

    @property
    def refused(self) -> list[Received]:
        return [each for each in self.received if each.refused]

    def take(self, batch: Sequence[Received]) -> Sequence[bool]:
        if self.fails:
            raise OSError("disk full")
        self.batches.append(len(batch))
        return [self._take(each) for each in batch]

    def _take(self, each: Received) -> bool:
        seen = {(old.sender, old.control_id, old.digest) for old in self.received}
        if (each.sender, each.control_id, each.digest) in seen:
            return False
        self.received.append(each)
        for change in each.changes:
            self._apply(change)
        return True

    def _apply(self, change: object) -> None:
        if isinstance(change, PatientUpdate):
            for identifier in change.patient.identifiers:
                key = key_of(identifier)
                self.patients[key] = order_book.updated(self.patients.get(key), change)
        elif isinstance(change, Merge):
            for prior, survivor in order_book.pairs(change):
                keys = key_of(prior), key_of(survivor)
                gone, kept = order_book.merged(*map(self.patients.get, keys), change)
                self.patients |= dict(zip(keys, (gone, kept), strict=True))
        elif isinstance(change, Forget):
            for identifier in change.identifiers:
                self.patients.pop(key_of(identifier), None)
        elif isinstance(change, ImagingOrder):
            self._put(change)

    def _put(self, order: ImagingOrder) -> None:
        kept = self.by_accession.setdefault(order.accession_number, [])
        same = next((old for old in kept if order_book.same_order(old, order)), None)
        if same is not None:
            kept.remove(same)
        kept.append(order_book.renewed(same, order))

    def orders(self, accession_number: str) -> Sequence[ImagingOrder]:
        return self.by_accession.get(accession_number, [])

    def orders_of_study(self, study_instance_uid: str) -> Sequence[ImagingOrder]:
        every = (order for orders in self.by_accession.values() for order in orders)
        return [order for order in every if order.study_instance_uid == study_instance_uid]

    def known(self, identifier: Identifier) -> KnownPatient | None:
        return self.patients.get(key_of(identifier))


class MemoryOutbox:
    """Outbox."""

    def __init__(self) -> None:
        self.rows: dict[int, Outgoing] = {}
        self.due: dict[int, datetime] = {}
        self.ended: dict[int, str] = {}
        self.errors: list[str] = []

    def add(self, destination: str, control_id: str, content: bytes, at: datetime) -> int:
        for row in self.rows.values():
            if (row.destination, row.control_id) == (destination, control_id):
                return row.id
        number = len(self.rows) + 1
        self.rows[number] = Outgoing(number, destination, control_id, content)
        self.due[number] = at
        return number

    def next_due(self, destination: str, now: datetime) -> Outgoing | None:
        waiting = (row for row in self.rows.values() if row.destination == destination and row.id not in self.ended)
        first = min(waiting, key=lambda row: row.id, default=None)
        return first if first is not None and self.due[first.id] <= now else None

    def sent(self, number: int, answer: str, at: datetime) -> None:
        self.ended[number] = answer

    def delay(self, number: int, error: str, until: datetime) -> None:
        row = self.rows[number]
        self.rows[number] = Outgoing(row.id, row.destination, row.control_id, row.content, row.attempts + 1)
        self.due[number] = until
        self.errors.append(error)

    def bury(self, number: int, error: str, at: datetime) -> None:
        self.ended[number] = "dead"
        self.errors.append(error)
