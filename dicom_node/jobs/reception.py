"""The ledger's receiving side: associations, instances, and the decision that a study has come to rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dicom_node.domain import InstanceRef
from dicom_node.jobs import states
from dicom_node.jobs import tables as t
from dicom_node.jobs.database import DIALECTS, Clock, Ledger, insert_of, utc_now
from dicom_node.jobs.evidence import BROKEN
from dicom_node.jobs.group_commit import GroupCommit
from dicom_node.jobs.rows import AnyRow, columns_of_instance, instance_of
from dicom_node.jobs.states import JobEvent, JobState
from dicom_node.jobs.transitions import FRESH, end_attempt, insert, move_job, open_revision, record

# "idle": this node closed it because nothing came; the sender did nothing wrong
Ending = Literal["released", "idle", "aborted", "lost"]


@dataclass(frozen=True)
class _Arrival:
    called_ae_title: str
    association_id: int | None
    ref: InstanceRef


# One of each for every image received: built once.
_HELD = sa.select(t.instances).where(
    t.instances.c.called_ae_title == sa.bindparam("called_ae_title"),
    t.instances.c.sop_instance_uid == sa.bindparam("sop_instance_uid"),
)
_LATEST_JOB = (
    sa.select(t.jobs.c.id, t.jobs.c.state, t.jobs.c.revision, t.jobs.c.incomplete)
    .where(
        t.jobs.c.called_ae_title == sa.bindparam("called_ae_title"),
        t.jobs.c.study_instance_uid == sa.bindparam("study_instance_uid"),
    )
    .order_by(t.jobs.c.revision.desc())
    .limit(1)
)
_INSERT_INSTANCE = sa.insert(t.instances)


def _insert_of_receiving_study(dialect: str) -> Any:
    """Build the statement for the usual case: a new instance of a study that is being received; else no row."""
    given = [column for column in t.instances.c if column.name not in ("id", "revision", "removing_at", "removed_at")]
    values = [sa.bindparam(column.name, type_=column.type) for column in given]
    job = _LATEST_JOB.subquery()
    receiving = sa.select(*values, job.c.revision).where(job.c.state == JobState.RECEIVING)
    names = [*(column.name for column in given), "revision"]
    statement = insert_of(dialect, t.instances).from_select(names, receiving).on_conflict_do_nothing()
    # without it the number of rows of an INSERT is -1 on PostgreSQL: an instance would be acknowledged and not noted
    return statement.execution_options(preserve_rowcount=True)


_INSERT_USUAL = {dialect: _insert_of_receiving_study(dialect) for dialect in DIALECTS}


class Reception(Ledger):
    """What the C-STORE SCP and the settle timer write."""

    def __init__(self, url: str, clock: Clock = utc_now, max_attempts: int = 3) -> None:
        super().__init__(url, clock, max_attempts)
        self._arrivals = GroupCommit(self._note_arrivals)

    def association_opened(self, calling_ae_title: str, called_ae_title: str, address: str) -> int:
        """Note an accepted association; returns its id."""
        values = {
            "calling_ae_title": calling_ae_title,
            "called_ae_title": called_ae_title,
            "address": address,
            "opened_at": self.clock(),
        }
        with self.write() as connection:
            return insert(connection, t.associations, values)

    def association_ended(self, association_id: int, how: Ending) -> None:
        """Note how an association ended; the first word stands."""
        still_open = (t.associations.c.id == association_id, t.associations.c.ended_at.is_(None))
        with self.write() as connection:
            connection.execute(
                sa.update(t.associations).where(*still_open).values(ended_at=self.clock(), how_ended=how)
            )

    def close_open_associations(self) -> int:
        """Note, at the start of the node, that the associations still open went down with its predecessor."""
        still_open = t.associations.c.ended_at.is_(None)
        values = {"ended_at": self.clock(), "how_ended": "restart"}
        with self.write() as connection:
            return connection.execute(sa.update(t.associations).where(still_open).values(**values)).rowcount

    def known_instance(self, called_ae_title: str, sop_instance_uid: str) -> InstanceRef | None:
        """Return the instance held under this called AE title, or None if it was never received or is removed."""
        with self.read() as connection:
            row = _held(connection, called_ae_title, sop_instance_uid)
            return None if row is None or row.removed_at is not None else instance_of(row)

    def note_instance(self, called_ae_title: str, association_id: int | None, ref: InstanceRef) -> bool:
        """Note a received instance whose file is durable; returns after the commit.

        The study's job takes it in, or the next revision is opened for it. Many threads share one transaction.

        Returns
        -------
        bool
            False if an instance of that UID was already held: nothing was noted, somebody else was faster.

        Raises
        ------
        LedgerError
            Nothing was noted; the sender must be told so.
        """
        return self._arrivals.submit(_Arrival(called_ae_title, association_id, ref))

    def note_repeat(self, called_ae_title: str, association_id: int | None, sop_instance_uid: str, note: str) -> None:
        """Note that a held instance was sent once more and not kept.

        It counts as activity of its study. Where a series was settled as broken off, and all that is held of it has
        now been sent again, the study is taken up once more: the sender has repeated what failed.
        """
        now = self.clock()
        with self.write() as connection:
            row = _held(connection, called_ae_title, sop_instance_uid)
            if row is None:
                return
            values = {"instance_id": row.id, "association_id": association_id, "at": now, "note": note}
            connection.execute(sa.insert(t.repeats).values(**values))
            job = _latest_job(connection, called_ae_title, row.study_instance_uid)
            if job is not None and job.incomplete and _sent_again(connection, row):
                again = _Arrival(called_ae_title, association_id, instance_of(row))
                _take_in(connection, again, now, "a series that had broken off was sent again")

    def note_quarantined(self, called_ae_title: str, association_id: int | None, path: object, reason: str) -> None:
        """Note an object that was put aside, and why."""
        values = {"association_id": association_id, "path": str(path), "reason": reason, "at": self.clock()}
        with self.write() as connection:
            connection.execute(sa.insert(t.quarantined).values(called_ae_title=called_ae_title, **values))

    def settle(self, job_id: int, evidence: dict[str, object], incomplete: bool, n_held: int) -> bool:
        """Close the instance set of a study that has come to rest: RECEIVING -> READY.

        Parameters
        ----------
        evidence : dict
            Why; JSON types, see ``settle.py``.
        incomplete : bool
            Some series of it broke off.
        n_held : int
            The number of instances that the decision was made on.

        Returns
        -------
        bool
            False, and nothing is changed, if an instance has come since.
        """
        now = self.clock()
        with self.write() as connection:
            job = connection.execute(sa.select(t.jobs).where(t.jobs.c.id == job_id)).one()
            if job.state != JobState.RECEIVING or _n_held(connection, job) != n_held:
                return False
            columns: dict[str, Any] = {**FRESH, "settled_at": now, "evidence": evidence, "incomplete": incomplete}
            move_job(connection, job, JobEvent.SETTLED, now, str(evidence.get("words", "")), **columns)
        return True

    def _note_arrivals(self, arrivals: Sequence[_Arrival]) -> list[bool]:
        with self.write_unsynced() as connection:
            now = self.clock()
            return [_note(connection, arrival, now) for arrival in arrivals]


def _held(connection: Connection, called_ae_title: str, sop_instance_uid: str) -> AnyRow | None:
    values = {"called_ae_title": called_ae_title, "sop_instance_uid": sop_instance_uid}
    return connection.execute(_HELD, values).one_or_none()


def _latest_job(connection: Connection, called_ae_title: str, study_instance_uid: str) -> AnyRow | None:
    values = {"called_ae_title": called_ae_title, "study_instance_uid": study_instance_uid}
    return connection.execute(_LATEST_JOB, values).one_or_none()


def _n_held(connection: Connection, job: AnyRow) -> int:
    which = (
        t.instances.c.called_ae_title == job.called_ae_title,
        t.instances.c.study_instance_uid == job.study_instance_uid,
        t.instances.c.removing_at.is_(None),
    )
    return connection.scalar(sa.select(sa.func.count()).select_from(t.instances).where(*which)) or 0


def _note(connection: Connection, arrival: _Arrival, now: datetime) -> bool:
    columns: dict[str, Any] = {
        **columns_of_instance(arrival.ref),
        "called_ae_title": arrival.called_ae_title,
        "association_id": arrival.association_id,
        "received_at": now,
    }
    if connection.execute(_INSERT_USUAL[connection.dialect.name], columns).rowcount:
        return True
    row = _held(connection, arrival.called_ae_title, arrival.ref.sop_instance_uid)
    if row is not None and row.removed_at is None:
        return False
    columns |= {
        "revision": _take_in(connection, arrival, now, "image received"),
        "removing_at": None,
        "removed_at": None,
    }
    if row is None:
        connection.execute(_INSERT_INSTANCE, columns)
    else:
        connection.execute(sa.update(t.instances).where(t.instances.c.id == row.id).values(**columns))
    return True


def _take_in(connection: Connection, arrival: _Arrival, now: datetime, what: str) -> int:
    """Bring the study's job into RECEIVING, or open the next revision; return the revision that receives."""
    job = _latest_job(connection, arrival.called_ae_title, arrival.ref.study_instance_uid)
    if job is not None and job.state == JobState.RECEIVING:
        return int(job.revision)
    words = f"{what} {_sender(connection, arrival.association_id)}"
    if job is not None and states.is_legal(states.JOB_TABLE, JobState(job.state), JobEvent.INSTANCE_STORED):
        end_attempt(connection, job.id, None, now, "dropped", error="a late image changed the study")
        move_job(connection, job, JobEvent.INSTANCE_STORED, now, words, **FRESH)
        return int(job.revision)
    job_id = open_revision(connection, arrival.called_ae_title, arrival.ref.study_instance_uid, job, now)
    record(connection, job_id, now, JobEvent.INSTANCE_STORED, words)
    return 1 if job is None else int(job.revision) + 1


