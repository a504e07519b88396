"""Peers that break the rules, on purpose or not: they lose their association, the node serves on."""

import logging
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_node.dimse.connection import Connection
from dicom_node.errors import ConnectionLost, PeerSilent
from tests.support.instances import ct, data_set
from tests.support.peers import ABORT, ECHO_CONTEXT, STORE_CONTEXT, Peer, associate_request, echo_request, p_data
from tests.support.receiving import Receiver, receiver, tracebacks, until

UID = str(ct().SOPInstanceUID)
HUGE = 0xFFFFFFFF


@pytest.fixture
def node(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Receiver]:
    """Give a receiver; whatever the test does to it, it serves afterwards and has logged no traceback."""
    caplog.set_level(logging.DEBUG)
    with receiver(tmp_path, max_object_mb=1, association_request_timeout_s=0.5, pdu_timeout_s=0.5) as node:
        yield node
        assert node.serves()
        assert until(lambda: node.temporary() == [])
        assert node.held() == []
    assert tracebacks(caplog.get_records("call") + caplog.records) == []


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


BEFORE_ASSOCIATION = {
    "nothing": b"",
    "half a head": b"\1\0\0",
    "half a request": associate_request()[:100],
    "a request cut in an item": pdu(1, associate_request()[6:-7]),
    "an empty request": pdu(1, b""),
    "a request of 4 GiB": pdu(1, b"", HUGE),
    "a request of 1 MiB": pdu(1, bytes(1 << 20)),
    "a request of zeros": pdu(1, bytes(500)),
    "a request of junk": pdu(1, random.Random(1).randbytes(500)),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
    "a TLS hello": bytes.fromhex("160301020001000 1fc0303".replace(" ", "")) + bytes(500),
    "data without an association": p_data(ECHO_CONTEXT, echo_request(), command=True),
    "an abort": pdu(7, bytes(4)),
    "random bytes": random.Random(2).randbytes(10000),
}


@pytest.mark.parametrize("data", BEFORE_ASSOCIATION.values(), ids=BEFORE_ASSOCIATION)
def test_what_is_no_association_request_is_closed(data: bytes, node: Receiver) -> None:
    with Peer(node.port) as peer:
        try:
            peer.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return  # closed while we were still sending
        assert peer.is_closed()


WITHIN_ASSOCIATION = {
    "a PDU of 4 GiB": pdu(4, b"", HUGE),
    "a release of 4 GiB": pdu(5, b"", HUGE),
    "an unknown PDU type": pdu(0x42, bytes(4)),
    "a second association request": associate_request(),
    "a fragment longer than its PDU": pdu(4, struct.pack(">LBB", 1000, STORE_CONTEXT, 3)),
    "a fragment of no length": pdu(4, struct.pack(">LBB", 0, STORE_CONTEXT, 3)),
    "a fragment of 4 GiB": pdu(4, struct.pack(">LBB", HUGE, STORE_CONTEXT, 3)),
    "a PDU too short for a fragment": pdu(4, b"\0\0"),
    "a context that was not accepted": p_data(99, echo_request(), command=True),
    "a command set of junk": p_data(ECHO_CONTEXT, random.Random(3).randbytes(200), command=True),
    "a command set that is cut": p_data(ECHO_CONTEXT, echo_request()[:-1], command=True),
    "an endless command set": p_data(ECHO_CONTEXT, bytes(16000), command=True, last=False) * 3,
    "a response that nobody asked for": p_data(ECHO_CONTEXT, struct.pack("<HHLH", 0, 0x0100, 2, 0x8030), command=True),
    "a data set without a command": p_data(STORE_CONTEXT, data_set(ct())),
    "half a PDU": p_data(ECHO_CONTEXT, echo_request(), command=True)[:-10],
    "random bytes": random.Random(4).randbytes(10000),
}


@pytest.mark.parametrize("data", WITHIN_ASSOCIATION.values(), ids=WITHIN_ASSOCIATION)
def test_what_breaks_the_protocol_is_aborted(data: bytes, node: Receiver) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        peer.send(data)
        assert peer.read_pdu()[0] == ABORT
        assert peer.is_closed()


