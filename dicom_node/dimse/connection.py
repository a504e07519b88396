"""One TCP connection of a peer that called us: protocol data units in and out, each within a deadline (PS3.8 9.3).

Nothing is allocated because a peer says that it will send much: bytes come through one fixed buffer, and only what has
arrived is ever held.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dicom_node.errors import ConnectionLost, PeerMisbehaved, PeerSilent

# PDU types, PS3.8 sections 9.3.2 to 9.3.8
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
# The longest P-DATA-TF that we announce, and the longest A-ASSOCIATE-RQ read: 128 contexts of 50 syntaxes fit.
MAX_PDU = 131072
MAX_ASSOCIATE_RQ = 262144
_SMALL_BUFFER, _LARGE_BUFFER = 4096, 2 * MAX_PDU
# Some peers count the header in; none has reason to go far beyond what was announced.
_TOLERATED_PDU = 4 * MAX_PDU
# How often a waiting thread looks at the clock.
_TICK_S = 1.0


@dataclass(frozen=True)
class Pdu:
    """The head of a PDU; the body is still to be read."""

    kind: int
    length: int
    deadline: float


class Connection:
    """Reads and writes on one socket.

    Parameters
    ----------
    idle_timeout_s : float
        Longest silence between two PDUs.
    pdu_timeout_s : float
        Longest time for one PDU from its first byte to its last, and for one answer to be taken.
    """

    def __init__(
        self,
        sock: socket.socket,
        idle_timeout_s: float,
        pdu_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socket = sock
        self._idle_timeout_s = idle_timeout_s
        self._pdu_timeout_s = pdu_timeout_s
        self._clock = clock
        self._buffer = memoryview(bytearray(_SMALL_BUFFER))
        self._start = self._end = 0
        # A response waits for nothing: without this, small answers may wait 40 ms for an acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The kernel wakes us, so that no call needs another one before it to wait or to set a timeout.
        tick_s = min(_TICK_S, idle_timeout_s, pdu_timeout_s)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, _timeval(tick_s))

    def expect_data(self) -> None:
        """Take the large buffer: the peer is a known one now."""
        larger = memoryview(bytearray(_LARGE_BUFFER))
        larger[: self._end - self._start] = self._buffer[self._start : self._end]
        self._start, self._end = 0, self._end - self._start
        self._buffer = larger

    def read_associate_request(self, within_s: float) -> bytes:
        """Read a complete A-ASSOCIATE-RQ.

        Raises
        ------
        ConnectionLost
            The peer closed, or the request was not complete in time (PeerSilent).
        PeerMisbehaved
            Something else came.
        """
        deadline = self._clock() + within_s
        kind, length = self._head(deadline)
        if kind != ASSOCIATE_RQ or length > MAX_ASSOCIATE_RQ:
            raise PeerMisbehaved(f"PDU type {kind} of {length} bytes instead of an association request", 2)
        request = bytearray(struct.pack(">BBL", kind, 0, length))
        for piece in self.pieces(length, deadline):
            request += piece
        return bytes(request)

    def next_pdu(self) -> Pdu:
        """Wait for the next PDU and read its head; raises as above."""
        if self._start == self._end:
            self._receive(self._clock() + self._idle_timeout_s)
        deadline = self._clock() + self._pdu_timeout_s
        kind, length = self._head(deadline)
        if kind not in (P_DATA, RELEASE_RQ, ABORT):
            raise PeerMisbehaved(f"PDU type {kind}", abort_reason=2 if kind in range(1, 8) else 1)
        if length > _TOLERATED_PDU or (kind != P_DATA and length != 4):
            raise PeerMisbehaved(f"PDU type {kind} of {length} bytes", abort_reason=6)
        return Pdu(kind, length, deadline)

    def take(self, n_bytes: int, deadline: float) -> bytes:
        """Read a few bytes."""
        while self._end - self._start < n_bytes:
            self._receive(deadline)
        taken = bytes(self._buffer[self._start : self._start + n_bytes])
        self._start += n_bytes
        return taken

    def pieces(self, n_bytes: int, deadline: float) -> Iterator[memoryview]:
        """Yield the next bytes as they arrive; each piece is good until the next one is asked for."""
        while n_bytes:
            if self._start == self._end:
                self._receive(deadline)
            piece = self._buffer[self._start : min(self._end, self._start + n_bytes)]
            self._start += len(piece)
            n_bytes -= len(piece)
            yield piece

    def send(self, pdu: bytes) -> None:
        """Send; raises ConnectionLost where the peer does not take it in time."""
        left, deadline = memoryview(pdu), self._clock() + self._pdu_timeout_s
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                if self._clock() > deadline:
                    raise ConnectionLost("the peer does not take what is sent") from None
            except OSError as error:
                raise ConnectionLost(f"nothing can be sent any more ({error})") from error

    def interrupt(self) -> None:
        """Make a reading thread see the end of the connection; may be called by any thread."""
        with contextlib.suppress(OSError):  # it may be gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self, linger_s: float = 0.0) -> None:
        """Close; ``linger_s`` gives the peer time to read our last words and to close first (PS3.8 AA-6)."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            deadline = self._clock() + linger_s
            while (left := deadline - self._clock()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(_SMALL_BUFFER):
                    break
        except OSError:
            pass
        self._socket.close()

    def _head(self, deadline: float) -> tuple[int, int]:
        kind, _, length = struct.unpack(">BBL", self.take(6, deadline))
        return kind, length

    def _receive(self, deadline: float) -> None:
        """Have more bytes in the buffer."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            rest = bytes(self._buffer[self._start : self._end])
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        while self._clock() < deadline:
            try:
                n_bytes = self._socket.recv_into(self._buffer[self._end :])
            except BlockingIOError:
                continue
            except OSError as error:
                raise ConnectionLost(str(error)) from error
            if not n_bytes:
                raise ConnectionLost("the peer closed the connection")
            self._end += n_bytes
            return
        raise PeerSilent("no more bytes in time")


def _timeval(seconds: float) -> bytes:
    """Pack a struct timeval."""
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
