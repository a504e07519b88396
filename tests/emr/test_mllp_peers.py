"""HL7 software of others sends to our listener and receives our results."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from hl7_emr.hl7v2.client import Peer
from hl7_emr.hl7v2.results import Addresses, oru
from hl7_emr.hl7v2.sender import Sender
from tests.support.data import needs_data
from tests.support.hl7_messages import sample
from tests.support.hl7_peers import RECEIVERS, SENDERS, receiving, runnable, send
from tests.support.hl7_reports import full_report
from tests.support.hl7_store import MemoryOutbox
from tests.support.mllp_wire import serving

pytestmark = [pytest.mark.foreign, pytest.mark.slow]


@needs_data
@pytest.mark.parametrize("name", ["ADT01-28", "ORM-O01-01", "LAB-ORU-1"])
@pytest.mark.parametrize("sender", runnable(SENDERS))
def test_a_peer_sends_and_understands_the_answer(sender: str, name: str, tmp_path: Path) -> None:
    content = sample(name).removeprefix(b"\xef\xbb\xbf")

    async def run() -> tuple[str, list[str]]:
        async with serving() as served:
            said = await asyncio.to_thread(send, sender, content, served.port, tmp_path)
            return said, [each.control_id for each in served.store.received]

    said, received = asyncio.run(run())
    control_id = content.split(b"|")[9].decode()
    assert received == [control_id]
    assert "AA" in said
    assert control_id in said


@pytest.mark.parametrize("receiver", runnable(RECEIVERS))
def test_a_peer_receives_our_results_one_after_the_other(receiver: str) -> None:
    """Two messages on one connection: node-hl7-server repeats its first answer, which must not pass for the second."""
    outbox, at = MemoryOutbox(), datetime(2026, 1, 1, tzinfo=UTC)
    messages = [oru(full_report(revision), Addresses(), f"EMR17R{revision}") for revision in (1, 2)]
    for revision, content in enumerate(messages, start=1):
        outbox.add("emr", f"EMR17R{revision}", content, at)

    async def run(port: int) -> None:
        sender = Sender("emr", Peer("127.0.0.1", port, answer_s=5), outbox, lambda: at, Random(1))
        assert await sender.send_next()
        assert await sender.send_next()
        await sender.close()

    with receiving(receiver) as peer:
        asyncio.run(run(peer.port))
        expected = [content.decode("utf-8").rstrip("\r").split("\r") for content in messages]
        seen: list[list[str]] = []
        while seen[-1:] != expected[-1:]:
            message = [segment for segment in peer.message() if segment]
            seen += [message] if message not in seen else []
        assert seen == expected
    assert outbox.ended == {1: "AA", 2: "AA"}, outbox.errors
