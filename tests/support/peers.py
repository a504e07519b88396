"""Peers that speak the upper layer protocol byte by byte, so a test can say exactly what is sent, and stop anywhere.

Written from PS3.8 section 9.3 and PS3.7 annex E, and apart from the node's own code and pynetdicom's.
"""

import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

VERIFICATION = "1.2.840.10008.1.1"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT_LE, EXPLICIT_LE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
ECHO_CONTEXT, STORE_CONTEXT = 1, 3
ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 2, 3, 4, 5, 6, 7


@dataclass(frozen=True)
class Accepted:
    """What an A-ASSOCIATE-AC says: context id -> (result, transfer syntax), and the user information."""

    contexts: dict[int, tuple[int, str]]
    max_length: int
    implementation_class_uid: str
    implementation_version_name: str


class Peer:
    """One connection to a node.

    Every read ends within ``patience_s``, or the test fails with TimeoutError.
    """

    def __init__(self, port: int, patience_s: float = 10.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.socket.sendall(data)

    def read_pdu(self) -> tuple[int, bytes]:
        """Read one PDU: its type and its body."""
        kind, _, length = struct.unpack(">BBL", self._exactly(6))
        return kind, self._exactly(length)

    def is_closed(self) -> bool:
        """Wait until the node closes the connection; what it still says is skipped."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def associate(self, contexts: Sequence[tuple[int, str, Sequence[str]]] = (), **request: object) -> Accepted:
        """Ask for an association, by default for echo and CT storage, and read the acceptance."""
        self.send(associate_request(contexts, **request))
        kind, body = self.read_pdu()
        assert kind == ASSOCIATE_AC, (kind, body)
        return _read_accepted(body)

    def rejection(self, **request: object) -> tuple[int, int, int]:
        """Ask for an association and return result, source and reason of the rejection."""
        self.send(associate_request(**request))
        kind, body = self.read_pdu()
        assert kind == ASSOCIATE_RJ, (kind, body)
        return body[1], body[2], body[3]

    def abort_reason(self) -> int:
        """Read the node's A-ABORT; returns its reason."""
        kind, body = self.read_pdu()
        assert kind == ABORT, (kind, body)
        return body[3]

    def echo(self) -> int:
        """C-ECHO; returns the status."""
        self.send(p_data(ECHO_CONTEXT, echo_request(), command=True))
        return self.status()

    def store(self, data_set: bytes, sop_instance_uid: str, sop_class_uid: str = CT_STORAGE) -> int:
        """C-STORE; returns the status."""
        self.begin_store(sop_instance_uid, sop_class_uid)
        for at in range(0, max(len(data_set), 1), 16000):
            self.send(p_data(STORE_CONTEXT, data_set[at : at + 16000], last=at + 16000 >= len(data_set)))
        return self.status()

    def begin_store(self, sop_instance_uid: str, sop_class_uid: str = CT_STORAGE) -> None:
        """Send the command of a C-STORE; its data set must follow."""
        self.send(p_data(STORE_CONTEXT, store_request(sop_instance_uid, sop_class_uid), command=True))

    def status(self) -> int:
        """Read a response; returns its status."""
        return int.from_bytes(self.response()[0x0900], "little")

    def response(self) -> dict[int, bytes]:
        """Read a response: element number -> value."""
        command_set = b""
        last = False
        while not last:
            kind, body = self.read_pdu()
            assert kind == P_DATA, (kind, body)
            last = bool(body[5] & 2)
            command_set += body[6:]
        return dict(_elements(command_set))

    def release(self) -> None:
        """Release the association in an orderly way."""
        self.send(struct.pack(">BBLL", RELEASE_RQ, 0, 4, 0))
        assert self.read_pdu()[0] == RELEASE_RP

    def abort(self) -> None:
        """Send A-ABORT."""
        self.send(struct.pack(">BBLL", ABORT, 0, 4, 0))

    def _exactly(self, n_bytes: int) -> bytes:
        data = b""
        while len(data) < n_bytes:
            piece = self.socket.recv(n_bytes - len(data))
            if not piece:
                raise EOFError(f"the node closed the connection after {len(data)} of {n_bytes} bytes")
            data += piece
        return data


def associate_request(
    contexts: Sequence[tuple[int, str, Sequence[str]]] = (),
    calling: str = "SCANNER",
    called: str = "EMERALD",
    application_context: str = "1.2.840.10008.3.1.1.1",
    version: int = 1,
    max_length: int = 16384,
) -> bytes:
    """Return an A-ASSOCIATE-RQ (PS3.8 section 9.3.2); a context is id, abstract syntax, transfer syntaxes."""
    contexts = contexts or ((ECHO_CONTEXT, VERIFICATION, [IMPLICIT_LE]), (STORE_CONTEXT, CT_STORAGE, [EXPLICIT_LE]))
    items = _item(0x10, application_context.encode())
    for context_id, abstract_syntax, transfer_syntaxes in contexts:
        syntaxes = b"".join(_item(0x40, uid.encode()) for uid in transfer_syntaxes)
        items += _item(0x20, bytes([context_id, 0, 0, 0]) + _item(0x30, abstract_syntax.encode()) + syntaxes)
    items += _item(0x50, _item(0x51, struct.pack(">L", max_length)) + _item(0x52, b"1.2.3.4"))
    titles = called.encode().ljust(16) + calling.encode().ljust(16)
    body = struct.pack(">HH", version, 0) + titles + bytes(32) + items
    return struct.pack(">BBL", 1, 0, len(body)) + body


def p_data(context_id: int, fragment: bytes, *, command: bool = False, last: bool = True) -> bytes:
    """Return a P-DATA-TF with one presentation data value (PS3.8 section 9.3.5, annex E)."""
    value = bytes([context_id, command | last << 1]) + fragment
    return struct.pack(">BBLL", P_DATA, 0, len(value) + 4, len(value)) + value


def echo_request() -> bytes:
    """C-ECHO-RQ, PS3.7 table 9.3-12."""
    return command_set({0x0002: _uid(VERIFICATION), 0x0100: b"\x30\0", 0x0110: b"\1\0", 0x0800: b"\1\1"})


def store_request(sop_instance_uid: str, sop_class_uid: str = CT_STORAGE) -> bytes:
    """C-STORE-RQ, PS3.7 table 9.3-1."""
    return command_set(
        {
            0x0002: _uid(sop_class_uid),
            0x0100: b"\1\0",
            0x0110: b"\7\0",
            0x0700: b"\0\0",
            0x0800: b"\0\0",
            0x1000: _uid(sop_instance_uid),
        }
    )


def command_set(elements: dict[int, bytes]) -> bytes:
    """Encode elements of group 0000, with their group length."""
    body = b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in elements.items())
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _elements(data: bytes) -> Iterable[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        _, number, length = struct.unpack_from("<HHL", data, at)
        yield number, data[at + 8 : at + 8 + length]
        at += 8 + length


def _uid(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _items(data: bytes) -> Iterable[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, _, length = struct.unpack_from(">BBH", data, at)
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def _read_accepted(body: bytes) -> Accepted:
    items = list(_items(body[68:]))
    contexts = {}
    for kind, item in items:
        if kind == 0x21:
            syntax = next((value for sub, value in _items(item[4:]) if sub == 0x40), b"")
            contexts[item[0]] = (item[2], syntax.decode())
    information = dict(_items(next(item for kind, item in items if kind == 0x50)))
    return Accepted(
        contexts, int.from_bytes(information[0x51], "big"), information[0x52].decode(), information[0x55].decode()
    )
