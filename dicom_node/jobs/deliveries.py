"""The ledger's sending side: one row for each job and target, independent of each other."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dicom_node.errors import IllegalTransition, LeaseLost
from dicom_node.jobs import states
from dicom_node.jobs import tables as t
from dicom_node.jobs.backoff import backoff_s
from dicom_node.jobs.database import Ledger
from dicom_node.jobs.records import Delivery, DeliveryObject, Target
from dicom_node.jobs.rows import AnyRow, delivery_of, result_of, target_of
from dicom_node.jobs.states import DeliveryEvent, DeliveryState
from dicom_node.jobs.transitions import cancel_superseded, end_attempt, move_delivery, record, start_attempt

_RELEASED: dict[str, object] = {"worker": None, "lease_until": None}


class Deliveries(Ledger):
    """What the delivery worker reads and writes."""

    def claimable_deliveries(self) -> list[int]:
        """Return the ids of the deliveries that could be sent now, of each target the one whose turn it is."""
        with self.read() as connection:
            rows = connection.execute(_claimable(self.clock()).add_columns(t.deliveries.c.target))
            turns: dict[str, int] = {}
            for delivery_id, target in rows:
                turns.setdefault(target, delivery_id)
            return list(turns.values())

    def claim_delivery(
        self, worker: str, lease_s: float, target: str | None = None, delivery_id: int | None = None
    ) -> Delivery | None:
        """Take a delivery that is due (of this target; or this one), for ``lease_s`` seconds.

        A target is sent one at a time, so that however many workers there are, a mute one binds only one of them.
        Those with the fewest attempts come first, so that one which the target always chokes on holds up no other.
        """
        now = self.clock()
        with self.read() as connection:
            due = connection.scalar(_claimable(now, target, delivery_id))
            if due is None and not _expired(connection, now):
                return None
        with self.write() as connection:
            _take_back(connection, t.deliveries.c.lease_until < now, now)
            found = connection.scalar(_claimable(now, target, delivery_id))
            if found is None:
                return None
            which = t.deliveries.c.id == found
            lease = {"worker": worker, "lease_until": now + timedelta(seconds=lease_s)}
            connection.execute(
                sa.update(t.deliveries).where(which).values(attempts=t.deliveries.c.attempts + 1, **lease)
            )
            row = connection.execute(sa.select(t.deliveries).where(which)).one()
            start_attempt(connection, row.job_id, row.id, worker, now)
            return delivery_of(row)

    def beat_delivery(self, delivery_id: int, worker: str, lease_s: float) -> None:
        """Prolong a lease; raises ``LeaseLost`` if it is no longer this worker's."""
        mine = (t.deliveries.c.id == delivery_id, t.deliveries.c.worker == worker)
        lease_until = self.clock() + timedelta(seconds=lease_s)
        with self.write() as connection:
            if connection.execute(sa.update(t.deliveries).where(*mine).values(lease_until=lease_until)).rowcount != 1:
                raise LeaseLost(f"delivery {delivery_id} is no longer {worker}'s")

    def objects(self, delivery_id: int) -> list[DeliveryObject]:
        """Return the result objects of a delivery with what the target has said of each."""
        said = (t.object_statuses.c.delivery_id == delivery_id) & (
            t.object_statuses.c.sop_instance_uid == t.results.c.sop_instance_uid
        )
        of_job = t.results.join(t.deliveries, t.deliveries.c.job_id == t.results.c.job_id)
        query = (
            sa.select(t.results, t.object_statuses.c.status)
            .select_from(of_job.outerjoin(t.object_statuses, said))
            .where(t.deliveries.c.id == delivery_id)
            .order_by(t.results.c.id)
        )
        with self.read() as connection:
            return [_object_of(row) for row in connection.execute(query)]

    def note_sent(self, delivery_id: int, sop_instance_uid: str, status: int) -> None:
        """Note what the target answered for one object; the last word counts."""
        which = (
            t.object_statuses.c.delivery_id == delivery_id,
            t.object_statuses.c.sop_instance_uid == sop_instance_uid,
        )
        values = {"delivery_id": delivery_id, "sop_instance_uid": sop_instance_uid, "status": status}
        with self.write() as connection:
            connection.execute(sa.delete(t.object_statuses).where(*which))
            connection.execute(sa.insert(t.object_statuses).values(at=self.clock(), **values))

    def finish_delivery(self, delivery_id: int, worker: str) -> None:
        """Record that the target holds all objects: PENDING -> DELIVERED.

        Raises
        ------
        IllegalTransition, LeaseLost
            It was not this worker's to finish any more.
        """
        now = self.clock()
        with self.write() as connection:
            row = _mine(connection, delivery_id, worker)
            end_attempt(connection, row.job_id, row.id, now, "delivered")
            move_delivery(connection, row, DeliveryEvent.SENT, now, "delivered")
            connection.execute(sa.delete(t.targets).where(t.targets.c.name == row.target))

    def delay_delivery(
        self, delivery_id: int, worker: str, error: str, next_attempt_at: datetime, target_at: datetime | None = None
    ) -> None:
        """Record a transient failure: the delivery waits, and all others of its target until ``target_at`` at least."""
        now = self.clock()
        with self.write() as connection:
            row = _mine(connection, delivery_id, worker)
            _release(connection, row, now, "failed", last_error=error, next_attempt_at=next_attempt_at)
            _trouble(connection, row.target, error, next_attempt_at=target_at or next_attempt_at)

    def park_delivery(self, delivery_id: int, worker: str, error: str, traceback: str = "") -> None:
        """Record that the target refused these objects: they wait for ``retry``."""
        now = self.clock()
        with self.write() as connection:
            row = _mine(connection, delivery_id, worker)
            record(connection, row.job_id, now, "parked", f"{row.target}: {error}")
            _release(connection, row, now, "failed", traceback, last_error=error, parked_at=now)

    def park_target(self, delivery_id: int, worker: str, error: str) -> None:
        """Record that the target refuses us as such: all its deliveries wait until ``unpark``."""
        now = self.clock()
        with self.write() as connection:
            row = _mine(connection, delivery_id, worker)
            record(connection, row.job_id, now, "target_parked", f"{row.target}: {error}")
            _release(connection, row, now, "failed", last_error=error)
            _trouble(connection, row.target, error, parked_at=now)

    def give_back_delivery(self, delivery_id: int, worker: str) -> None:
        """Return a claimed delivery untouched (the worker is told to stop)."""
        mine = (t.deliveries.c.id == delivery_id, t.deliveries.c.worker == worker)
        with self.write() as connection:
            row = connection.execute(sa.select(t.deliveries).where(*mine)).one_or_none()
            if row is not None:
                _release(connection, row, self.clock(), "given back", attempts=row.attempts - 1)

    def confirm_commitment(self, delivery_id: int) -> None:
        """Record that the target has committed to keep the objects: DELIVERED -> COMMITTED."""
        with self.write() as connection:
            row = connection.execute(sa.select(t.deliveries).where(t.deliveries.c.id == delivery_id)).one()
            move_delivery(connection, row, DeliveryEvent.COMMITTED, self.clock(), "commitment confirmed")

    def targets_in_trouble(self) -> list[Target]:
        """Return the destinations that failed last time, parked or backing off."""
        with self.read() as connection:
            return [target_of(row) for row in connection.execute(sa.select(t.targets).order_by(t.targets.c.name))]

    def target_failures(self, target: str) -> int:
        """Return how often in a row a destination has failed."""
        return next((one.failures for one in self.targets_in_trouble() if one.name == target), 0)

    def parked_targets(self) -> list[str]:
        """Return the names of the destinations that are to be probed."""
        return [target.name for target in self.targets_in_trouble() if target.parked]

    def unpark(self, target: str) -> None:
        """Let the deliveries of a target resume at once: it has answered."""
        waits = (t.deliveries.c.target == target, t.deliveries.c.state == DeliveryState.PENDING)
        with self.write() as connection:
            connection.execute(sa.delete(t.targets).where(t.targets.c.name == target))
            connection.execute(sa.update(t.deliveries).where(*waits).values(next_attempt_at=None))


