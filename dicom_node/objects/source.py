"""The bytes of a data set, read forward through a window: from a file, or inflated piece by piece."""

import os
import zlib
from typing import Protocol

from dicom_node.errors import InstanceUnreadable

_WINDOW = 1 << 16


class ForwardFile(Protocol):
    """What is asked of a file here."""

    def read(self, n_bytes: int, /) -> bytes:
        """Return the next bytes, fewer only at the end."""

    def seek(self, n_bytes: int, whence: int, /) -> object:
        """Move by so many bytes (``whence`` is 1)."""


class OpenFile:
    """A file that is already open for writing, read from ``offset`` on; its own position stays where it is."""

    def __init__(self, fd: int, offset: int) -> None:
        self._fd = fd
        self._at = offset

    def read(self, n_bytes: int, /) -> bytes:
        """Return the next bytes, fewer only at the end."""
        data = os.pread(self._fd, n_bytes, self._at)
        self._at += len(data)
        return data

    def seek(self, n_bytes: int, _whence: int, /) -> None:
        """Move by so many bytes."""
        self._at += n_bytes


class Source:
    """A window that moves forward over the bytes of a data set.

    Attributes
    ----------
    window, at : bytes, int
        Bytes read ahead and the index in them of the next byte.
    limit : int or None
        Number of bytes in all, where that is known before they are read.
    """

    def __init__(self, file: ForwardFile, n_bytes: int) -> None:
        self.window = b""
        self.at = 0
        self.limit: int | None = n_bytes
        self._origin = 0
        self._file = file

    @property
    def position(self) -> int:
        """Bytes passed since the beginning of the data set."""
        return self._origin + self.at

    def need(self, n_bytes: int) -> int:
        """Have this many bytes in the window; returns ``at``, raises InstanceUnreadable where the data end before."""
        if self.at + n_bytes > len(self.window):
            self._refill(n_bytes)
            if len(self.window) < n_bytes:
                raise InstanceUnreadable(
                    f"the data end inside an element, after {self._origin + len(self.window)} bytes"
                )
        return self.at

    def skip(self, n_bytes: int) -> None:
        """Move forward; raises InstanceUnreadable where the data end before."""
        ahead = len(self.window) - self.at
        if n_bytes <= ahead:
            self.at += n_bytes
            return
        self._origin += self.at + n_bytes
        self.window, self.at = b"", 0
        self._discard(n_bytes - ahead)

    def ended(self) -> bool:
        """Whether no byte is left."""
        if self.at < len(self.window):
            return False
        self._refill(1)
        return not self.window

    def _refill(self, n_bytes: int) -> None:
        rest = self.window[self.at :]
        self._origin += self.at
        self.window, self.at = rest + self._read(max(_WINDOW, n_bytes - len(rest))), 0

    def _read(self, n_bytes: int) -> bytes:
        return self._file.read(n_bytes)

    def _discard(self, n_bytes: int) -> None:
        # The walker checks every length against ``limit`` first, so the file is long enough.
        self._file.seek(n_bytes, 1)


class InflatedSource(Source):
    """The same over a deflated data set (PS3.5 A.5), inflated piece by piece.

    Raises
    ------
    InstanceUnreadable
        The stream is damaged, cut, followed by other bytes, or grows beyond ``max_bytes``.
    """

    def __init__(self, file: ForwardFile, max_bytes: int) -> None:
        super().__init__(file, 0)
        self.limit = None
        self._left = max_bytes
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    def _read(self, n_bytes: int) -> bytes:
        pieces = []
        while n_bytes > 0 and (piece := self._piece(n_bytes)):
            pieces.append(piece)
            n_bytes -= len(piece)
        return b"".join(pieces)

    def _discard(self, n_bytes: int) -> None:
        while n_bytes > 0:
            piece = self._piece(min(n_bytes, _WINDOW))
            if not piece:
                raise InstanceUnreadable("the deflated data end inside a value")
            n_bytes -= len(piece)

    def _piece(self, n_bytes: int) -> bytes:
        """Up to ``n_bytes`` inflated bytes; none only at the end of the stream."""
        piece = b""
        while not piece and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(_WINDOW)
            if not packed:
                raise InstanceUnreadable("the deflated data are cut")
            try:
                piece = self._inflate.decompress(packed, n_bytes)
            except zlib.error as error:
                raise InstanceUnreadable(f"the deflated data are damaged: {error}") from error
        self._left -= len(piece)
        if self._left < 0:
            raise InstanceUnreadable("the deflated data grow beyond the largest object accepted")
        if self._inflate.eof:
            self._nothing_follows()
        return piece

    def _nothing_follows(self) -> None:
        # One null byte may pad the stream to even length (PS3.5 A.5).
        if (self._inflate.unused_data + self._file.read(2)) not in (b"", b"\0"):
            raise InstanceUnreadable("other bytes follow the deflated data")
