"""The one thread that owns the listener's event loop."""

import asyncio
import ssl
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from hl7_emr.hl7v2.listener import Listener


class Service:
    """Runs a listener in a thread of its own, from entering to leaving.

    Parameters
    ----------
    listener : Listener
        What answers.
    host, port : str, int
        Where it listens.

    Raises
    ------
    OSError
        On entering: the port is taken.
    """

    def __init__(self, listener: Listener, host: str, port: int) -> None:
        self._listener = listener
        self._address = host, port
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, name="hl7v2", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._ready.result()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            port = await self._listener.start(*self._address)
        except Exception as error:
            self._ready.set_exception(error)
            return
        self._ready.set_result(port)
        await self._stop.wait()
        await self._listener.stop()


def server_tls(certificate: Path, key: Path | None, client_authority: Path | None) -> ssl.SSLContext:
    """Return what a listener needs to speak TLS 1.2 or later; with ``client_authority`` clients need a certificate.

    Raises
    ------
    OSError
        A file cannot be read, or is no certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_authority is not None:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(authority: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return what a client needs to speak TLS 1.2 or later; ``authority`` None: those that the system trusts.

    Raises
    ------
    OSError
        A file cannot be read, or is no certificate or key.
    """
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