def take_back_deliveries(connection: Connection, workers: str | None, now: datetime) -> int:
    """End the leases that ran out, or all of the workers whose names begin so; return how many."""
    which = t.deliveries.c.lease_until < now
    if workers is not None:
        which = t.deliveries.c.worker.startswith(workers, autoescape=True)
    return _take_back(connection, which, now)


def _claimable(now: datetime, target: str | None = None, delivery_id: int | None = None) -> sa.Select[int]:
    under_way = t.deliveries.alias("under_way")
    busy = sa.exists().where(under_way.c.target == t.deliveries.c.target, under_way.c.worker.is_not(None))
    which = [
        ~busy,
        _has_its_turn(),
        t.deliveries.c.state == DeliveryState.PENDING,
        t.deliveries.c.worker.is_(None),
        t.deliveries.c.parked_at.is_(None),
        t.deliveries.c.next_attempt_at.is_(None) | (t.deliveries.c.next_attempt_at <= now),
        t.targets.c.parked_at.is_(None),
        t.targets.c.next_attempt_at.is_(None) | (t.targets.c.next_attempt_at <= now),
    ]
    if target is not None:
        which.append(t.deliveries.c.target == target)
    if delivery_id is not None:
        which.append(t.deliveries.c.id == delivery_id)
    with_target = t.deliveries.outerjoin(t.targets, t.targets.c.name == t.deliveries.c.target)
    query = sa.select(t.deliveries.c.id).select_from(with_target).where(*which)
    return query.order_by(t.deliveries.c.attempts, t.deliveries.c.id)


