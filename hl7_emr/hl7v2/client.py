"""Sending one message by MLLP and reading the answer that belongs to it."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from hl7_emr.errors import FramingError, Nak, Unreachable
from hl7_emr.hl7v2.acknowledgement import Answer, read_answer
from hl7_emr.hl7v2.framing import Deframer, frame

_PACKET = 65536
_MAX_ANSWER_BYTES = 1024 * 1024
_MOST_STALE = 32


@dataclass(frozen=True)
class Peer:
    """Where our messages go.

    Attributes
    ----------
    answer_s : float
        Patience for the answer, from the last byte sent.
    application_answer : bool
        In enhanced mode (our MSH-16 asks for it): wait for AA after CA.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    connect_s: float = 10
    answer_s: float = 30
    application_answer: bool = False


class Connection:
    """A connection to a peer: one message at a time, the next one only after the answer.

    After a timeout the connection cannot be used any more: a late answer would be taken for that of the next message.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
        self._reader = reader
        self._writer = writer
        self._peer = peer
        self._deframer = Deframer(_MAX_ANSWER_BYTES)
        self._waiting: list[Answer] = []

    @classmethod
    async def open(cls, peer: Peer) -> Self:
        """Connect; raises ``Unreachable``."""
        try:
            async with asyncio.timeout(peer.connect_s):
                reader, writer = await asyncio.open_connection(peer.host, peer.port, ssl=peer.tls)
        except (OSError, TimeoutError) as error:
            raise Unreachable(f"{peer.host}:{peer.port}: no connection ({type(error).__name__})") from error
        return cls(reader, writer, peer)

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    async def exchange(self, message: bytes, control_id: str) -> Answer:
        """Send a message and return the answer that accepts it.

        Raises
        ------
        Nak
            The peer refused it. AE and CE are transient: engines answer them when they are busy, too.
        Unreachable
            The answer did not come in time, the connection broke off, or what came is no answer. Whether the peer has
            the message is not known: it is sent again with the same control id.
        """
        self._writer.write(frame(message))
        try:
            async with asyncio.timeout(self._peer.answer_s):
                await self._writer.drain()
                return await self._accepted(control_id)
        except TimeoutError as error:
            raise Unreachable(f"no answer within {self._peer.answer_s:g} s") from error
        except OSError as error:
            raise Unreachable(f"the connection broke off ({type(error).__name__})") from error

    async def _accepted(self, control_id: str) -> Answer:
        stale = 0
        while True:
            answer = await self._next_answer()
            if answer.control_id != control_id:
                stale += 1  # the answer to an earlier message, come late: some servers repeat it
                if stale > _MOST_STALE:
                    raise Unreachable("the peer answers other messages only")
                continue
            if answer.code == "CA" and self._peer.application_answer:
                continue
            if answer.code in ("AA", "CA"):
                return answer
            raise Nak(answer.code, answer.words, transient=answer.code in ("AE", "CE"))

    async def _next_answer(self) -> Answer:
        while not self._waiting:
            data = await self._reader.read(_PACKET)
            frames = self._deframer.feed(data) if data else self._deframer.end()
            # an answer without FS, or without any frame, is one nevertheless when the peer then closes
            found = (read_answer(each.content) for each in frames)
            self._waiting += [answer for answer in found if answer is not None]
            if not data and not self._waiting:
                raise Unreachable("the peer closed the connection without an answer")
            if frames and not self._waiting:
                raise Unreachable(str(FramingError("what the peer sent is no acknowledgement")))
        return self._waiting.pop(0)
