"""The acceptor's side of one association, from the request to the release (PS3.8 section 9.2).

One thread reads, decides and answers; a data set is handed on piece by piece while it arrives. PDUs of the negotiation
are read and written by pynetdicom, those of the data transfer here, for speed and because a hostile peer must meet our
limits before anything is allocated.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

from dicom_node.dimse import connection, contexts, messages, statuses
from dicom_node.dimse.connection import Connection, Pdu
from dicom_node.dimse.messages import Request
from dicom_node.errors import ConnectionLost, PeerMisbehaved, PeerSilent
from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_COMMAND, _LAST = 1, 2  # message control header, PS3.8 annex E.2
_MAX_COMMAND_SET = 16384
_RELEASE_RP = struct.pack(">BBLL", connection.RELEASE_RP, 0, 4, 0)


class Rejected(Exception):
    """The association is refused; result, source and reason of PS3.8 table 9-21."""

    def __init__(self, result: int, source: int, reason: int, why: str) -> None:
        super().__init__(why)
        self.pdu = struct.pack(">BBLBBBB", connection.ASSOCIATE_RJ, 0, 4, 0, result, source, reason)

    @classmethod
    def called_ae_title_unknown(cls, title: str) -> "Rejected":
        """1/1/7."""
        return cls(1, 1, 7, f"called AE title {title!r} is not one of ours")

    @classmethod
    def calling_ae_title_unknown(cls, title: str) -> "Rejected":
        """1/1/3."""
        return cls(1, 1, 3, f"calling AE title {title!r} may not send to this AE title, or not from there")

    @classmethod
    def limit_reached(cls) -> "Rejected":
        """2/3/2, transient."""
        return cls(2, 3, 2, "max_associations is reached")

    @classmethod
    def busy(cls, why: str) -> "Rejected":
        """2/3/1, transient."""
        return cls(2, 3, 1, why)


@dataclass(frozen=True)
class Requested:
    """What an association request says."""

    calling_ae_title: str
    called_ae_title: str
    proposed: tuple[PresentationContext, ...]
    max_length: int


@dataclass(frozen=True)
class Answer:
    """What the service says to a request: a status, and a comment for the people at the other end."""

    status: int
    comment: str = ""


class PeerAborted(ConnectionLost):
    """The peer sent an A-ABORT."""


class Service(Protocol):
    """What an association is there for."""

    def perform(self, request: Request, transfer_syntax_uid: str, data_set: Iterator[memoryview]) -> Answer:
        """Do what was asked; the data set is empty where the request has none. What is not read of it is skipped."""


class AcceptedAssociation:
    """One association that a peer asked for.

    Attributes
    ----------
    is_idle : bool
        Whether the peer may be interrupted without losing a message.
    """

    def __init__(self, wire: Connection, accepted_sop_classes: tuple[str, ...]) -> None:
        self.is_idle = True
        self._wire = wire
        self._accepted_sop_classes = accepted_sop_classes
        self._contexts: dict[int, PresentationContext] = {}
        self._max_length = 0
        self._pdu = Pdu(connection.P_DATA, 0, 0.0)
        self._left = 0

    def establish(self, within_s: float, admit: Callable[[Requested], None]) -> None:
        """Negotiate; ``admit`` lets the peer in or raises Rejected.

        Raises
        ------
        Rejected
            The caller is to send its PDU.
        ConnectionLost, PeerMisbehaved
            There was no association.
        """
        requested = _read_request(self._wire.read_associate_request(within_s))
        admit(requested)
        answered = contexts.answer(requested.proposed, self._accepted_sop_classes)
        self._contexts = {context.context_id: context for context in answered if context.result == contexts.ACCEPTED}
        self._max_length = requested.max_length
        self._wire.expect_data()
        self._wire.send(_accept(requested, answered))

    def serve(self, service: Service, stopping: Callable[[], bool]) -> None:
        """Answer requests until the peer releases the association, or is silent for ``idle_timeout_s``.

        A peer that is silent between two messages has nothing under way: it is told A-ABORT, and that is no loss.

        Raises
        ------
        PeerAborted, ConnectionLost, PeerMisbehaved
            It ended otherwise.
        """
        while not stopping():
            self.is_idle = True
            try:
                kind = self._wait_for_data()
            except PeerSilent:
                self._wire.send(abort_pdu(0))
                return
            self.is_idle = False
            if kind == connection.RELEASE_RQ:
                self._wire.take(4, self._pdu.deadline)
                self._wire.send(_RELEASE_RP)
                return
            if kind == connection.ABORT:
                raise PeerAborted("between two messages")
            self._serve_one(service)
        raise PeerMisbehaved("the node is being stopped")

    def _serve_one(self, service: Service) -> None:
        context_id, command_set = self._command_set()
        request = messages.read_request(command_set)
        data_set = self._data_set(context_id) if request.has_data_set else iter(())
        if request.command_field == messages.C_CANCEL_RQ:
            return  # nothing of ours takes long enough to be cancelled, and a cancel has no response
        context = self._contexts[context_id]
        if request.command_field not in (messages.C_ECHO_RQ, messages.C_STORE_RQ):
            answer = Answer(statuses.UNRECOGNIZED_OPERATION)
        elif request.sop_class_uid != context.abstract_syntax:
            answer = Answer(statuses.SOP_CLASS_NOT_SUPPORTED, "not the SOP class of the presentation context")
        else:
            answer = service.perform(request, str(context.transfer_syntax[0]), data_set)
        for _ in data_set:
            pass
        self._respond(context_id, messages.response(request, answer.status, answer.comment))

    def _wait_for_data(self) -> int:
        """Return the kind of the PDU whose bytes come next."""
        while self._left == 0:
            self._pdu = self._wire.next_pdu()
            if self._pdu.kind != connection.P_DATA:
                return self._pdu.kind
            self._left = self._pdu.length
        return connection.P_DATA

    def _next_fragment(self) -> tuple[int, int, int]:
        """Read the head of a presentation data value: context id, message control header, bytes of the fragment."""
        if (kind := self._wait_for_data()) == connection.ABORT:
            raise PeerAborted("within a message")
        if kind != connection.P_DATA or self._left < 6:
            raise PeerMisbehaved("a message that is not complete", abort_reason=2)
        length, context_id, control = struct.unpack(">LBB", self._wire.take(6, self._pdu.deadline))
        if not 2 <= length <= self._left - 4:
            raise PeerMisbehaved(f"a fragment of {length} bytes in a PDU with {self._left} left", abort_reason=6)
        if context_id not in self._contexts:
            raise PeerMisbehaved(f"presentation context {context_id} was not accepted", abort_reason=6)
        self._left -= 6
        return context_id, control, length - 2

    def _command_set(self) -> tuple[int, bytes]:
        command_set = bytearray()
        control = 0
        while not control & _LAST:
            context_id, control, length = self._next_fragment()
            if not control & _COMMAND or len(command_set) + length > _MAX_COMMAND_SET:
                raise PeerMisbehaved("no command set where one should be", abort_reason=6)
            for piece in self._fragment(length):
                command_set += piece
        return context_id, bytes(command_set)

    def _data_set(self, expected_id: int) -> Iterator[memoryview]:
        control = 0
        while not control & _LAST:
            context_id, control, length = self._next_fragment()
            if control & _COMMAND or context_id != expected_id:
                raise PeerMisbehaved("no data set where one should be", abort_reason=6)
            yield from self._fragment(length)

    def _fragment(self, length: int) -> Iterator[memoryview]:
        self._left -= length
        return self._wire.pieces(length, self._pdu.deadline)

    def _respond(self, context_id: int, command_set: bytes) -> None:
        # A peer's maximum length of 0 is "no limit"; each value gets a PDU of its own, and all go in one write.
        size = max(self._max_length - 6, 16) if self._max_length else len(command_set)
        pdus = bytearray()
        for at in range(0, len(command_set), size):
            piece = command_set[at : at + size]
            control = _COMMAND | (_LAST if at + size >= len(command_set) else 0)
            pdus += struct.pack(">BBLLBB", connection.P_DATA, 0, len(piece) + 6, len(piece) + 2, context_id, control)
            pdus += piece
        self._wire.send(bytes(pdus))


def abort_pdu(reason: int) -> bytes:
    """A-ABORT of the service provider (PS3.8 section 9.3.8)."""
    return struct.pack(">BBLBBBB", connection.ABORT, 0, 4, 0, 0, 2, reason)


def _read_request(pdu: bytes) -> Requested:
    try:
        request = A_ASSOCIATE_RQ()
        request.decode(pdu)
        primitive = request.to_primitive()
        requested = Requested(
            calling_ae_title=primitive.calling_ae_title.strip(),
            called_ae_title=primitive.called_ae_title.strip(),
            proposed=tuple(primitive.presentation_context_definition_list),
            max_length=primitive.maximum_length_received or 0,
        )
    except Exception as error:  # whatever pynetdicom trips over in a peer's bytes is the peer's doing
        raise PeerMisbehaved(f"an association request that cannot be read ({type(error).__name__})", 6) from None
    if not request.protocol_version & 1:
        raise Rejected(1, 2, 2, "protocol version not supported")
    if primitive.application_context_name != contexts.APPLICATION_CONTEXT:
        raise Rejected(1, 1, 2, "application context name not supported")
    return requested


def _accept(requested: Requested, answered: list[PresentationContext]) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = contexts.APPLICATION_CONTEXT
    primitive.calling_ae_title = requested.calling_ae_title
    primitive.called_ae_title = requested.called_ae_title
    primitive.result = 0
    primitive.result_source = 1
    primitive.presentation_context_definition_results_list = answered
    length = MaximumLengthNotification()
    length.maximum_length_received = connection.MAX_PDU
    class_uid = ImplementationClassUIDNotification()
    class_uid.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, class_uid, version]
    return bytes(A_ASSOCIATE_AC(primitive).encode())
