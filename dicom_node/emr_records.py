"""Settings -> where the patient's record is looked up, and the question for it while a study is analysed."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import partial

from pydicom import Dataset

from dicom_node import report
from dicom_node.emr_store import EmrStore
from dicom_node.emr_vocabulary import vocabulary
from dicom_node.errors import SettingsError
from dicom_node.imaging_report import patient_of, study_date
from dicom_node.jobs.store import Store
from dicom_node.record_used import UNAVAILABLE, USED, RecordUsed, united
from dicom_node.settings import FhirSettings, Settings
from hl7_emr.domain import Patient
from hl7_emr.fhir.client import Endpoint, FhirClient
from hl7_emr.fhir.http import Http, Limits, Tls
from hl7_emr.fhir.smart import Authorization, BackendServices, FixedAuthorization, SmartClient
from hl7_emr.fhir.source import FhirSource
from hl7_emr.records import SILENT, Lookup, Records

_LOG = logging.getLogger(__name__)
# To open connections and to ask the ledger; the rest of the time is the server's.
_GRACE_S = 2.0
_WRITES = ("Device", "ImagingStudy", "Observation", "RiskAssessment", "DiagnosticReport", "Provenance")

# Begins to ask for the patient of a header, under a called AE title; what is returned waits for the answer.
Ask = Callable[[Dataset, str], Callable[[], RecordUsed]]


def asking(settings: Settings, store: Store) -> Ask | None:
    """Return how the record is asked for; None: no source is configured.

    Raises
    ------
    SettingsError
        A code of the site cannot mean what is set.
    """
    vocabulary(settings.emr)  # said at start, not with the first study
    return partial(_begin, settings, store) if settings.emr.asks_somebody else None


def _begin(settings: Settings, store: Store, header: Dataset, called_ae_title: str) -> Callable[[], RecordUsed]:
    """Ask on a thread of its own, so that the answer comes while the pixels are read."""
    answer: Future[Lookup] = Future()
    until = time.monotonic() + settings.emr.fhir.budget_s + _GRACE_S
    asked, studied_on = patient_of(header), study_date(header)
    threading.Thread(target=_ask, args=(settings, store, asked, studied_on, answer), name="record", daemon=True).start()

    def wait() -> RecordUsed:
        of_images = report.record_from_header(header)
        try:
            found = answer.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            return RecordUsed(of_images, UNAVAILABLE, "record not used: no source of records answered in time")
        except Exception as error:  # whatever it is: the images are analysed without the record, and the report says so
            _LOG.warning("no record: %s", type(error).__name__, exc_info=error)
            words = f"record not used: the sources of records could not be asked ({type(error).__name__})"
            return RecordUsed(of_images, UNAVAILABLE, words)
        return _used(RecordUsed(of_images), found, synthetic_allowed=settings.takes_synthetic(called_ae_title))

    return wait


def _ask(settings: Settings, store: Store, asked: Patient, studied_on: date | None, answer: "Future[Lookup]") -> None:
    try:
        with open_records(settings, store if settings.emr.asks_messages else None) as records:
            answer.set_result(records.lookup(asked, studied_on))
    except BaseException as error:
        answer.set_exception(error)


def _used(of_images: RecordUsed, found: Lookup, *, synthetic_allowed: bool) -> RecordUsed:
    notes = found.notes
    if found.record is None:
        reason = found.decision.reason
        if found.unavailable and (reason is None or reason in SILENT):
            words = "record not used: a source of records could not be asked"
            return RecordUsed(of_images.record, UNAVAILABLE, words, notes)
        return RecordUsed(of_images.record, str(reason or UNAVAILABLE), found.decision.words, notes)
    if found.record.synthetic and not synthetic_allowed:
        words = "record not used: it is synthetic, and not all destinations are marked as tests"
        return RecordUsed(of_images.record, "synthetic", words, notes)
    return RecordUsed(united(of_images.record, found.record), USED, "record used: identity confirmed", notes)


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
        A key or certificate cannot be read, or a code of the site cannot mean what is set.
    """
    emr, codes = settings.emr, vocabulary(settings.emr)
    authorities = {each.name: each.uri for each in emr.authorities}
    messages = EmrStore(store) if store is not None else None
    if not emr.fhir.base_url:
        yield Records(messages, None, authorities, emr.default_issuer)
        return
    with open_fhir(emr.fhir) as client:
        fhir = FhirSource(client, authorities, codes, emr.fhir.observation_categories)
        yield Records(messages, fhir, authorities, emr.default_issuer)


@contextmanager
def open_fhir(settings: FhirSettings, *, writes: bool = False) -> Iterator[FhirClient]:
    """Yield the client of a server; its connections are closed at the end.

    Parameters
    ----------
    writes : bool
        Whether results are written there: more is asked for then, where ``smart.scopes`` does not say what.

    Raises
    ------
    SettingsError
        A key or certificate cannot be read.
    """
    limits = Limits(total_s=settings.budget_s, max_bytes=settings.max_answer_mb * 2**20)
    endpoint = Endpoint(settings.base_url, limits, settings.post_searches)
    http = _http(settings)
    try:
        yield FhirClient(endpoint, http, _authorization(settings, writes=writes))
    finally:
        http.close()


def _http(settings: FhirSettings) -> Http:
    try:
        return Http(
            Tls(settings.server_authority, settings.certificate, settings.key), allow_plain=settings.allow_plain_http
        )
    except OSError as error:
        raise SettingsError("emr.fhir.certificate", f"cannot be used: {error}") from error


def _authorization(settings: FhirSettings, *, writes: bool) -> Authorization:
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
    if writes:
        registered = replace(registered, reads=("Patient",), writes=_WRITES)
    return BackendServices(settings.base_url, registered)
