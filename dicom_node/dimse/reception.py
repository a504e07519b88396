"""What a peer may do on one association, and what must hold before it hears Success.

A C-STORE is answered with Success only when the instance is complete, is the one announced, is on the disk, and is in
the ledger. What cannot be taken is put aside and reported, so that nothing is lost.
"""

import contextlib
import ipaddress
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from dicom_node.dimse import statuses
from dicom_node.dimse.association import Answer, Rejected, Requested
from dicom_node.dimse.messages import C_ECHO_RQ, Request
from dicom_node.domain import InstanceRef
from dicom_node.errors import (
    ConnectionLost,
    InstanceConflict,
    InstanceUnreadable,
    LedgerError,
    NodeError,
    ObjectTooLarge,
    PeerMisbehaved,
    UidMismatch,
)
from dicom_node.objects import identity
from dicom_node.objects.disk import as_spool_error
from dicom_node.objects.identity import Sameness
from dicom_node.objects.incoming import GATHERED_BYTES, Incoming
from dicom_node.objects.part10 import Announced
from dicom_node.objects.spool import Spool
from dicom_node.settings import CallingPeer, Settings

_LOG = logging.getLogger(__name__)
Ending = Literal["released", "aborted", "lost"]


class Ledger(Protocol):
    """What reception asks of the ledger; each call returns once its row is committed, or raises LedgerError."""

    def association_opened(self, calling_ae_title: str, called_ae_title: str, address: str) -> int:
        """Note an association; returns its id."""

    def association_ended(self, association_id: int, how: Ending) -> None:
        """Note how it ended."""

    def known_instance(self, called_ae_title: str, sop_instance_uid: str) -> InstanceRef | None:
        """Return the instance held under this UID, if any."""

    def note_instance(self, called_ae_title: str, association_id: int | None, ref: InstanceRef) -> bool:
        """Note a new, durable instance; False where one of this UID is held already, and nothing was noted."""

    def note_repeat(self, called_ae_title: str, association_id: int | None, sop_instance_uid: str, note: str) -> None:
        """Note that an instance came once more."""

    def note_quarantined(self, called_ae_title: str, association_id: int | None, path: Path, reason: str) -> None:
        """Note a refused object that was put aside."""


