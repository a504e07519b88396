"""What goes into the ledger and what comes out of it, as plain values."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dicom_node.domain import Job, Outcome, Reason, ResultRef, SeriesVerdict


@dataclass(frozen=True)
class AssociationFacts:
    """One association, as far as it carried one series.

    Attributes
    ----------
    how_ended : str or None
        ``released``, ``idle`` (closed by us), ``aborted``, ``lost``, or ``restart`` (the node itself went away); None
        while it is open.
    n_new : int
        Instances of the series that came with it first.
    carried : frozenset of int
        Ledger ids of the instances held of the series that it brought, new or repeated.
    last_at : datetime
        When it brought the last of them.
    """

    id: int
    calling_ae_title: str
    opened_at: datetime
    ended_at: datetime | None
    how_ended: str | None
    n_new: int
    carried: frozenset[int]
    last_at: datetime


@dataclass(frozen=True)
class SeriesFacts:
    """What the ledger knows of one series of a study that is being received.

    Attributes
    ----------
    headers : tuple of dict
        One for each instance held, as recorded on reception (``objects/headers.py``).
    """

    series_instance_uid: str
    headers: tuple[dict[str, object], ...]
    associations: tuple[AssociationFacts, ...]


@dataclass(frozen=True)
class StudyFacts:
    """What the ledger knows of a study that is being received.

    Attributes
    ----------
    n_held : int
        Instances of all series that are held now; ``settle`` is refused when it has changed since.
    n_removed : int
        Instances of earlier revisions that are no longer held.
    last_at : datetime
        When the last instance came, new or repeated.
    n_news : int
        Grows with everything that may change the decision: instances, repeats, ends of associations.
    """

    job_id: int
    called_ae_title: str
    study_instance_uid: str
    revision: int
    series: tuple[SeriesFacts, ...]
    n_held: int
    n_removed: int
    last_at: datetime
    n_news: int


@dataclass(frozen=True)
class RecordRow:
    """What an analysis used of the patient's record.

    Attributes
    ----------
    counter : str
        The counter that it adds to; empty: none.
    words : str
        How the record was come by, for the history: no value of any patient.
    document : dict
        JSON: the record.
    """

    counter: str
    words: str
    document: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Saved:
    """What the analysis of a job leaves in the ledger.

    Attributes
    ----------
    findings : object
        JSON: what the next revision and the command line need of the findings.
    targets : tuple of str
        Names of the destinations that the results go to.
    commitment_targets : tuple of str
        Those of them that are asked for storage commitment.
    after_others : tuple of str
        Those of them whose turn comes when another one has been delivered: an EMR is told what the PACS has.
    digests : dict
        Name -> hex digest of what the result was computed from (source, engine, ...).
    record : RecordRow or None
        None: no source of records is configured.
    """

    outcome: Outcome
    reason: Reason | None = None
    detail: str = ""
    verdicts: tuple[SeriesVerdict, ...] = ()
    findings: object = None
    results: tuple[ResultRef, ...] = ()
    targets: tuple[str, ...] = ()
    commitment_targets: tuple[str, ...] = ()
    after_others: tuple[str, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)
    record: RecordRow | None = None


@dataclass(frozen=True)
class Delivery:
    """The results of one job on their way to one target.

    Attributes
    ----------
    state : str
        A ``DeliveryState`` of ``jobs/states.py``.
    parked : bool
        Waits for ``emerald retry``.
    """

    id: int
    job_id: int
    target: str
    state: str
    attempts: int
    parked: bool
    last_error: str | None
    next_attempt_at: datetime | None
    ended_at: datetime | None = None


@dataclass(frozen=True)
class DeliveryObject:
    """One result object of a delivery and the last status the target gave for it (None: not sent yet)."""

    result: ResultRef
    status: int | None
    stored: bool


@dataclass(frozen=True)
class Target:
    """Trouble of a destination as such."""

    name: str
    failures: int
    parked: bool
    next_attempt_at: datetime | None
    last_error: str | None


@dataclass(frozen=True)
class JobStatus:
    """A job with all that an operator wants to see of it in one line."""

    job: Job
    n_instances: int
    attempts: int
    parked: bool
    last_error: str | None
    next_attempt_at: datetime | None
    worker: str | None
    stage: str | None
    fraction: float | None
    analysed_at: datetime | None
    done_at: datetime | None
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True)
class Attempt:
    """One try at analysing a job, or at one of its deliveries (``target``)."""

    worker: str
    started_at: datetime
    ended_at: datetime | None
    result: str | None
    error: str | None
    traceback: str | None
    target: str | None


@dataclass(frozen=True)
class HistoryEvent:
    """One line of a job's history."""

    at: datetime
    event: str
    words: str


@dataclass(frozen=True)
class Peer:
    """A sender, and when it was seen last."""

    calling_ae_title: str
    called_ae_title: str
    address: str
    last_seen_at: datetime
    n_associations: int
    n_instances: int


@dataclass(frozen=True)
class HeldFile:
    """A file of the spool that may go, the row it belongs to, and the job of a result (0: a received instance)."""

    id: int
    path: str
    job_id: int


@dataclass(frozen=True)
class Counts:
    """How the ledger stands, for ``emerald check``.

    Attributes
    ----------
    jobs : dict
        State -> number of jobs.
    parked_jobs, quarantined : int
        Jobs that wait for ``emerald retry``; objects that were put aside.
    pending, parked : dict
        Target -> deliveries that have not ended; of these, the ones that wait for ``emerald retry``.
    bytes_held : int
        Size of the received instances whose files are held.
    bytes_last_7_days : int
        Size of what was received in the last seven days.
    """

    jobs: dict[str, int]
    parked_jobs: int
    pending: dict[str, int]
    parked: dict[str, int]
    quarantined: int
    bytes_held: int
    bytes_last_7_days: int
