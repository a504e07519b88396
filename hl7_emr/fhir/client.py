"""Speaks FHIR R4 with one server: searches with their pages, single resources, transactions.

A search is read whole or not at all: half of a list is not "not documented". Pages are followed on the server's own
origin only, so that no token and no question leaves it.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin

import httpx2

from hl7_emr.errors import FhirError
from hl7_emr.fhir.elements import Json, as_list, as_object
from hl7_emr.fhir.http import Answer, Budget, Http, Limits, retry_after_s
from hl7_emr.fhir.smart import Authorization, FixedAuthorization

_FHIR_JSON = "application/fhir+json"
_FORM = "application/x-www-form-urlencoded"
_TRIES = 3


@dataclass(frozen=True)
class Endpoint:
    """Where a server is, and how it is asked.

    Attributes
    ----------
    base_url : str
        Such as ``https://fhir.hospital.example/r4``.
    post_searches : bool
        Search by POST, so that no identifier stands in a URL that the server or a proxy logs.
    """

    base_url: str
    limits: Limits = field(default_factory=Limits)
    post_searches: bool = False


class FhirClient:
    """One FHIR server."""

    def __init__(
        self,
        endpoint: Endpoint,
        http: Http,
        authorization: Authorization | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = endpoint.base_url.rstrip("/") + "/"
        self._http = http
        self._authorization = authorization or FixedAuthorization()
        self._limits = endpoint.limits
        self._post_searches = endpoint.post_searches
        self._clock = clock
        self._sleep = sleep

    @property
    def base_url(self) -> str:
        """The server's address, with a slash at its end."""
        return self._base_url

    def budget(self) -> Budget:
        """Return the budget of one lookup, whose time begins now."""
        return Budget(self._limits, self._clock)

    def search(self, resource_type: str, parameters: Mapping[str, str], budget: Budget) -> list[Json]:
        """Return all resources of this type that the server says match, each once, in its order.

        Raises
        ------
        Unreachable, FhirError
            Any page could not be had.
        """
        found: dict[object, Json] = {}
        for bundle in self._pages(resource_type, parameters, budget):
            for resource in _matches(bundle, resource_type):
                found.setdefault(resource.get("id") or len(found), resource)
        return list(found.values())

    def read(self, reference: str, budget: Budget) -> Json | None:
        """Return the resource of a reference, relative or on this server; None: it is not there."""
        url = self._own(self._base_url, reference, "a reference")
        try:
            return self._ask("GET", url, budget)
        except FhirError as error:
            if error.status in (404, 410):
                return None
            raise

    def capabilities(self, budget: Budget) -> str:
        """Return what the server says it is: its software and its FHIR version.

        Raises
        ------
        Unreachable, FhirError
            It does not answer as a FHIR R4 server.
        """
        said = self._ask("GET", f"{self._base_url}metadata", budget)
        version = str(said.get("fhirVersion", "no version"))[:20]
        if said.get("resourceType") != "CapabilityStatement" or not version.startswith("4."):
            raise FhirError(0, f"the server speaks FHIR {version}, not R4")
        software = str(as_object(said.get("software")).get("name", "a server"))[:60]
        return f"{software}, FHIR {version}"

    def transaction(self, bundle: Json, budget: Budget) -> list[str]:
        """Send a transaction; all of it happens, or nothing.

        Returns
        -------
        list of str
            Where each entry's resource lies, such as ``"Observation/17/_history/1"``; empty where it is not said.

        Raises
        ------
        Unreachable, FhirError
            It is not known to have happened. To send it again is safe: it is idempotent.
        """
        answer = self._ask("POST", self._base_url.rstrip("/"), budget, json.dumps(bundle).encode(), _FHIR_JSON)
        if answer.get("type") != "transaction-response":
            raise FhirError(0, "the answer to a transaction is no transaction-response")
        responses = [as_object(entry).get("response") for entry in as_list(answer.get("entry"))]
        statuses = [str(as_object(response).get("status", "")) for response in responses]
        if len(statuses) != len(bundle["entry"]) or not all(status.startswith("2") for status in statuses):
            raise FhirError(0, "the transaction was answered without success of each entry")
        return [self._relative(str(as_object(response).get("location", ""))) for response in responses]

    def _relative(self, location: str) -> str:
        return location.removeprefix(self._base_url)

    def _pages(self, resource_type: str, parameters: Mapping[str, str], budget: Budget) -> Iterator[Json]:
        bundle = self._first_page(resource_type, parameters, budget)
        seen: set[str] = set()
        url = self._base_url
        while True:
            if bundle.get("resourceType") != "Bundle":
                raise FhirError(0, f"a search was answered with {_outcome_words(bundle)}")
            yield bundle
            following = _next_link(bundle)
            if following is None:
                return
            url = self._own(url, following, "the next page")
            if url in seen or len(seen) + 1 >= budget.limits.max_pages:
                raise FhirError(0, f"the pages of a search repeat, or are more than {budget.limits.max_pages}")
            seen.add(url)
            bundle = self._ask("GET", url, budget)

    def _first_page(self, resource_type: str, parameters: Mapping[str, str], budget: Budget) -> Json:
        """Ask strictly, so that an unknown parameter is no silent wildcard; where that is refused, leniently."""
        try:
            return self._search_once(resource_type, parameters, budget, "handling=strict")
        except FhirError as error:
            if error.status != 400:
                raise
            return self._search_once(resource_type, parameters, budget, "handling=lenient")

    def _search_once(self, resource_type: str, parameters: Mapping[str, str], budget: Budget, prefer: str) -> Json:
        query = urlencode(parameters)
        if self._post_searches:
            url = f"{self._base_url}{resource_type}/_search"
            return self._ask("POST", url, budget, query.encode(), _FORM, prefer)
        return self._ask("GET", f"{self._base_url}{resource_type}?{query}", budget, prefer=prefer)

    def _ask(
        self,
        method: str,
        url: str,
        budget: Budget,
        content: bytes | None = None,
        content_type: str = "",
        prefer: str = "",
    ) -> Json:
        headers = {"Accept": _FHIR_JSON, "Content-Type": content_type, "Prefer": prefer}
        answer = self._answer(method, url, budget, headers, content)
        if answer.status not in (200, 201):
            raise FhirError(answer.status, _reason(answer))
        resource = answer.json()
        if not isinstance(resource.get("resourceType"), str):
            raise FhirError(0, "the answer is no FHIR resource")
        return resource

    def _answer(
        self, method: str, url: str, budget: Budget, headers: Mapping[str, str], content: bytes | None
    ) -> Answer:
        """Ask again where that helps: once with a new token, and after a short wait that the server asked for."""
        renewed = False
        for _ in range(_TRIES):
            token = self._authorization.value(self._http, budget)
            sent = {name: value for name, value in {**headers, "Authorization": token}.items() if value}
            answer = self._http.exchange(method, url, budget, sent, content)
            if answer.status == 401 and not renewed and self._authorization.renew():
                renewed = True
            elif answer.status in (429, 503):
                wait_s = retry_after_s(answer.retry_after)
                if wait_s > min(budget.limits.max_retry_after_s, budget.remaining_s()):
                    return answer
                self._sleep(wait_s)
            else:
                return answer
        return answer

    def _own(self, relative_to: str, link: str, what: str) -> str:
        """Resolve a link, and refuse what is not on this server: scheme, host and port."""
        try:
            url = urljoin(relative_to, link)
            ours, theirs = httpx2.URL(self._base_url), httpx2.URL(url)
        except (ValueError, httpx2.InvalidURL) as error:
            raise FhirError(0, f"{what} is no URL") from error
        if _origin(ours) != _origin(theirs) or theirs.userinfo:
            raise FhirError(0, f"{what} is on another server")
        return url


