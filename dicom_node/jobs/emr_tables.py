"""The tables of the record: what was received by HL7 v2, what is known from it, and what waits to be sent.

Patients and orders are documents: what they hold is the business of ``dicom_node/emr_store.py``.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from dicom_node.jobs.tables import Utc, metadata

# One row for each message taken, so that a repetition is known: the control id and a digest, no content.
inbox = Table(
    "emr_inbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sender", Text, nullable=False),
    Column("control_id", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("received_at", Utc, nullable=False, index=True),
    UniqueConstraint("digest", "control_id", "sender"),
)

# What could not be read or used, whole, for a person to look at.
dead_letters = Table(
    "emr_dead_letters",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sender", Text, nullable=False),
    Column("control_id", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("at", Utc, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

# One row for each identifier of a patient: nothing but a merge message ever joins two.
patients = Table(
    "emr_patients",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("document", JSON, nullable=False),
    Column("updated_at", Utc, nullable=False),
)

orders = Table(
    "emr_orders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("accession_number", Text, nullable=False, index=True),
    Column("study_instance_uid", Text, nullable=False, index=True),
    Column("document", JSON, nullable=False),
    Column("updated_at", Utc, nullable=False),
)

# What each analysis used of its patient's record; goes with the results.
job_records = Table(
    "emr_job_records",
    metadata,
    Column("job_id", ForeignKey("jobs.id"), primary_key=True),
    Column("document", JSON, nullable=False),
)

outbox = Table(
    "emr_outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("destination", Text, nullable=False),
    Column("control_id", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("added_at", Utc, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Utc, nullable=False),
    Column("last_error", Text),
    # accepted, or dead
    Column("ended_at", Utc),
    Column("answer", String(8)),
    Column("dead", Boolean, nullable=False),
    UniqueConstraint("destination", "control_id"),
    Index("emr_outbox_waiting", "destination", "ended_at", "id"),
)

counters = Table(
    "emr_counters", metadata, Column("name", String(64), primary_key=True), Column("n", Integer, nullable=False)
)
