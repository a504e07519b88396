"""A TCP line to a peer that a test can watch, hold at a byte, slow down, cut and close: what networks do to us."""

import contextlib
import socket
import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

from dicom_node.domain import RemoteAE

Way = Literal["there", "back"]
_PIECE = 4096


class Line:
    """Listens on a free port and passes everything on to a peer, and the peer's words back.

    Parameters
    ----------
    to : RemoteAE
        The peer at the far end.

    Attributes
    ----------
    remote : RemoteAE
        The peer as it is reached through the line.
    passed : dict
        Bytes that went there and back, over all connections.
    held : threading.Event
        Set while ``hold`` keeps bytes back.
    n_connections : int
        Connections accepted so far.
    """

    def __init__(self, to: RemoteAE) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.remote = replace(to, host="127.0.0.1", port=self._listener.getsockname()[1])
        self.passed: dict[Way, int] = {"there": 0, "back": 0}
        self.held = threading.Event()
        self.n_connections = 0
        self._guard = threading.Lock()
        self._limits: dict[Way, int] = {}
        self._pace_bytes_per_s: float | None = None
        self._cut = threading.Event()
        self._sockets: list[socket.socket] = []

    def hold(self, way: Way, at_byte: int) -> None:
        """Let ``at_byte`` more bytes pass that way, then nothing until ``cut``."""
        self._limits[way] = self.passed[way] + at_byte

    def slow_down(self, bytes_per_s: float | None) -> None:
        """Let no more than so many bytes pass in a second on each connection and way; None: as fast as it goes."""
        self._pace_bytes_per_s = bytes_per_s

    def cut(self) -> None:
        """Drop all connections, with what was held; later ones pass unhindered."""
        with self._guard:
            self._limits.clear()
            sockets, self._sockets = self._sockets, []
            ended, self._cut = self._cut, threading.Event()
        ended.set()
        self.held.clear()
        for sock in sockets:
            _end(sock)

    def close(self) -> None:
        """Refuse connections: nobody listens at the port any more, and those that are open are cut."""
        _end(self._listener)
        self._listener.close()
        self.cut()

    def open(self) -> None:
        """Listen at the same port again."""
        self._listener = socket.create_server(("127.0.0.1", self.remote.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.n_connections += 1
            try:
                far = socket.create_connection((self._to.host, self._to.port))
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        with self._guard:
            self._sockets += [near, far]
            ended = self._cut
        with near, far:
            back = threading.Thread(target=self._pass, args=(far, near, "back", ended), daemon=True)
            back.start()
            self._pass(near, far, "there", ended)
            back.join()

    def _pass(self, source: socket.socket, sink: socket.socket, way: Way, ended: threading.Event) -> None:
        with contextlib.suppress(OSError):
            sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while piece := source.recv(_PIECE):
                allowed = self._allowed(way, len(piece))
                sink.sendall(piece[:allowed])
                self.passed[way] += allowed
                if allowed < len(piece):
                    self.held.set()
                    ended.wait()
                    return
                if self._pace_bytes_per_s:
                    time.sleep(len(piece) / self._pace_bytes_per_s)
            sink.shutdown(socket.SHUT_WR)

    def _allowed(self, way: Way, n_bytes: int) -> int:
        limit = self._limits.get(way)
        return n_bytes if limit is None else max(0, min(n_bytes, limit - self.passed[way]))


def _end(sock: socket.socket) -> None:
    """End both ways, so that whoever reads from it wakes up."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
