"""The tables of the ledger. The same definitions serve SQLite and PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

# Raised whenever a table changes, so that an old ledger is refused with a sentence and not with an SQL error.
SCHEMA_VERSION = 1

metadata = MetaData()


class Utc(TypeDecorator[datetime]):
    """An aware instant, kept in UTC without offset, so that SQLite and PostgreSQL compare it alike."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: they would be somebody's local time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the ledger takes aware times only")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

associations = Table(
    "associations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("calling_ae_title", String(16), nullable=False),
    Column("called_ae_title", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("ended_at", Utc, index=True),
    # released | idle | aborted | lost | restart
    Column("how_ended", String(16)),
)

# One row for each SOP instance and called AE title, for ever; the file goes after its time (removed_at).
instances = Table(
    "instances",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("called_ae_title", String(16), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("n_bytes", BigInteger, nullable=False),
    Column("header", JSON, nullable=False),
    Column("association_id", ForeignKey("associations.id")),
    # the revision of the study that this instance came with
    Column("revision", Integer, nullable=False),
    Column("received_at", Utc, nullable=False),
    # set before the file is unlinked: from then on the instance belongs to no new revision
    Column("removing_at", Utc),
    Column("removed_at", Utc),
    UniqueConstraint("called_ae_title", "sop_instance_uid"),
    Index("instances_of_study", "called_ae_title", "study_instance_uid"),
    Index("instances_of_association", "association_id"),
)

repeats = Table(
    "repeats",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("instance_id", ForeignKey("instances.id"), nullable=False, index=True),
    Column("association_id", ForeignKey("associations.id")),
    Column("at", Utc, nullable=False),
    Column("note", Text, nullable=False),
)

quarantined = Table(
    "quarantined",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("called_ae_title", String(16), nullable=False),
    Column("association_id", ForeignKey("associations.id")),
    Column("path", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Utc, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("called_ae_title", String(16), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("predecessor_id", ForeignKey("jobs.id")),
    Column("state", String(16), nullable=False, index=True),
    Column("created_at", Utc, nullable=False),
    Column("settled_at", Utc),
    Column("analysed_at", Utc),
    Column("done_at", Utc),
    Column("evidence", JSON, nullable=False),
    # some series was settled as "reception broke off": the same images sent once more are news then
    Column("incomplete", Boolean, nullable=False),
    Column("outcome", String(16)),
    Column("reason", String(32)),
    Column("detail", Text, nullable=False),
    Column("verdicts", JSON, nullable=False),
    Column("findings", JSON),
    Column("digests", JSON, nullable=False),
    # trouble, and who works on it
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Utc),
    Column("last_error", Text),
    Column("parked_at", Utc),
    # in RECEIVING: how much was known when the settle timer decided to wait until next_attempt_at
    Column("news_weighed", Integer),
    Column("worker", String(128)),
    Column("lease_until", Utc),
    Column("stage", String(64)),
    Column("fraction", Float),
    UniqueConstraint("called_ae_title", "study_instance_uid", "revision"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False, index=True),
    # NULL: an attempt to analyse
    Column("delivery_id", ForeignKey("deliveries.id"), index=True),
    Column("worker", String(128), nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("result", String(32)),
    Column("error", Text),
    Column("traceback", Text),
)

results = Table(
    "results",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False, index=True),
    Column("path", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("removing_at", Utc),
    Column("removed_at", Utc),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("target", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("commitment_wanted", Boolean, nullable=False),
    Column("ended_at", Utc),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Utc),
    Column("last_error", Text),
    # waits for `emerald retry`
    Column("parked_at", Utc),
    Column("worker", String(128)),
    Column("lease_until", Utc),
    UniqueConstraint("job_id", "target"),
    Index("deliveries_of_target", "state", "target"),
)

# The deliveries whose turn comes when another one of their job, not of these, has been delivered: those to an EMR.
after_others = Table("after_others", metadata, Column("delivery_id", ForeignKey("deliveries.id"), primary_key=True))

# What the peer said of each object: a retry sends only what is not stored yet.
object_statuses = Table(
    "object_statuses",
    metadata,
    Column("delivery_id", ForeignKey("deliveries.id"), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("status", Integer, nullable=False),
    Column("at", Utc, nullable=False),
)

# Trouble of a destination as such, which all its deliveries share. No row: no trouble so far.
targets = Table(
    "targets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("next_attempt_at", Utc),
    # probed by C-ECHO until it answers
    Column("parked_at", Utc),
    Column("last_error", Text),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False, index=True),
    Column("at", Utc, nullable=False),
    Column("event", String(32), nullable=False),
    Column("words", Text, nullable=False),
)
