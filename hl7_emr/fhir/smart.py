"""SMART Backend Services: the node signs who it is with its private key, and gets a token for it.

HL7 SMART App Launch 2.2, "Backend Services" and "Client Authentication: Asymmetric"; RFC 7523.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode
from uuid import uuid4

from hl7_emr.errors import FhirError
from hl7_emr.fhir.http import Budget, Http

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFETIME_S = 240  # the profile allows five minutes
_MARGIN_S = 30.0
# scopes of SMART v2 and v1: read and search, create and update
_V2 = ("system/{}.rs", "system/{}.cu")
_V1 = ("system/{}.read", "system/{}.write")


class Authorization(Protocol):
    """What goes into the Authorization header."""

    def value(self, http: Http, budget: Budget) -> str:
        """Return the header's value; may ask a server for it."""

    def renew(self) -> bool:
        """Forget what the server has refused; False: there is nothing newer to be had."""


@dataclass(frozen=True)
class FixedAuthorization:
    """A value from the settings, such as ``Bearer ...`` or ``Basic ...``; empty: none is sent."""

    header: str = field(default="", repr=False)

    def value(self, http: Http, budget: Budget) -> str:
        """Return the value."""
        return self.header

    def renew(self) -> bool:
        """There is no other."""
        return False


@dataclass(frozen=True)
class SmartClient:
    """How the node is registered with the server.

    Attributes
    ----------
    private_key : str
        PEM: RSA for RS384, P-384 for ES384.
    key_id : str
        ``kid`` of the public key as registered.
    token_url : str
        Empty: as ``.well-known/smart-configuration`` of the server says.
    reads, writes : tuple of str
        Resource types; asked for by the scopes of SMART v2, and where the server does not know these, of v1.
    scopes : str
        Instead of these, as they are.
    """

    client_id: str
    private_key: str = field(repr=False)
    key_id: str
    algorithm: str = "RS384"
    token_url: str = ""
    reads: tuple[str, ...] = (
        "Patient",
        "Observation",
        "Condition",
        "FamilyMemberHistory",
        "ImagingStudy",
        "DiagnosticReport",
    )
    writes: tuple[str, ...] = ()
    scopes: str = ""


class BackendServices:
    """Gets tokens and keeps the last one until shortly before it expires.

    Parameters
    ----------
    clock : callable
        Seconds since the epoch.
    new_id : callable
        Makes each assertion unique (``jti``).
    """

    def __init__(
        self,
        base_url: str,
        client: SmartClient,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._base_url = base_url
        self._client = client
        self._clock = clock
        self._new_id = new_id
        self._lock = threading.Lock()
        self._token = ""
        self._expires_at = 0.0
        self._token_url = client.token_url

    def value(self, http: Http, budget: Budget) -> str:
        """Return ``Bearer`` and a token that is still good.

        Raises
        ------
        FhirError
            The server does not know us, or offers no token.
        """
        with self._lock:
            if not self._token or self._clock() >= self._expires_at - _MARGIN_S:
                self._fetch(http, budget)
            return f"Bearer {self._token}"

    def renew(self) -> bool:
        """Forget the token."""
        with self._lock:
            self._token = ""
        return True

    def _fetch(self, http: Http, budget: Budget) -> None:
        self._token_url = self._token_url or self._discover(http, budget)
        if self._client.scopes:
            self._token_for(self._client.scopes, http, budget)
            return
        try:
            self._token_for(self._scopes(*_V2), http, budget)
        except FhirError as error:
            if error.status != 400:
                raise
            self._token_for(self._scopes(*_V1), http, budget)

    def _scopes(self, read: str, write: str) -> str:
        reads = (read.format(each) for each in self._client.reads)
        return " ".join((*reads, *(write.format(each) for each in self._client.writes)))

    def _discover(self, http: Http, budget: Budget) -> str:
        url = f"{self._base_url.rstrip('/')}/.well-known/smart-configuration"
        answer = http.exchange("GET", url, budget, {"Accept": "application/json"})
        token_url = answer.json().get("token_endpoint") if answer.status == 200 else None
        if not isinstance(token_url, str):
            raise FhirError(answer.status, "the server names no token endpoint (.well-known/smart-configuration)")
        return token_url

    def _token_for(self, scopes: str, http: Http, budget: Budget) -> None:
        form = {
            "grant_type": "client_credentials",
            "scope": scopes,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self._assertion(),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        answer = http.exchange("POST", self._token_url, budget, headers, urlencode(form).encode())
        content = answer.json()
        token, lifetime = content.get("access_token"), content.get("expires_in", 300)
        if answer.status != 200 or not isinstance(token, str) or not token.isascii():
            raise FhirError(answer.status, f"no token: {content.get('error', 'no reason given')}")
        self._token = token
        self._expires_at = self._clock() + (float(lifetime) if isinstance(lifetime, int | float) else 300.0)

    def _assertion(self) -> str:
        import jwt  # noqa: PLC0415  cryptography is heavy, and most sites need none

        now = int(self._clock())
        claims = {
            "iss": self._client.client_id,
            "sub": self._client.client_id,
            "aud": self._token_url,
            "iat": now,
            "exp": now + _ASSERTION_LIFETIME_S,
            "jti": self._new_id(),
        }
        headers = {"kid": self._client.key_id}
        return jwt.encode(claims, self._client.private_key, algorithm=self._client.algorithm, headers=headers)