def escaped(value: str) -> str:
    """Return a value for a search parameter, where ``, | $`` and the backslash have a meaning."""
    return "".join(f"\\{c}" if c in "\\,|$" else c for c in value)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _matches(bundle: Json, resource_type: str) -> Iterator[Json]:
    """Yield the matches of a page; what a server adds (outcomes, included resources) and broken rows are left out."""
    for entry in as_list(bundle.get("entry")):
        resource, search = as_object(entry).get("resource"), as_object(as_object(entry).get("search"))
        if search.get("mode", "match") == "match" and as_object(resource).get("resourceType") == resource_type:
            yield as_object(resource)


def _next_link(bundle: Json) -> str | None:
    for link in as_list(bundle.get("link")):
        if as_object(link).get("relation") == "next" and isinstance(as_object(link).get("url"), str):
            return str(link["url"])
    return None


def _reason(answer: Answer) -> str:
    try:
        return _outcome_words(answer.json())
    except FhirError:
        return "no FHIR answer"


def _outcome_words(resource: Json) -> str:
    """Return the codes of an OperationOutcome; its texts may hold what we asked for, a patient's identifier."""
    if resource.get("resourceType") != "OperationOutcome":
        return str(resource.get("resourceType", "no resource"))[:40]
    codes = [str(as_object(issue).get("code", "unknown")) for issue in as_list(resource.get("issue"))]
    return "OperationOutcome " + ", ".join(dict.fromkeys(codes))[:200]
