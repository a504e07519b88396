"""Our client against servers that misbehave: what is accepted, what is tried again, what becomes a dead letter."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from hl7_emr.errors import Nak, Unreachable
from hl7_emr.hl7v2.client import Connection, Peer
from hl7_emr.hl7v2.sender import Patience, Sender
from tests.support.hl7_messages import message, msh
from tests.support.hl7_store import MemoryOutbox

ORU = message(msh("ORU^R01", "M1"))
START = datetime(2026, 1, 1, tzinfo=UTC)
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ack(code: str, control_id: str = "M1", words: str = "") -> bytes:
    return b"\x0bMSH|^~\\&|KIS||EMERALD||2026||ACK|9|P|2.5\rMSA|%s|%s|%s\r\x1c\r" % (
        code.encode(),
        control_id.encode(),
        words.encode(),
    )


def says(*packets: bytes, close: bool = False) -> Script:
    """Return a server that answers each frame with these packets."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not close or not writer.is_closing():
            await reader.readuntil(b"\x1c\r")
            for packet in packets:
                writer.write(packet)
                await writer.drain()
            if close:
                writer.close()

    return script


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


async def _serve(script: Script) -> tuple[asyncio.Server, int]:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def exchange(script: Script, **peer: object) -> str:
    """Send one message to a server and return MSA-1."""

    async def run() -> str:
        server, port = await _serve(script)
        connection = await Connection.open(Peer("127.0.0.1", port, **({"answer_s": 5.0} | peer)))  # type: ignore[arg-type]
        try:
            return (await connection.exchange(ORU, "M1")).code
        finally:
            await connection.close()
            server.close()
            await server.wait_closed()

    return asyncio.run(run())


@pytest.mark.parametrize(
    "packets",
    [
        [ack("AA")],
        [ack("CA")],
        [ack("AA")[:-3] + b"\x1c\r"],
        [ack("AA").replace(b"2.5\r", b"2.5\n")],
        [ack("AA").replace(b"\r", b"\r\n")],
        [ack("AA")[:10], ack("AA")[10:]],
        [ack("AA", "OLD"), ack("AA")],
        [ack("AE", "OLD") + ack("AA")],
        [b"\r\n" + ack("AA")],
        [ack("aa")],
    ],
    ids=[
        "AA",
        "commit accept",
        "no CR at the end",
        "LF inside",
        "CRLF",
        "in pieces",
        "an old answer first",
        "an old refusal first",
        "line ends first",
        "lower case",
    ],
)
def test_an_acceptance_is_understood(packets: list[bytes]) -> None:
    assert exchange(says(*packets)) in ("AA", "CA")


def test_an_answer_without_a_frame_counts_when_the_peer_closes_then() -> None:
    assert exchange(says(ack("AA").strip(b"\x0b\x1c\r"), close=True)) == "AA"


def test_after_a_commit_the_application_is_waited_for_where_that_was_agreed() -> None:
    assert exchange(says(ack("CA") + ack("AA")), application_answer=True) == "AA"
    with pytest.raises(Nak):
        exchange(says(ack("CA") + ack("AE")), application_answer=True)


@pytest.mark.parametrize(
    ("code", "transient"), [("AE", True), ("CE", True), ("AR", False), ("CR", False), ("", False), ("ZZ", False)]
)
def test_a_refusal_says_whether_another_attempt_helps(code: str, transient: bool) -> None:
    with pytest.raises(Nak) as raised:
        exchange(says(ack(code, words="queue full")))
    assert (raised.value.code, raised.value.transient) == (code, transient)
    assert "queue full" in str(raised.value)


@pytest.mark.parametrize(
    "script",
    [
        says(),
        says(close=True),
        says(b"\x0bMSH|^~\\&|KIS", close=True),
        says(b"\x0bMSH|^~\\&|KIS"),
        says(b"\x0bHTTP/1.1 400 Bad Request\x1c\r"),
        says(ack("AA", "OLD")),
        says(ack("AA", "OLD") * 100),
        says(b"\x0b" + b"x" * 2_000_000 + b"\x1c\r"),
    ],
    ids=["silence", "closed", "cut off", "half an answer", "no HL7", "only old answers", "many old ones", "endless"],
)
def test_without_its_own_answer_the_message_is_not_delivered(script: Script) -> None:
    with pytest.raises(Unreachable):
        exchange(script, answer_s=0.3)


