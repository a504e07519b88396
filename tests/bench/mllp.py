"""ADT messages acknowledged per second by the listener, each durable in the ledger before its AA."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from dicom_node.emr_store import EmrStore
from dicom_node.jobs.store import Store
from hl7_emr.hl7v2.intake import Rules
from hl7_emr.hl7v2.judge import Judge
from hl7_emr.hl7v2.listener import Limits, Listener

CONNECTIONS = 10
_MESSAGES = 300


def acknowledged_per_s(connections: int = CONNECTIONS, messages: int = _MESSAGES) -> float:
    """Return the rate over so many connections that each send so many messages, one after the other."""
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder) / 'ledger.sqlite'}")
        try:
            return asyncio.run(_measure(EmrStore(store), connections, messages))
        finally:
            store.close()


async def _measure(store: EmrStore, connections: int, messages: int) -> float:
    listener = Listener(store, Judge(Rules(), lambda: datetime.now(UTC)), Limits())
    port = await listener.start("127.0.0.1", 0)
    start = time.perf_counter()
    await asyncio.gather(*(_send(port, number, messages) for number in range(connections)))
    rate = connections * messages / (time.perf_counter() - start)
    await listener.stop()
    return rate


async def _send(port: int, sender: int, messages: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(messages):
        writer.write(_adt(sender, number))
        answer = await reader.readuntil(b"\x1c\r")
        if b"MSA|AA|" not in answer:
            raise RuntimeError("the listener did not accept a message")
    writer.close()
    await writer.wait_closed()


def _adt(sender: int, number: int) -> bytes:
    """Return an admission of about the size that is seen: a patient, a visit, three diagnoses."""
    patient = f"{sender}-{number % 50}"
    segments = (
        f"MSH|^~\\&|KIS|HOSPITAL|EMERALD|RADIOLOGY|20260101120000+0000||ADT^A08^ADT_A01|{sender}-{number}|P|2.5.1"
        "||||||UNICODE UTF-8",
        "EVN|A08|20260101120000",
        f"PID|1||{patient}^^^HOSP&1.2.3&ISO^MR~{patient}^^^NATIONAL^NI||Grüßer^Jane^Mary^^^^L||19500203|F",
        "PV1|1|I|WARD^1^2||||0100^Attending^A|||MED||||||||V1|||||||||||||||||||||||||20260101",
        "DG1|1||J43.9^Emphysema^I10C||20240105|F",
        "DG1|2||I10^Hypertension^I10C||20200105|F",
        "DG1|3||Z87.891^Nicotine dependence, history^I10C||20210105|F",
    )
    return b"\x0b" + "".join(f"{segment}\r" for segment in segments).encode() + b"\x1c\r"
