"""The shared bundles of Synthea, and a FHIR server made of a table of answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from hl7_emr.fhir.client import Endpoint, FhirClient
from hl7_emr.fhir.http import Http, Limits
from hl7_emr.fhir.smart import Authorization
from tests.support.data import data_dir

Json = dict[str, Any]
BASE = "https://fhir.example/r4"


def synthea() -> Path:
    """Folder of the shared bundles."""
    return data_dir() / "fhir" / "r4-synthea"


def index() -> list[Json]:
    """Return what the shared index says of each bundle."""
    path = synthea() / "index.json"
    return json.loads(path.read_text()) if path.exists() else []


def resources(name: str) -> list[Json]:
    """Return the resources of a shared bundle."""
    return [entry["resource"] for entry in json.loads((synthea() / name).read_text())["entry"]]


def client(
    handler: Callable[[httpx2.Request], httpx2.Response],
    limits: Limits | None = None,
    authorization: Authorization | None = None,
    **more: Any,
) -> FhirClient:
    """Return a client whose server is a function; it never sleeps."""
    http = Http(transport=httpx2.MockTransport(handler))
    endpoint = Endpoint(BASE, limits or Limits(), post_searches=more.pop("post_searches", False))
    return FhirClient(endpoint, http, authorization, sleep=more.pop("sleep", lambda _: None), **more)


def searchset(*resources: Json, following: str = "", **more: Any) -> Json:
    """Return a page of a search."""
    links = [{"relation": "next", "url": following}] if following else []
    entries = [{"resource": each, "search": {"mode": "match"}} for each in resources]
    return {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries, **more}