class OneAtATime:
    """Lets one thread at a time work on a SOP instance of a called AE title."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy: set[tuple[str, str]] = set()

    @contextlib.contextmanager
    def on(self, called_ae_title: str, sop_instance_uid: str) -> Iterator[None]:
        """Wait for the turn, and hold it."""
        key = (called_ae_title, sop_instance_uid)
        with self._changed:
            self._changed.wait_for(lambda: key not in self._busy)
            self._busy.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._busy.remove(key)
                self._changed.notify_all()


@dataclass(frozen=True)
class Stores:
    """Where received instances go; one for all associations."""

    settings: Settings
    spool: Spool
    ledger: Ledger
    turns: OneAtATime = field(default_factory=OneAtATime)


class Reception:
    """The service behind one association."""

    def __init__(self, stores: Stores, address: str) -> None:
        self._stores = stores
        self._address = address
        self._called_ae_title = ""
        self._calling_ae_title = ""
        self._id: int | None = None
        self._n_stored = self._n_refused = 0
        self._gathering = bytearray()

    def __str__(self) -> str:
        """Say which association this is, for the log."""
        if self._id is None:
            return f"connection from {self._address}"
        return f"association {self._id} ({self._calling_ae_title!r} at {self._address})"

    def check(self, requested: Requested) -> None:
        """Raise Rejected unless a known peer calls one of our AE titles."""
        pipeline = self._stores.settings.pipeline(requested.called_ae_title)
        if pipeline is None:
            raise Rejected.called_ae_title_unknown(requested.called_ae_title)
        allowed = pipeline.allow_calling
        if allowed and not any(_is(peer, requested.calling_ae_title, self._address) for peer in allowed):
            raise Rejected.calling_ae_title_unknown(requested.calling_ae_title)

    def begin(self, requested: Requested) -> None:
        """Note the association; raises Rejected where the ledger cannot."""
        self._called_ae_title = requested.called_ae_title
        self._calling_ae_title = requested.calling_ae_title
        try:
            self._id = self._stores.ledger.association_opened(
                requested.calling_ae_title, requested.called_ae_title, self._address
            )
        except LedgerError as error:
            raise Rejected.busy(str(error)) from error

    def end(self, how: Ending) -> None:
        """Note the end; there is nothing to note where the peer was never let in."""
        if self._id is None:
            return
        level = logging.INFO if self._n_stored or self._n_refused else logging.DEBUG
        _LOG.log(level, "%s %s: %d stored, %d refused", self, how, self._n_stored, self._n_refused)
        try:
            self._stores.ledger.association_ended(self._id, how)
        except LedgerError as error:
            _LOG.error("%s: its end could not be noted: %s", self, error)

    def perform(self, request: Request, transfer_syntax_uid: str, data_set: Iterator[memoryview]) -> Answer:
        """Answer C-ECHO and C-STORE."""
        if request.command_field == C_ECHO_RQ:
            return Answer(statuses.SUCCESS)
        announced = Announced(
            request.sop_class_uid, request.sop_instance_uid, transfer_syntax_uid, self._calling_ae_title
        )
        try:
            self._store(announced, data_set)
        except (ConnectionLost, PeerMisbehaved):
            raise
        except ObjectTooLarge as error:
            # Its rest is not worth the line, and no status can be said before the data set has ended.
            raise PeerMisbehaved(str(error)) from error
        except NodeError as error:
            self._n_refused += 1
            status = statuses.status_of(error)
            _LOG.warning("%s: ...%s answered 0x%04X: %s", self, announced.tail, status, error)
            return Answer(status, str(error))
        self._n_stored += 1
        return Answer(statuses.SUCCESS)

    def _store(self, announced: Announced, data_set: Iterator[memoryview]) -> None:
        self._gathering = self._gathering or bytearray(GATHERED_BYTES)
        incoming = self._stores.spool.open_incoming(announced, self._gathering)
        try:
            for piece in data_set:
                incoming.write(piece)
            with self._stores.turns.on(self._called_ae_title, announced.sop_instance_uid):
                self._take(incoming)
        finally:
            incoming.abort()

    def _take(self, incoming: Incoming) -> None:
        stores, called = self._stores, self._called_ae_title
        at = incoming.path
        try:
            ref = incoming.check()
            # Where no file has its name the ledger is not asked first: it refuses to note what it knows.
            held = (
                stores.ledger.known_instance(called, ref.sop_instance_uid) if stores.spool.holds(called, ref) else None
            )
            if held is not None:
                self._repeat(held, ref)
                return
            kept = stores.spool.keep(incoming, called, ref)
            at = kept.path
            if not stores.ledger.note_instance(called, self._id, kept):
                self._known_after_all(kept)
        except (InstanceUnreadable, UidMismatch, InstanceConflict) as error:
            aside = stores.spool.quarantine(at, str(error))
            stores.ledger.note_quarantined(called, self._id, aside, str(error))
            raise

    def _repeat(self, held: InstanceRef, ref: InstanceRef) -> None:
        """Accept what is held already; raises InstanceConflict where it is something else."""
        if held.digest == ref.digest and held.transfer_syntax_uid == ref.transfer_syntax_uid:
            note = str(Sameness.SAME_BYTES)
        elif (sameness := self._compare(held, ref)) != Sameness.DIFFERENT:
            note = f"{sameness}, but another header or transfer syntax ({ref.transfer_syntax_uid}); the first is kept"
        else:
            raise InstanceConflict("other pixels or geometry under a SOP Instance UID that is held")
        self._stores.ledger.note_repeat(self._called_ae_title, self._id, ref.sop_instance_uid, note)

    def _compare(self, held: InstanceRef, ref: InstanceRef) -> Sameness:
        with as_spool_error():  # housekeeping may just have removed what is held
            return identity.compare(held.path, ref.path)

    def _known_after_all(self, kept: InstanceRef) -> None:
        """Deal with an instance that was durable before the ledger said that it knows its UID."""
        held = self._stores.ledger.known_instance(self._called_ae_title, kept.sop_instance_uid)
        if held is not None and held.path != kept.path:
            raise InstanceConflict("a SOP Instance UID that is held in another study")
        note = "its file was missing and is back"
        self._stores.ledger.note_repeat(self._called_ae_title, self._id, kept.sop_instance_uid, note)


def _is(peer: CallingPeer, calling_ae_title: str, address: str) -> bool:
    return peer.ae_title == calling_ae_title and (not peer.address or _is_address(peer.address, address))


def _is_address(allowed: str, address: str) -> bool:
    """Whether ``address`` is the allowed one: an address, a network such as 10.0.0.0/8, or a host name."""
    found = ipaddress.ip_address(address)
    try:
        return found in ipaddress.ip_network(allowed, strict=False)
    except ValueError:
        with contextlib.suppress(OSError):
            return any(info[4][0] == address for info in socket.getaddrinfo(allowed, None))
    return False
