"""One exchange over HTTP, within a budget of time and bytes; what comes back is JSON, or an error that says why not.

Nothing is followed on its own: no redirect, no proxy of the environment, no compressed bomb. No message and no log line
holds a URL, since a URL may name a patient.
"""

import json
import logging
import math
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path

import httpx2

from hl7_emr.errors import FhirError, Unreachable
from hl7_emr.fhir.elements import Json


@dataclass(frozen=True)
class Limits:
    """What one lookup may cost, all its requests together.

    Attributes
    ----------
    total_s, connect_s, silence_s : float
        The whole lookup, one connection, one silence within an answer.
    max_bytes, max_pages : int
        Of all answers together; pages of one search.
    max_retry_after_s : float
        The longest wait that a server may ask for; a longer one is a refusal.
    """

    total_s: float = 20.0
    connect_s: float = 5.0
    silence_s: float = 10.0
    max_bytes: int = 32 * 2**20
    max_pages: int = 30
    max_retry_after_s: float = 5.0


class Budget:
    """What is left of the limits during one lookup."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._deadline = clock() + limits.total_s
        self._bytes_left = limits.max_bytes

    def remaining_s(self) -> float:
        """Return the seconds that are left.

        Raises
        ------
        Unreachable
            None are.
        """
        left = self._deadline - self._clock()
        if left <= 0:
            raise Unreachable(f"no complete answer within {self.limits.total_s:g} s")
        return left

    def spend(self, n_bytes: int) -> None:
        """Count received bytes; raises ``FhirError`` where they are too many."""
        self._bytes_left -= n_bytes
        if self._bytes_left < 0:
            raise FhirError(0, f"more than {self.limits.max_bytes} bytes")

    def timeout(self) -> httpx2.Timeout:
        """Return the limits of the next request."""
        left = self.remaining_s()
        silence = min(self.limits.silence_s, left)
        return httpx2.Timeout(silence, connect=min(self.limits.connect_s, left))


@dataclass(frozen=True)
class Tls:
    """How the server proves who it is, and how we do.

    Attributes
    ----------
    authorities : Path or None
        Certificates of the authorities to trust; None: those of the system.
    certificate, key : Path or None
        Ours, for mutual TLS.
    """

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return the TLS context, TLS 1.2 at least; raises ``OSError`` where a file cannot be read."""
        context = ssl.create_default_context(cafile=str(self.authorities) if self.authorities else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an answer."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str = ""

    def json(self) -> Json:
        """Return the body as a JSON object; raises ``FhirError``: an HTML page, XML, half an answer."""
        try:
            # NaN and Infinity are no JSON
            value = json.loads(self.body, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise FhirError(self.status if self.status >= 400 else 0, "the answer is no JSON") from error
        if not isinstance(value, dict):
            raise FhirError(self.status if self.status >= 400 else 0, "the answer is no JSON object")
        return value


class Http:
    """Sends requests one at a time and reads each answer whole.

    Parameters
    ----------
    transport : httpx2.BaseTransport or None
        For tests; None: the network.
    allow_plain : bool
        Whether ``http`` may leave this machine.
    """

    def __init__(
        self, tls: Tls | None = None, *, transport: httpx2.BaseTransport | None = None, allow_plain: bool = False
    ) -> None:
        # the library writes each URL to its log at INFO
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        verify = (tls or Tls()).context() if transport is None else True
        self._client = httpx2.Client(verify=verify, transport=transport, trust_env=False, follow_redirects=False)
        self._allow_plain = allow_plain

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def exchange(
        self, method: str, url: str, budget: Budget, headers: Mapping[str, str], content: bytes | None = None
    ) -> Answer:
        """Send one request and read its answer.

        Raises
        ------
        Unreachable
            No connection, silence, cut off, or the budget of time is used up.
        FhirError
            The answer is too large or leads elsewhere, or the address must not be used.
        """
        self._refuse_unsafe(url)
        try:
            with self._client.stream(
                method, url, headers=dict(headers), content=content, timeout=budget.timeout()
            ) as response:
                body = _read(response, budget)
        except httpx2.TimeoutException as error:
            raise Unreachable("no answer in time") from error
        except httpx2.ConnectError as error:
            raise Unreachable(f"no connection ({error})") from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise Unreachable(f"the connection broke off ({type(error).__name__})") from error
        except httpx2.InvalidURL as error:
            raise FhirError(0, "a link that is no URL") from error
        if 300 <= response.status_code < 400:
            raise FhirError(response.status_code, "the server leads elsewhere; redirects are not followed")
        return Answer(response.status_code, body, response.headers.get("Retry-After", ""))

    def _refuse_unsafe(self, url: str) -> None:
        try:
            parts = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise FhirError(0, "a link that is no URL") from error
        if parts.scheme == "https" or (parts.scheme == "http" and (self._allow_plain or is_loopback(parts.host))):
            return
        raise FhirError(0, "only https leaves this machine (allow_plain_http)")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, by its name or number alone; nothing is looked up."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def retry_after_s(value: str, now: datetime | None = None) -> float:
    """Return the seconds that a Retry-After header asks for; infinity for what is none (RFC 9110 section 10.2.3)."""
    if value.strip().isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return math.inf
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


def _read(response: httpx2.Response, budget: Budget) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes(65536):
        budget.spend(len(chunk))
        budget.remaining_s()
        body += chunk
    return bytes(body)


def _no_constant(name: str) -> float:
    raise ValueError(name)
