"""Stand-ins for a hospital's systems: an HL7 v2 receiver and a FHIR server, in this process, on this machine."""

import asyncio
import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


class MllpReceiver:
    """Takes messages on a free port and answers each with ``code``; AR and AE with ``words``."""

    def __init__(self, code: str = "AA", words: str = "", port: int = 0) -> None:
        self.code = code
        self.words = words
        self.messages: list[bytes] = []
        self.port = port

    @property
    def controls(self) -> list[str]:
        """MSH-10 of each message taken."""
        return [_control_id(message) for message in self.messages]

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._converse, "127.0.0.1", self.port))
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                message = (await reader.readuntil(b"\x1c\r"))[1:-2]
                self.messages.append(message)
                said = f"MSA|{self.code}|{_control_id(message)}|{self.words}"
                writer.write(b"\x0bMSH|^~\\&|KIS||EMERALD||2026||ACK|9|P|2.5.1\r" + said.encode() + b"\r\x1c\r")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class FhirStandIn:
    """Answers searches from a list of resources, and takes transactions; ``broken`` makes it answer 500."""

    def __init__(self, resources: Sequence[Json] = ()) -> None:
        self.resources = list(resources)
        self.transactions: list[Json] = []
        self.asked: list[str] = []
        self.broken = False

    @property
    def base_url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/fhir"

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def answer(self, path: str) -> Json:
        """Return what a GET brings."""
        url = urlsplit(path)
        kind = url.path.removeprefix("/fhir/")
        self.asked.append(kind)
        if kind == "metadata":
            return {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "software": {"name": "Stand-in"}}
        wanted = {name: values[0] for name, values in parse_qs(url.query).items()}
        found = [each for each in self.resources if each["resourceType"] == kind and _matches(each, wanted)]
        entries = [{"resource": each, "search": {"mode": "match"}} for each in found]
        return {"resourceType": "Bundle", "type": "searchset", "entry": entries}

    def take(self, bundle: Json) -> Json:
        """Keep a transaction."""
        self.transactions.append(bundle)
        made = [{"response": {"status": "201 Created"}} for _ in bundle["entry"]]
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": made}


def _handler(server: FhirStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(server.answer(self.path))

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            self._say({} if server.broken else server.take(json.loads(content)))

        def _say(self, resource: Json) -> None:
            outcome = {"resourceType": "OperationOutcome", "issue": [{"code": "exception"}]}
            body = json.dumps(outcome if server.broken else resource).encode()
            self.send_response(500 if server.broken else 200)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


def _matches(resource: Json, wanted: dict[str, str]) -> bool:
    if "identifier" in wanted:
        return wanted["identifier"] in [f"{each['system']}|{each['value']}" for each in resource["identifier"]]
    subject = resource.get("subject") or resource.get("patient")
    return subject is None or subject["reference"] == f"Patient/{wanted.get('patient')}"


def _control_id(message: bytes) -> str:
    return message.split(b"|")[9].decode()
