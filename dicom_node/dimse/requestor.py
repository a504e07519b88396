"""The requestor's side of one association, from the connection to the release (PS3.8 section 9.2).

One thread asks, waits for the answer and goes on; nothing runs beside it that could take an answer off its hands. (In
pynetdicom's ``Association`` the reactor thread may do that: about one C-STORE in a thousand waited for a response that
had come.)

Every wait has a deadline, and every way an association can fail is told apart, in words for an administrator.
"""

import contextlib
import io
import struct
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import BinaryIO

from dicom_node.dimse import messages, negotiation, rejections
from dicom_node.dimse.connection import ABORT, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RP, RELEASE_RQ
from dicom_node.dimse.messages import Response
from dicom_node.dimse.negotiation import Accepted, Context
from dicom_node.domain import RemoteAE
from dicom_node.errors import AssociationAborted, AssociationRejected, PeerMisbehaved, PeerTimeout, SpoolError

_RELEASE_AT_MOST_S = 5.0
_LARGEST_ANSWER = 1 << 20
_LARGEST_PDU = 131072  # that we send, where the peer sets no lower limit
_PDU_HEAD, _PDV_HEAD = 6, 6
_DATA_SET, _COMMAND, _LAST = 0, 1, 2  # message control header, PS3.8 annex E.2
_RELEASE_RQ_PDU = struct.pack(">BBLL", RELEASE_RQ, 0, 4, 0)
_RELEASE_RP_PDU = struct.pack(">BBLL", RELEASE_RP, 0, 4, 0)
_ABORT_PDU = struct.pack(">BBLBBBB", ABORT, 0, 4, 0, 0, 0, 0)  # by the service user