def test_nobody_there() -> None:
    async def run() -> None:
        server, port = await _serve(says())
        server.close()
        await server.wait_closed()
        await Connection.open(Peer("127.0.0.1", port, connect_s=2))

    with pytest.raises(Unreachable):
        asyncio.run(run())


def deliver(scripts: list[Script], n_messages: int, n_steps: int, patience: Patience | None = None) -> MemoryOutbox:
    """Let a sender take steps; each connection is served by the next script, and an hour passes between the steps."""
    outbox, clock = MemoryOutbox(), Clock()
    for number in range(1, n_messages + 1):
        outbox.add("emr", f"M{number}", message(msh("ORU^R01", f"M{number}")), START)

    async def run() -> None:
        left = list(scripts)

        async def next_script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await (left.pop(0) if len(left) > 1 else left[0])(reader, writer)

        server, port = await _serve(next_script)
        sender = Sender("emr", Peer("127.0.0.1", port, answer_s=0.3), outbox, clock, Random(7), patience)
        for _ in range(n_steps):
            await sender.send_next()
            clock.now += timedelta(hours=1)
        await sender.close()
        server.close()
        await server.wait_closed()

    asyncio.run(run())
    return outbox


async def _accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept each message by its own control id."""
    while frame := await reader.readuntil(b"\x1c\r"):
        writer.write(ack("AA", frame.split(b"|")[9].decode()))
        await writer.drain()


def test_messages_go_in_their_order_over_one_connection() -> None:
    outbox = deliver([_accept, says()], n_messages=3, n_steps=4)
    assert outbox.ended == {1: "AA", 2: "AA", 3: "AA"}
    assert outbox.errors == []


def test_a_lost_answer_is_asked_for_again_on_a_new_connection() -> None:
    outbox = deliver([says(), says(close=True), _accept], n_messages=2, n_steps=4)
    assert outbox.ended == {1: "AA", 2: "AA"}
    assert outbox.rows[1].attempts == 2
    assert outbox.rows[2].attempts == 0


def test_a_late_answer_is_not_taken_for_that_of_the_next_message() -> None:
    """The answer to M1 comes on the connection of M2, as with engines that queue (nextgenhealthcare/connect#1441)."""
    outbox = deliver([says(ack("AR", "M1")), says(ack("AA", "M1"))], n_messages=2, n_steps=2)
    assert outbox.ended == {1: "dead"}
    assert 2 not in outbox.ended


def test_a_refusal_for_good_is_a_dead_letter_and_makes_room() -> None:
    async def picky(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while frame := await reader.readuntil(b"\x1c\r"):
            control_id = frame.split(b"|")[9].decode()
            writer.write(ack("AR" if control_id == "M1" else "AA", control_id))
            await writer.drain()

    outbox = deliver([picky], n_messages=2, n_steps=2)
    assert outbox.ended == {1: "dead", 2: "AA"}


def test_a_refusal_that_may_pass_is_a_dead_letter_after_enough_attempts() -> None:
    outbox = deliver([says(ack("AE"))], n_messages=1, n_steps=5, patience=Patience(attempts=3))
    assert outbox.ended == {1: "dead"}
    assert len(outbox.errors) == 3


def test_an_absent_peer_is_waited_for_without_end() -> None:
    outbox = deliver([says(close=True)], n_messages=1, n_steps=20, patience=Patience(attempts=3))
    assert outbox.ended == {}
    assert outbox.rows[1].attempts == 20


def test_the_wait_doubles_up_to_its_limit_and_is_spread() -> None:
    patience, random = Patience(first_s=2, longest_s=100), Random(3)
    waits = [patience.delay_s(attempts, random) for attempts in range(12)]
    for attempts, wait in enumerate(waits):
        longest = min(100, 2 * 2**attempts)
        assert longest / 2 <= wait <= longest
    assert len(set(waits)) == len(waits)


def test_nothing_is_sent_before_its_time() -> None:
    outbox = MemoryOutbox()
    outbox.add("emr", "M1", ORU, START + timedelta(seconds=1))
    sender = Sender("emr", Peer("127.0.0.1", 1), outbox, lambda: START, Random(1))
    assert not asyncio.run(sender.send_next())
