"""What may be removed from the disk, and when. The rows stay.

A file goes in three steps: its row is marked, the file is unlinked (``housekeeping.py``), the row says so. From the
mark on it belongs to no new revision; a crash between the steps leaves marked rows, which are handed out again.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dicom_node.jobs import tables as t
from dicom_node.jobs.database import Ledger
from dicom_node.jobs.emr_rows import drop_records
from dicom_node.jobs.records import HeldFile
from dicom_node.jobs.states import JobState

_BATCH = 2000


class Retention(Ledger):
    """What housekeeping reads and writes."""

    def removable_received(self, done_before: datetime) -> list[HeldFile]:
        """Mark and return received files of studies all of whose revisions were DONE before this instant.

        A job is DONE only when none of its deliveries is pending or parked. At most some thousand at a time.
        """
        return self._removable(t.instances, _instances_of_job, done_before)

    def removable_results(self, done_before: datetime) -> list[HeldFile]:
        """Mark and return result files of studies all of whose revisions were DONE before this instant."""
        return self._removable(t.results, t.results.c.job_id == t.jobs.c.id, done_before)

    def note_received_removed(self, files: Iterable[HeldFile]) -> None:
        """Record that these received files are gone."""
        self._note_removed(t.instances, files)

    def note_results_removed(self, files: Iterable[HeldFile]) -> None:
        """Record that these result files are gone; what their analyses used of the patient's record goes too."""
        gone = list(files)
        self._note_removed(t.results, gone)
        with self.write() as connection:
            drop_records(connection, (file.job_id for file in gone))

    def received_paths(self) -> dict[str, bool]:
        """Return the path of every received instance ever, and whether its file must be there."""
        query = sa.select(t.instances.c.path, t.instances.c.removing_at)
        with self.read() as connection:
            return {row.path: row.removing_at is None for row in connection.execute(query)}

    def _removable(self, table: sa.Table, of_job: sa.ColumnElement[bool], done_before: datetime) -> list[HeldFile]:
        now = self.clock()
        with self.write() as connection:
            due = (table.c.removing_at.is_(None), _study_done(table, of_job, done_before))
            ids = connection.scalars(sa.select(table.c.id).where(*due).limit(_BATCH)).all()
            connection.execute(sa.update(table).where(table.c.id.in_(ids)).values(removing_at=now))
            return _marked(connection, table)

    def _note_removed(self, table: sa.Table, files: Iterable[HeldFile]) -> None:
        ids = [file.id for file in files]
        with self.write() as connection:
            # a row may have been given a new file meanwhile: that one is not marked
            which = (table.c.id.in_(ids), table.c.removing_at.is_not(None))
            connection.execute(sa.update(table).where(*which).values(removed_at=self.clock()))


_instances_of_job = (t.instances.c.called_ae_title == t.jobs.c.called_ae_title) & (
    t.instances.c.study_instance_uid == t.jobs.c.study_instance_uid
)


def _study_done(table: sa.Table, of_job: sa.ColumnElement[bool], done_before: datetime) -> sa.ColumnElement[bool]:
    any_revision = t.jobs.alias("any_revision")
    same_study = (
        (any_revision.c.called_ae_title == t.jobs.c.called_ae_title)
        & (any_revision.c.study_instance_uid == t.jobs.c.study_instance_uid)
    )  # fmt: skip
    unfinished = (any_revision.c.state != JobState.DONE) | (any_revision.c.done_at >= done_before)
    rests = ~sa.exists().where(same_study, unfinished)
    return sa.exists().where(of_job, rests).correlate(table)


def _marked(connection: Connection, table: sa.Table) -> list[HeldFile]:
    query: sa.Select[Any] = sa.select(table).where(table.c.removing_at.is_not(None), table.c.removed_at.is_(None))
    rows = connection.execute(query.order_by(table.c.id).limit(_BATCH))
    return [HeldFile(row.id, row.path, getattr(row, "job_id", 0)) for row in rows]