def _has_its_turn() -> sa.ColumnElement[bool]:
    """Of those that come after others: one of the others has been delivered, or there is none."""
    other, that_waits = t.deliveries.alias("other"), t.after_others.alias("that_waits")
    waits = sa.exists().where(t.after_others.c.delivery_id == t.deliveries.c.id)
    ahead = (other.c.job_id == t.deliveries.c.job_id, ~sa.exists().where(that_waits.c.delivery_id == other.c.id))
    delivered = other.c.state.in_((DeliveryState.DELIVERED, DeliveryState.COMMITTED))
    return ~waits | sa.exists().where(*ahead, delivered) | ~sa.exists().where(*ahead)


def _expired(connection: Connection, now: datetime) -> bool:
    return connection.scalar(sa.select(t.deliveries.c.id).where(t.deliveries.c.lease_until < now).limit(1)) is not None


def _take_back(connection: Connection, which: sa.ColumnElement[bool], now: datetime) -> int:
    rows = connection.execute(sa.select(t.deliveries).where(which)).all()
    for row in rows:
        error = f"worker {row.worker} was killed or hung while sending"
        again = now + timedelta(seconds=backoff_s(row.attempts))
        _release(connection, row, now, "lease expired", last_error=error, next_attempt_at=again)
    return len(rows)


def _release(
    connection: Connection, row: AnyRow, now: datetime, result: str, traceback: str = "", **columns: object
) -> None:
    """Take a delivery from its worker; one that was superseded meanwhile is cancelled now."""
    connection.execute(sa.update(t.deliveries).where(t.deliveries.c.id == row.id).values(**_RELEASED, **columns))
    said = {"error": columns.get("last_error"), "traceback": traceback or None}
    end_attempt(connection, row.job_id, row.id, now, result, **said)
    cancel_superseded(connection, row.job_id, now)


def _trouble(connection: Connection, target: str, error: str, **columns: datetime) -> None:
    which = t.targets.c.name == target
    row = connection.execute(sa.select(t.targets).where(which)).one_or_none()
    if row is None:
        connection.execute(sa.insert(t.targets).values(name=target, failures=1, last_error=error, **columns))
    else:
        values = {"failures": row.failures + 1, "last_error": error, **columns}
        connection.execute(sa.update(t.targets).where(which).values(**values))


def _mine(connection: Connection, delivery_id: int, worker: str) -> AnyRow:
    row = connection.execute(sa.select(t.deliveries).where(t.deliveries.c.id == delivery_id)).one()
    if row.state != DeliveryState.PENDING:
        raise IllegalTransition(f"delivery {delivery_id} is {row.state}")
    if row.worker != worker:
        raise LeaseLost(f"delivery {delivery_id} is no longer {worker}'s")
    return row


def _object_of(row: AnyRow) -> DeliveryObject:
    stored = row.status is not None and states.means_stored(row.status)
    return DeliveryObject(result_of(row), row.status, stored)
