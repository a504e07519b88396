"""A running MLLP listener over a store in memory, and connections to it as bytes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from hl7_emr.hl7v2.acknowledgement import Verdict
from hl7_emr.hl7v2.intake import Rules
from hl7_emr.hl7v2.judge import Judge
from hl7_emr.hl7v2.listener import Limits, Listener
from tests.support.hl7_store import MemoryStore

PATIENCE_S = 10
VT, END = b"\x0b", b"\x1c\r"


def now() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


class Wire:
    """One connection to the listener, as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *packets: bytes) -> None:
        for packet in packets:
            self._writer.write(packet)
            await self._writer.drain()

    async def answer(self) -> dict[str, list[str]]:
        """Read one framed answer: segment -> fields."""
        async with asyncio.timeout(PATIENCE_S):
            whole = await self._reader.readuntil(END)
        assert whole.startswith(VT)
        assert whole.endswith(b"\r" + END)
        assert whole.count(VT) == 1
        lines = whole[1:-2].decode("utf-8").rstrip("\r").split("\r")
        return {line[:3]: line.split(line[3] if line.startswith("MSH") else "|") for line in lines}

    async def code(self, *packets: bytes) -> str:
        await self.send(*packets)
        return (await self.answer())["MSA"][1]

    async def rest(self) -> bytes:
        """Read until the listener closes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read()

    async def finish(self) -> bytes:
        """Say that nothing more comes, and read what is still answered."""
        self._writer.write_eof()
        return await self.rest()

    async def close(self) -> None:
        self._writer.close()


class Served:
    """A running listener and its store."""

    def __init__(self, store: MemoryStore, port: int) -> None:
        self.store = store
        self.port = port

    async def connect(self) -> Wire:
        return Wire(*await asyncio.open_connection("127.0.0.1", self.port))


@asynccontextmanager
async def serving(limits: Limits | None = None, transient: Verdict = Verdict.ERROR) -> AsyncIterator[Served]:
    store = MemoryStore()
    listener = Listener(store, Judge(Rules(), now, transient), limits or Limits())
    port = await listener.start("127.0.0.1", 0)
    try:
        yield Served(store, port)
    finally:
        await listener.stop()


Conversation = Callable[[Served, Wire], Awaitable[None]]


def talk(conversation: Conversation, limits: Limits | None = None, transient: Verdict = Verdict.ERROR) -> MemoryStore:
    """Run a conversation with a listener and return its store."""

    async def run() -> MemoryStore:
        async with serving(limits, transient) as served:
            wire = await served.connect()
            await conversation(served, wire)
            await wire.close()
            return served.store

    return asyncio.run(run())


def framed(content: bytes) -> bytes:
    return VT + content + END