WITHIN_OBJECT: dict[str, Callable[[Peer], None]] = {
    "abort": Peer.abort,
    "connection closed": lambda peer: peer.socket.close(),
    "release": lambda peer: peer.send(pdu(5, bytes(4))),
    "a command": lambda peer: peer.send(p_data(STORE_CONTEXT, echo_request(), command=True)),
    "data of another context": lambda peer: peer.send(p_data(ECHO_CONTEXT, b"data")),
    "a PDU that does not end": lambda peer: peer.send(p_data(STORE_CONTEXT, bytes(1000))[:-1]),
    "random bytes": lambda peer: peer.send(random.Random(5).randbytes(1000)),
}


@pytest.mark.parametrize("end", WITHIN_OBJECT.values(), ids=WITHIN_OBJECT)
def test_an_object_that_breaks_off_leaves_nothing(end: Callable[[Peer], None], node: Receiver) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        peer.begin_store(UID)
        peer.send(p_data(STORE_CONTEXT, data_set(ct())[:300], last=False))
        assert until(lambda: len(node.temporary()) == 1)
        end(peer)
        assert peer.socket.fileno() < 0 or peer.is_closed()

    assert until(lambda: node.temporary() == [])
    assert node.put_aside() == []


def keep_sending(peer: Peer, data: bytes) -> None:
    while True:
        peer.send(data)


def test_an_endless_object_is_aborted_at_its_largest(node: Receiver) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        peer.begin_store(UID)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            keep_sending(peer, p_data(STORE_CONTEXT, bytes(16000), last=False))


def test_random_bytes_in_place_of_an_image_are_refused_and_the_association_goes_on(node: Receiver) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        assert peer.store(random.Random(6).randbytes(50_000), UID) == 0xC000
        assert peer.echo() == 0
        peer.release()


def test_idle_connections_lock_nobody_out(tmp_path: Path) -> None:
    with receiver(tmp_path, max_associations=1) as node:
        idle = [Peer(node.port) for _ in range(300)]
        for peer in idle[::2]:
            peer.send(associate_request()[:50])
        assert node.serves()
        for peer in idle:
            peer.socket.close()


def test_the_longest_waiting_stranger_makes_room_for_the_next(tmp_path: Path) -> None:
    with receiver(tmp_path) as node:
        strangers = [Peer(node.port) for _ in range(257)]
        assert strangers[0].is_closed()
        strangers[-1].associate()
        for peer in strangers:
            peer.socket.close()


@pytest.mark.slow
def test_a_peer_that_reads_no_answers_is_left(tmp_path: Path) -> None:
    with receiver(tmp_path, pdu_timeout_s=0.2) as node, Peer(node.port, patience_s=30) as peer:
        peer.associate()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            keep_sending(peer, p_data(ECHO_CONTEXT, echo_request(), command=True) * 1000)
        assert node.serves()


class LateClock:
    """Says that ten seconds more have passed, each time it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10
        return self.now


class DrippingSocket:
    """Gives one byte at a time."""

    def __init__(self, wrapped: socket.socket) -> None:
        self._wrapped = wrapped

    def recv_into(self, buffer: memoryview) -> int:
        return self._wrapped.recv_into(buffer[:1])

    def setsockopt(self, *_: int) -> None:
        pass


@contextmanager
def dripping(data: bytes) -> Iterator[Connection]:
    """Give a connection whose peer sends one byte in ten seconds, as its clock has it, and then closes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        yield Connection(DrippingSocket(ours), idle_timeout_s=60, pdu_timeout_s=120, clock=LateClock())


def test_a_request_that_drips_in_meets_its_deadline() -> None:
    with dripping(associate_request()) as wire, pytest.raises(PeerSilent):
        wire.read_associate_request(within_s=30)


def test_a_pdu_that_drips_in_meets_its_deadline() -> None:
    with dripping(p_data(STORE_CONTEXT, bytes(100))) as wire:
        head = wire.next_pdu()
        with pytest.raises(PeerSilent):
            list(wire.pieces(head.length, head.deadline))


def test_a_pdu_in_good_time_is_read() -> None:
    with dripping(pdu(5, bytes(4))) as wire:
        assert wire.take(4, wire.next_pdu().deadline) == bytes(4)


def test_the_end_of_the_connection_is_no_silence() -> None:
    with dripping(b"") as wire:
        with pytest.raises(ConnectionLost) as caught:
            wire.next_pdu()
        assert not isinstance(caught.value, PeerSilent)
