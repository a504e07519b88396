"""Settings -> where the patient's record is looked up."""

from collections.abc import Iterator
from contextlib import contextmanager

from dicom_node.emr_store import EmrStore
from dicom_node.errors import SettingsError
from dicom_node.jobs.store import Store
from dicom_node.settings import FhirSettings, Settings
from hl7_emr.fhir.client import Endpoint, FhirClient
from hl7_emr.fhir.http import Http, Limits, Tls
from hl7_emr.fhir.smart import Authorization, BackendServices, FixedAuthorization, SmartClient
from hl7_emr.fhir.source import FhirSource
from hl7_emr.records import Records


@contextmanager
def open_records(settings: Settings, store: Store | None) -> Iterator[Records]:
    """Yield all sources of records that are configured; connections are closed at the end.

    Parameters
    ----------
    store : Store or None
        The ledger with what HL7 v2 messages have said; None: not asked.

    Raises
    ------
    SettingsError
        A key or certificate cannot be read.
    """
    emr = settings.emr
    authorities = {each.name: each.uri for each in emr.authorities}
    messages = EmrStore(store) if store is not None else None
    if not emr.fhir.base_url:
        yield Records(messages, None, authorities, emr.default_issuer)
        return
    http = _http(emr.fhir)
    try:
        source = FhirSource(fhir_client(emr.fhir, http), authorities)
        yield Records(messages, source, authorities, emr.default_issuer)
    finally:
        http.close()


def fhir_client(settings: FhirSettings, http: Http) -> FhirClient:
    """Return the client of the configured server."""
    limits = Limits(total_s=settings.budget_s, max_bytes=settings.max_answer_mb * 2**20)
    endpoint = Endpoint(settings.base_url, limits, settings.post_searches)
    return FhirClient(endpoint, http, _authorization(settings))


def _http(settings: FhirSettings) -> Http:
    try:
        return Http(
            Tls(settings.server_authority, settings.certificate, settings.key), allow_plain=settings.allow_plain_http
        )
    except OSError as error:
        raise SettingsError("emr.fhir.certificate", f"cannot be used: {error}") from error


def _authorization(settings: FhirSettings) -> Authorization:
    smart = settings.smart
    if not smart.client_id:
        return FixedAuthorization(settings.authorization)
    if smart.private_key is None:
        raise SettingsError("emr.fhir.smart.private_key", "is missing")
    try:
        key = smart.private_key.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("emr.fhir.smart.private_key", "cannot be read") from error
    registered = SmartClient(
        smart.client_id, key, smart.key_id, smart.algorithm, token_url=smart.token_url, scopes=smart.scopes
    )
    return BackendServices(settings.base_url, registered)
