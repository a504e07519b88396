"""What the ledger knows of the studies that are being received, gathered for the decision in ``settle.py``."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dicom_node.jobs import tables as t
from dicom_node.jobs.database import Ledger
from dicom_node.jobs.records import AssociationFacts, SeriesFacts, StudyFacts
from dicom_node.jobs.rows import AnyRow
from dicom_node.jobs.states import JobState


class Facts(Ledger):
    """What the settle timer reads."""

    def receiving_studies(self, quiet_since: datetime | None = None) -> list[StudyFacts]:
        """Return the studies in RECEIVING that the settle timer has to look at, oldest first.

        Those on which ``wait`` is in force are left out until there is news of them.

        Parameters
        ----------
        quiet_since : datetime, optional
            Leave out the studies, too, that something came for after this instant.
        """
        now = self.clock()
        receiving = sa.select(t.jobs).where(t.jobs.c.state == JobState.RECEIVING).order_by(t.jobs.c.id)
        with self.read() as connection:
            jobs = connection.execute(receiving).all()
            looked_at = (_look(connection, job, quiet_since, now) for job in jobs)
            return [facts for facts in looked_at if facts is not None]

    def wait(self, facts: StudyFacts, until: datetime) -> None:
        """Note that a study is not to be looked at before ``until``, unless there is news of it."""
        same = (t.jobs.c.id == facts.job_id, t.jobs.c.state == JobState.RECEIVING)
        values = {"next_attempt_at": until, "news_weighed": facts.n_news}
        with self.write() as connection:
            connection.execute(sa.update(t.jobs).where(*same).values(**values))


def _look(connection: Connection, job: AnyRow, quiet_since: datetime | None, now: datetime) -> StudyFacts | None:
    """Gather the facts of a study, unless the cheap questions say that it is too early."""
    last_at = _last_at(connection, job)
    if quiet_since is not None and last_at > quiet_since:
        return None
    n_news = _n_news(connection, job)
    waits = job.next_attempt_at is not None and job.next_attempt_at > now
    return None if waits and job.news_weighed == n_news else _study(connection, job, last_at, n_news)


def _of_study(job: AnyRow) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return (
        t.instances.c.called_ae_title == job.called_ae_title,
        t.instances.c.study_instance_uid == job.study_instance_uid,
    )


def _repeats_joined() -> sa.Join:
    return t.repeats.join(t.instances, t.instances.c.id == t.repeats.c.instance_id)


def _last_at(connection: Connection, job: AnyRow) -> datetime:
    received = connection.scalar(sa.select(sa.func.max(t.instances.c.received_at)).where(*_of_study(job)))
    again = sa.select(sa.func.max(t.repeats.c.at)).select_from(_repeats_joined()).where(*_of_study(job))
    return max(filter(None, (job.created_at, received, connection.scalar(again))))


def _n_news(connection: Connection, job: AnyRow) -> int:
    held = sa.select(t.instances.c.association_id).where(*_of_study(job), t.instances.c.removing_at.is_(None))
    again = sa.select(t.repeats.c.association_id).select_from(_repeats_joined()).where(*_of_study(job))
    carriers = sa.union(held, again).subquery()
    ended = sa.select(t.associations.c.id).where(
        t.associations.c.id.in_(sa.select(carriers)), t.associations.c.ended_at.is_not(None)
    )
    counts = (sa.select(sa.func.count()).select_from(rows.subquery()) for rows in (held, again, ended))
    return sum(connection.scalar(count) or 0 for count in counts)


def _study(connection: Connection, job: AnyRow, last_at: datetime, n_news: int) -> StudyFacts:
    rows = connection.execute(sa.select(t.instances).where(*_of_study(job)).order_by(t.instances.c.id)).all()
    held = [row for row in rows if row.removing_at is None]
    repeats = _repeats(connection, job)
    associations = _associations(connection, held, repeats)
    by_series: dict[str, list[AnyRow]] = defaultdict(list)
    for row in held:
        by_series[row.series_instance_uid].append(row)
    return StudyFacts(
        job_id=job.id,
        called_ae_title=job.called_ae_title,
        study_instance_uid=job.study_instance_uid,
        revision=job.revision,
        series=tuple(_series(uid, rows, repeats, associations) for uid, rows in by_series.items()),
        n_held=len(held),
        n_removed=len(rows) - len(held),
        last_at=last_at,
        n_news=n_news,
    )


def _repeats(connection: Connection, job: AnyRow) -> list[AnyRow]:
    columns = (t.repeats.c.instance_id, t.repeats.c.association_id, t.repeats.c.at, t.instances.c.series_instance_uid)
    return list(connection.execute(sa.select(*columns).select_from(_repeats_joined()).where(*_of_study(job))))


def _associations(connection: Connection, *rows: Iterable[AnyRow]) -> dict[int, AnyRow]:
    ids = {row.association_id for some in rows for row in some} - {None}
    found = connection.execute(sa.select(t.associations).where(t.associations.c.id.in_(sorted(ids)))).all()
    return {row.id: row for row in found}


def _series(uid: str, held: list[AnyRow], repeats: list[AnyRow], associations: Mapping[int, AnyRow]) -> SeriesFacts:
    brought: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
    for row in held:
        brought[row.association_id].append((row.id, row.received_at))
    for row in repeats:
        if row.series_instance_uid == uid:
            brought[row.association_id].append((row.instance_id, row.at))
    n_new = Counter(row.association_id for row in held)
    known = sorted(brought.keys() & associations.keys())
    facts = tuple(_association(associations[id_], n_new[id_], brought[id_]) for id_ in known)
    return SeriesFacts(uid, tuple(row.header for row in held), facts)


def _association(row: AnyRow, n_new: int, brought: list[tuple[int, datetime]]) -> AssociationFacts:
    return AssociationFacts(
        id=row.id,
        calling_ae_title=row.calling_ae_title,
        opened_at=row.opened_at,
        ended_at=row.ended_at,
        how_ended=row.how_ended,
        n_new=n_new,
        carried=frozenset(instance_id for instance_id, _ in brought),
        last_at=max(at for _, at in brought),
    )
