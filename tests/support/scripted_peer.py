"""A peer that follows a script, down to single bytes: what real peers do on their bad days."""

import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification

from dicom_node.domain import RemoteAE

ABORT = struct.pack(">BBLBBBB", 7, 0, 4, 0, 0, 0, 0)
RELEASE_RP = struct.pack(">BBLL", 6, 0, 4, 0)


class Talk:
    """The peer's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.message_id = 0
        self.over = threading.Event()

    def read(self, n_bytes: int) -> bytes:
        found = b""
        while len(found) < n_bytes:
            piece = self.socket.recv(n_bytes - len(found))
            if not piece:
                raise ConnectionError("closed")
            found += piece
        return found

    def read_pdu(self) -> tuple[int, bytes]:
        head = self.read(6)
        kind, _, length = struct.unpack(">BBL", head)
        return kind, head + self.read(length)

    def accept(self, refuse: Callable[[str, str], bool] = lambda sop_class, syntax: False, max_length: int = 16382):
        """Read an association request and accept it, but for the contexts that ``refuse`` says."""
        kind, pdu = self.read_pdu()
        assert kind == 1
        request = A_ASSOCIATE_RQ()
        request.decode(pdu)
        primitive = request.to_primitive()
        for context in primitive.presentation_context_definition_list:
            context.result = 4 if refuse(str(context.abstract_syntax), str(context.transfer_syntax[0])) else 0
        answer = A_ASSOCIATE()
        answer.application_context_name = "1.2.840.10008.3.1.1.1"
        answer.calling_ae_title, answer.called_ae_title = primitive.calling_ae_title, primitive.called_ae_title
        answer.result, answer.result_source = 0, 1
        answer.presentation_context_definition_results_list = primitive.presentation_context_definition_list
        length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
        length.maximum_length_received, implementation.implementation_class_uid = max_length, "1.2.3"
        answer.user_information = [length, implementation]
        self.socket.sendall(A_ASSOCIATE_AC(answer).encode())
        return primitive

    def reject(self, result: int, source: int, reason: int) -> None:
        self.read_pdu()
        self.socket.sendall(struct.pack(">BBLBBBB", 3, 0, 4, 0, result, source, reason))

    def read_message(self) -> tuple[int, bytes]:
        """Read a command and the data set after it; return the command field and the data set."""
        parts = {1: b"", 0: b""}
        wanted = {1, 0}
        while wanted:
            kind, pdu = self.read_pdu()
            if kind != 4:
                raise ConnectionError(f"PDU type {kind}")
            at = 6
            while at < len(pdu):
                length, self.context_id, control = struct.unpack_from(">LBB", pdu, at)
                parts[control & 1] += pdu[at + 6 : at + 4 + length]
                at += 4 + length
                if control & 2:
                    wanted.discard(control & 1)
            values = _elements(parts[1]) if 1 not in wanted else {}
            if values and struct.unpack("<H", values[0x0800])[0] == 0x0101:
                wanted.discard(0)
        self.message_id = struct.unpack("<H", values[0x0110])[0]
        return struct.unpack("<H", values[0x0100])[0], parts[0]

    def respond(self, status: int, comment: str = "", field: int = 0x8001, message_id: int | None = None) -> None:
        elements = [(0x0100, struct.pack("<H", field)), (0x0800, b"\1\1"), (0x0900, struct.pack("<H", status))]
        elements.append((0x0120, struct.pack("<H", self.message_id if message_id is None else message_id)))
        if comment:
            elements.append((0x0902, comment.encode() + b" " * (len(comment) % 2)))
        body = b"".join(struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in sorted(elements))
        body = struct.pack("<HHLL", 0, 0, 4, len(body)) + body
        self.socket.sendall(struct.pack(">BBLLBB", 4, 0, len(body) + 6, len(body) + 2, self.context_id, 3) + body)

    def release(self) -> None:
        assert self.read_pdu()[0] == 5
        self.socket.sendall(RELEASE_RP)


def _elements(command_set: bytes) -> dict[int, bytes]:
    values, at = {}, 0
    while at < len(command_set):
        _, tag, length = struct.unpack_from("<HHL", command_set, at)
        values[tag] = command_set[at + 8 : at + 8 + length]
        at += 8 + length
    return values


class ScriptedPeer:
    """Listens on a free port and plays the script on each connection, until the context ends.

    Parameters
    ----------
    script : callable
        Takes the ``Talk``; its exceptions are kept in ``errors``, but for a connection that we closed.
    """

    def __init__(self, script: Callable[[Talk], None]) -> None:
        self.errors: list[BaseException] = []
        self.n_connections = 0
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port: int = self._listener.getsockname()[1]
        self._talks: list[Talk] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def remote(self) -> RemoteAE:
        return RemoteAE("PACS", "127.0.0.1", self._port)

    def __enter__(self) -> "ScriptedPeer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for talk in self._talks:
            talk.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        assert not self.errors, self.errors

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.n_connections += 1
            talk = Talk(sock)
            self._talks.append(talk)
            with sock:
                try:
                    self._script(talk)
                except OSError:
                    pass
                except Exception as error:
                    self.errors.append(error)