def _sender(connection: Connection, association_id: int | None) -> str:
    if association_id is None:
        return "(found in the spool)"
    which = t.associations.c.id == association_id
    return f"from {connection.scalar(sa.select(t.associations.c.calling_ae_title).where(which))}"


def _sent_again(connection: Connection, instance: AnyRow) -> bool:
    """Tell whether all that is held of an instance's series was sent again after its last broken association."""
    series = (
        t.instances.c.called_ae_title == instance.called_ae_title,
        t.instances.c.study_instance_uid == instance.study_instance_uid,
        t.instances.c.series_instance_uid == instance.series_instance_uid,
        t.instances.c.removing_at.is_(None),
    )
    broke = t.associations.c.how_ended.in_(BROKEN)
    carried = t.instances.join(t.associations, t.associations.c.id == t.instances.c.association_id)
    broken_at = connection.scalar(
        sa.select(sa.func.max(t.associations.c.ended_at)).select_from(carried).where(*series, broke)
    )
    if broken_at is None:
        return False
    again = t.repeats.join(t.instances, t.instances.c.id == t.repeats.c.instance_id).join(
        t.associations, t.associations.c.id == t.repeats.c.association_id
    )
    n_again = connection.scalar(
        sa.select(sa.func.count(sa.distinct(t.repeats.c.instance_id)))
        .select_from(again)
        .where(*series, t.associations.c.opened_at >= broken_at, sa.func.coalesce(~broke, True))
    )
    n_held = connection.scalar(sa.select(sa.func.count()).select_from(t.instances).where(*series))
    return n_again == n_held
