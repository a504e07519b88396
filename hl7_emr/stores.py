"""What the record wants of a store; the node's ledger satisfies it (``dicom_node/emr_store.py``).

All methods may block, and are called off the event loop.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from hl7_emr.domain import Identifier, ImagingOrder, Item, Patient


@dataclass(frozen=True)
class KnownPatient:
    """What messages have said of the patient with one identifier.

    Attributes
    ----------
    items : tuple of Item
        In the order in which they were said, withdrawals included; ``facts.py`` weighs them.
    said_at : datetime or None
        When the message was made whose demographics these are.
    replaced_by : tuple of Identifier
        After a merge: whose record this is now part of. The rest is empty then.
    source : str
        The message that the demographics come from.
    synthetic : bool
        Any message about the patient was made up.
    """

    patient: Patient
    items: tuple[Item, ...] = ()
    said_at: datetime | None = None
    replaced_by: tuple[Identifier, ...] = ()
    source: str = ""
    synthetic: bool = False


@dataclass(frozen=True)
class PatientUpdate:
    """A message about a patient: demographics, what to delete of them, facts."""

    patient: Patient
    cleared: frozenset[str] = frozenset()
    items: tuple[Item, ...] = ()
    said_at: datetime | None = None
    source: str = ""
    synthetic: bool = False


@dataclass(frozen=True)
class Merge:
    """The patient with the prior identifiers is the one with the surviving ones."""

    prior: tuple[Identifier, ...]
    surviving: tuple[Identifier, ...]


@dataclass(frozen=True)
class Forget:
    """What is known under these identifiers may be another patient's: it is dropped."""

    identifiers: tuple[Identifier, ...]


Change = PatientUpdate | Merge | Forget | ImagingOrder


@dataclass(frozen=True)
class Received:
    """A message that was received, and what follows from it.

    Attributes
    ----------
    sender : str
        MSH-3 and MSH-4: control ids are unique for one sender.
    digest : str
        SHA-256 of the message.
    refused : str
        Why nothing follows from it; such a message is kept whole (``content``) as a dead letter.
    """

    sender: str
    control_id: str
    digest: str
    at: datetime
    peer: str
    changes: tuple[Change, ...] = ()
    refused: str = ""
    content: bytes = field(default=b"", repr=False)


class Inbox(Protocol):
    """Where received messages go before they are answered."""

    def take(self, batch: Sequence[Received]) -> Sequence[bool]:
        """Apply the changes of all messages, in order, in one transaction that is durable when this returns.

        Returns
        -------
        sequence of bool
            For each message whether it is new. False: the same control id with the same content was taken before,
            and nothing was done again.
        """
        ...


class OrderStore(Protocol):
    """The order book."""

    def orders(self, accession_number: str) -> Sequence[ImagingOrder]:
        """Return the orders under an accession number, the one that was renewed last at the end."""
        ...

    def orders_of_study(self, study_instance_uid: str) -> Sequence[ImagingOrder]:
        """Return the orders that name a study."""
        ...


class RecordStore(Protocol):
    """What messages have said of patients."""

    def known(self, identifier: Identifier) -> KnownPatient | None:
        """Return what is known under one identifier of one authority; the type of the identifier is no matter."""
        ...


@dataclass(frozen=True)
class Outgoing:
    """A message on its way out.

    Attributes
    ----------
    id : int
        Number of the row.
    attempts : int
        How often it was sent so far.
    """

    id: int
    destination: str
    control_id: str
    content: bytes = field(repr=False)
    attempts: int = 0


class Outbox(Protocol):
    """Messages that wait to be sent, in order for each destination."""

    def add(self, destination: str, control_id: str, content: bytes, at: datetime) -> int:
        """Keep a message durably; the same control id for the same destination is kept once. Returns its number."""
        ...

    def next_due(self, destination: str, now: datetime) -> Outgoing | None:
        """Return the oldest message that waits for a destination, or None while it is not yet time for it."""
        ...

    def sent(self, number: int, answer: str, at: datetime) -> None:
        """Note that a message was accepted (MSA-1)."""
        ...

    def delay(self, number: int, error: str, until: datetime) -> None:
        """Note a failure that another attempt may mend."""
        ...

    def bury(self, number: int, error: str, at: datetime) -> None:
        """Make it a dead letter: no attempt can mend it; a person has to look at it."""
        ...
