"""MLLP framing without a socket: VT, the message, FS, CR.

Tolerates what is met: noise before VT, CR and LF after FS, FS and CR in two packets, several frames in one packet.
A VT inside a frame begins a new one: the first was never ended, and is handed out as broken, so that it is answered.
"""

from dataclasses import dataclass
from enum import StrEnum

VT, FS, CR = b"\x0b", b"\x1c", b"\r"
_HEAD_BYTES = 4096


class Fault(StrEnum):
    """What is wrong with a frame."""

    UNENDED = "a new frame began before this one was ended"
    TOO_LARGE = "the frame is larger than is accepted"
    CUT_OFF = "the connection ended inside the frame"
    UNFRAMED = "bytes outside any frame"


@dataclass(frozen=True)
class Frame:
    """One frame: the bytes between VT and FS.

    Attributes
    ----------
    content : bytes
        Of a frame that is too large only the first 4096 bytes, enough for its MSH.
    fault : Fault or None
        None: the frame is whole.
    """

    content: bytes
    fault: Fault | None = None


def frame(message: bytes) -> bytes:
    """Return a message as a frame."""
    return VT + message + FS + CR


class Deframer:
    """Frames out of a stream, however it is cut into packets.

    Parameters
    ----------
    max_bytes : int
        A longer frame is skipped as it comes and never held in memory.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._inside = False
        self._skipping = False
        self._held = bytearray()
        self._noise = bytearray()

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[Frame]:
        """Take the bytes of one packet and return the frames that end in it."""
        frames: list[Frame] = []
        position = 0
        while position < len(data):
            if self._inside:
                position = self._read_inside(data, position, frames)
            else:
                position = self._read_outside(data, position, frames)
        return frames

    def end(self) -> list[Frame]:
        """Return what was left when the connection ended: a frame cut off, or bytes that never were one."""
        frames: list[Frame] = []
        if self._inside:
            frames.append(self._take(Fault.CUT_OFF))
        self._report_noise(frames)
        return frames

    def _read_outside(self, data: bytes, position: int, frames: list[Frame]) -> int:
        start = data.find(VT, position)
        noise = data[position:] if start < 0 else data[position:start]
        room = _HEAD_BYTES - len(self._noise)
        self._noise += noise[: max(room, 0)]
        if start < 0:
            return len(data)
        self._report_noise(frames)
        self._inside = True
        return start + 1

    def _read_inside(self, data: bytes, position: int, frames: list[Frame]) -> int:
        ends = [at for at in (data.find(FS, position), data.find(VT, position)) if at >= 0]
        stop = min(ends, default=len(data))
        self._hold(data[position:stop])
        if not ends:
            return len(data)
        if data[stop : stop + 1] == FS:
            frames.append(self._take(None))
            return stop + 1
        frames.append(self._take(Fault.UNENDED))
        self._inside = True
        return stop + 1

    def _hold(self, data: bytes) -> None:
        self._skipping = self._skipping or len(self._held) + len(data) > self._max_bytes
        self._held += data
        if self._skipping:
            del self._held[_HEAD_BYTES:]

    def _take(self, fault: Fault | None) -> Frame:
        content, skipped = bytes(self._held), self._skipping
        self._held.clear()
        self._inside = self._skipping = False
        return Frame(content, Fault.TOO_LARGE if skipped else fault)

    def _report_noise(self, frames: list[Frame]) -> None:
        """Line ends and blanks between frames are no matter; anything else is told once."""
        noise = bytes(self._noise)
        self._noise.clear()
        if noise.strip(b"\r\n\t\0 " + FS):
            frames.append(Frame(noise, Fault.UNFRAMED))
