"""The MLLP server: every frame is answered once, after what follows from it is durable.

One connection is served in its order; a slow one holds up no other. What cannot be read is kept as a dead letter, and
its sender is told.
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from hl7_emr.errors import MessageError
from hl7_emr.hl7v2.committer import Committer
from hl7_emr.hl7v2.framing import Deframer, Frame, frame
from hl7_emr.hl7v2.judge import Judge, Judged, StoreTrouble
from hl7_emr.stores import Inbox

_LOG = logging.getLogger(__name__)
_PACKET = 65536
# Beyond it a message is read in a thread, so that other connections go on meanwhile.
_LARGE = 256 * 1024


@dataclass(frozen=True)
class Limits:
    """What one peer can ask of the listener."""

    max_frame_bytes: int = 16 * 1024 * 1024
    max_connections: int = 50
    # silence between frames
    idle_s: float = 300
    # from the first to the last byte of a frame, and to take an answer
    frame_s: float = 60


class Listener:
    """An MLLP server.

    Parameters
    ----------
    inbox : Inbox
        Where messages go before they are answered.
    tls : ssl.SSLContext or None
        None: the connection is not encrypted.
    """

    def __init__(self, inbox: Inbox, judge: Judge, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self._judge = judge
        self._limits = limits
        self._tls = tls
        self._store_thread = ThreadPoolExecutor(1, "mllp-store")
        self._readers = ThreadPoolExecutor(2, "mllp-read")
        self._committer = Committer(inbox, self._store_thread)
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (of port 0, the one that was given)."""
        self._writing = asyncio.create_task(self._committer.run())
        self._server = await asyncio.start_server(self._serve, host, port, ssl=self._tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take no more connections, and end those that there are; what was not answered will come again."""
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._writing.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)
        self._store_thread.shutdown()
        self._readers.shutdown()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        peer = str((writer.get_extra_info("peername") or ("?",))[0])
        if task is None or len(self._connections) >= self._limits.max_connections:
            _LOG.warning("MLLP: %s refused, %d connections are open", peer, len(self._connections))
            await _close(writer)
            return
        self._connections.add(task)
        try:
            await self._converse(reader, writer, peer)
        except asyncio.CancelledError:
            _LOG.debug("MLLP: connection of %s ended by stop()", peer)
        except (OSError, TimeoutError) as error:
            _LOG.info("MLLP: connection of %s ended: %s", peer, type(error).__name__)
        finally:
            self._connections.discard(task)
            await _close(writer)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        incoming = _Incoming(reader, self._limits)
        while not incoming.ended:
            frames = await incoming.frames()
            if frames and not await self._answer(frames, writer, peer):
                return

    async def _answer(self, frames: Sequence[Frame], writer: asyncio.StreamWriter, peer: str) -> bool:
        """Judge, store and answer frames; False: the sender wants no answer, and has to notice that we failed."""
        judged = [await self._examine(each, peer) for each in frames]
        trouble = await self._store(judged)
        for each in judged:
            replies = self._judge.replies(each, trouble)
            if trouble is not None and not replies:
                return False
            writer.write(b"".join(frame(reply) for reply in replies))
        async with asyncio.timeout(self._limits.frame_s):
            await writer.drain()
        return True

    async def _examine(self, each: Frame, peer: str) -> Judged:
        if len(each.content) <= _LARGE:
            return self._judge.examine(each, peer)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._judge.examine, each, peer)

    async def _store(self, judged: Sequence[Judged]) -> MessageError | None:
        received = [each.received for group in judged for each in group.examined]
        try:
            await self._committer.take(received)
        except Exception as error:  # whatever it is, the senders have to hear that nothing was kept
            _LOG.error("MLLP: %d messages could not be stored: %s", len(received), error)
            return StoreTrouble()
        return None


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


class _Incoming:
    """The frames of one connection, within their time."""

    def __init__(self, reader: asyncio.StreamReader, limits: Limits) -> None:
        self._reader = reader
        self._limits = limits
        self._deframer = Deframer(limits.max_frame_bytes)
        self._frame_ends_at: float | None = None
        self.ended = False

    async def frames(self) -> list[Frame]:
        """Wait for bytes and return the frames that end in them; none or broken ones when the connection ended."""
        try:
            async with asyncio.timeout_at(self._time_out_at()):
                data = await self._reader.read(_PACKET)
        except (TimeoutError, OSError):
            data = b""
        if not data:
            self.ended = True
            return self._deframer.end()
        found = self._deframer.feed(data)
        if found:
            self._frame_ends_at = None
        return found

    def _time_out_at(self) -> float:
        now = asyncio.get_running_loop().time()
        if not self._deframer.inside:
            self._frame_ends_at = None
            return now + self._limits.idle_s
        self._frame_ends_at = self._frame_ends_at or now + self._limits.frame_s
        return self._frame_ends_at
