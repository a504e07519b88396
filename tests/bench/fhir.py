"""How long a lookup takes: a real FHIR server on this machine, SMART on, with a patient of the shared bundles."""

import json
import statistics
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from hl7_emr.domain import Identifier, PartialDate, Patient, PersonName
from hl7_emr.fhir.client import Endpoint, FhirClient
from hl7_emr.fhir.http import Http
from hl7_emr.fhir.smart import BackendServices
from hl7_emr.fhir.source import FhirSource
from tests.support.fhir_bundles import Json, index, synthea
from tests.support.fhir_server import SEKMET, FhirServer

_LOOKUPS = 30
_SYSTEM = "urn:oid:1.2.276.0.76.3.1.1"
_STUDIED_ON = date(2021, 5, 4)


@dataclass(frozen=True)
class Latency:
    """Seconds from question to record, and how much the server holds of the patient."""

    seconds: list[float]
    n_resources: int

    @property
    def median_ms(self) -> float:
        """The middle one."""
        return 1000 * statistics.median(self.seconds)

    @property
    def worst_ms(self) -> float:
        """The longest one."""
        return 1000 * max(self.seconds)


def measure() -> Latency | None:
    """Look one patient up many times; None without the server or the shared bundles."""
    if not index() or not Path(SEKMET).exists():
        return None
    bundle = json.loads((synthea() / index()[0]["file"]).read_text())
    person = bundle["entry"][0]["resource"]
    person["identifier"].append({"system": _SYSTEM, "value": "CT-000"})
    with TemporaryDirectory() as folder, FhirServer(Path(folder)) as server, closing(Http()) as http:
        server.load(bundle)
        authorization = BackendServices(server.base_url, server.smart)
        source = FhirSource(FhirClient(Endpoint(server.base_url), http, authorization), {"HOSP": _SYSTEM})
        _lookup(source, person)  # the first one gets the token
        return Latency([_lookup(source, person) for _ in range(_LOOKUPS)], len(bundle["entry"]))


def _lookup(source: FhirSource, person: Json) -> float:
    asked = _asked(person)
    start = time.perf_counter()
    found = source.lookup(asked, _STUDIED_ON)
    seconds = time.perf_counter() - start
    if found.record is None or found.record.smoking_status is None:
        raise RuntimeError("the server's record was not used")
    return seconds


def _asked(person: Json) -> Patient:
    return Patient(
        (Identifier("CT-000", namespace="HOSP"),),
        (PersonName(person["name"][0]["family"], tuple(person["name"][0]["given"])),),
        PartialDate.parse(person["birthDate"]),
        person["gender"][0].upper(),
    )