class RequestedAssociation:
    """An association that we asked for; a context manager that releases it, or aborts it after an error.

    Parameters
    ----------
    peer : RemoteAE
        Whom to call.
    calling_ae_title : str
        As whom.
    proposed : sequence of Context
        At most ``MAX_CONTEXTS``.
    timeout_s : float
        For the answer to the association request, for each response, and for the peer to take each piece we send.

    Attributes
    ----------
    accepted : mapping of Context to int
        The accepted contexts and their identifiers.

    Raises
    ------
    AssociationRejected
        The peer cannot be reached, rejects, or does not speak DICOM.
    AssociationAborted, PeerTimeout
        It broke off, or was silent.
    """

    def __init__(self, peer: RemoteAE, calling_ae_title: str, proposed: Sequence[Context], timeout_s: float) -> None:
        self._peer = peer
        self._timeout_s = timeout_s
        self._message_id = 0
        self._socket = negotiation.connect(peer, timeout_s)
        try:
            self._send(negotiation.associate_request(peer, calling_ae_title, proposed))
            agreed = self._negotiated(calling_ae_title, proposed)
        except BaseException:
            self._socket.close()
            raise
        self.accepted: Mapping[Context, int] = agreed.contexts
        largest = min(agreed.max_length or _LARGEST_PDU, _LARGEST_PDU)
        # fragments have even lengths; a peer that takes less than one line of text is not believed
        self._buffer = bytearray(_PDU_HEAD + _PDV_HEAD + max(largest - _PDV_HEAD, 64) // 2 * 2)

    def __enter__(self) -> "RequestedAssociation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._release()
        else:
            with contextlib.suppress(OSError):
                self._socket.settimeout(1.0)
                self._socket.sendall(_ABORT_PDU)
        self._socket.close()

    def c_echo(self, context: Context) -> Response:
        """Ask whether the peer is there; raises as the class does."""
        self._message_id += 1
        self._send_command(self.accepted[context], messages.echo_request(self._message_id, context[0]))
        return self._response("C-ECHO")

    def c_store(self, context: Context, sop_instance_uid: str, data_set: BinaryIO, n_bytes: int) -> Response:
        """Send one instance and wait for the answer.

        Parameters
        ----------
        data_set : binary file
            At the first byte of the data set, encoded in the transfer syntax of the context.
        n_bytes : int
            Its length.

        Raises
        ------
        AssociationAborted, PeerTimeout
            There was no answer: the peer may or may not have stored it. To send it again is safe.
        SpoolError
            The file ended early.
        """
        self._message_id = self._message_id % 0xFFFF + 1
        identifier = self.accepted[context]
        self._send_command(identifier, messages.store_request(self._message_id, context[0], sop_instance_uid))
        self._send_fragments(identifier, _DATA_SET, data_set, n_bytes)
        return self._response(f"C-STORE of instance ...{sop_instance_uid[-8:]}")

    def _negotiated(self, calling_ae_title: str, proposed: Sequence[Context]) -> Accepted:
        deadline = time.monotonic() + self._timeout_s
        try:
            kind, body = self._read_pdu(deadline, "the association request")
        except PeerTimeout:
            why = f"takes the connection but does not answer an association request in {self._timeout_s:g} s"
            raise PeerTimeout(self._peer, f"{why}: is that its DICOM port?") from None
        except AssociationAborted as error:
            why = f"{error.reason}: it may not know calling AE title {calling_ae_title}, or want TLS on that port"
            raise AssociationRejected(self._peer, why) from None
        if kind == ASSOCIATE_RJ and len(body) >= 4:
            why = rejections.words(body[1], body[2], body[3], calling_ae_title, self._peer.ae_title)
            raise AssociationRejected(self._peer, why, permanent=body[1] == rejections.PERMANENT)
        if kind != ASSOCIATE_AC:
            raise AssociationRejected(self._peer, "what answers there does not speak DICOM: check host and port")
        try:
            return negotiation.read_acceptance(body, proposed)
        except Exception as error:  # whatever pynetdicom trips over in a peer's bytes is the peer's doing
            raise AssociationRejected(self._peer, "its answer to the association request is malformed") from error

    def _release(self) -> None:
        """Say goodbye; all was answered, so that nothing the peer does now matters."""
        deadline = time.monotonic() + min(self._timeout_s, _RELEASE_AT_MOST_S)
        with contextlib.suppress(AssociationAborted, PeerTimeout):
            self._send(_RELEASE_RQ_PDU)
            while (kind := self._read_pdu(deadline, "the release")[0]) not in (RELEASE_RP, ABORT):
                if kind == RELEASE_RQ:  # both at once, PS3.8 section 7.2.2.7
                    self._send(_RELEASE_RP_PDU)

    def _send_command(self, identifier: int, command_set: bytes) -> None:
        self._send_fragments(identifier, _COMMAND, io.BytesIO(command_set), len(command_set))

    def _send_fragments(self, identifier: int, kind: int, content: BinaryIO, n_bytes: int) -> None:
        """Send a command or data set in fragments, each a PDU, through one buffer."""
        pdu = memoryview(self._buffer)
        payload = pdu[_PDU_HEAD + _PDV_HEAD :]
        left = n_bytes
        while True:
            n_read = content.readinto(payload[: min(left, len(payload))]) if left else 0  # type: ignore[attr-defined]
            if left and not n_read:
                raise SpoolError(f"a file ended {left} bytes early while it was sent")
            left -= n_read
            control = kind if left else kind | _LAST
            struct.pack_into(">BBLLBB", pdu, 0, P_DATA, 0, n_read + _PDV_HEAD, n_read + 2, identifier, control)
            self._send(pdu[: _PDU_HEAD + _PDV_HEAD + n_read])
            if not left:
                return

    def _response(self, to: str) -> Response:
        deadline = time.monotonic() + self._timeout_s
        command_set = bytearray()
        while True:
            kind, body = self._read_pdu(deadline, to)
            if kind == RELEASE_RQ:
                raise AssociationAborted(self._peer, f"released the association instead of answering {to}")
            if kind != P_DATA:
                raise AssociationAborted(self._peer, f"PDU type {kind} instead of an answer to {to}")
            try:
                if messages.add_fragments(command_set, body):
                    response = messages.read_response(bytes(command_set))
                    break
            except PeerMisbehaved as error:
                raise AssociationAborted(self._peer, f"answered {to} with {error}") from error
        if response.message_id != self._message_id:
            raise AssociationAborted(self._peer, f"answered message {response.message_id} instead of {to}")
        return response

    def _read_pdu(self, deadline: float, to: str) -> tuple[int, bytes]:
        """Read one PDU; an abort raises."""
        kind, _, length = struct.unpack(">BBL", self._read(_PDU_HEAD, deadline, to))
        if length > _LARGEST_ANSWER:
            return 0, b""
        body = self._read(length, deadline, to)
        if kind == ABORT:
            raise AssociationAborted(self._peer, f"aborted the association instead of answering {to}")
        return kind, body

    def _read(self, n_bytes: int, deadline: float, to: str) -> bytes:
        found = bytearray()
        try:
            while len(found) < n_bytes:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._socket.settimeout(left)
                piece = self._socket.recv(n_bytes - len(found))
                if not piece:
                    raise AssociationAborted(self._peer, f"closed the connection instead of answering {to}")
                found += piece
        except TimeoutError:
            raise PeerTimeout(self._peer, f"no answer to {to} in {self._timeout_s:g} s") from None
        except OSError as error:
            raise AssociationAborted(self._peer, f"connection lost before the answer to {to} ({error})") from error
        return bytes(found)

    def _send(self, pdu: bytes | memoryview) -> None:
        try:
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(pdu)
        except TimeoutError:
            raise PeerTimeout(self._peer, f"takes no more data for {self._timeout_s:g} s") from None
        except OSError as error:
            raise AssociationAborted(self._peer, f"connection lost while sending ({error})") from error
