"""A job's stored report on its way to an EMR: ORU^R01 by MLLP, or a FHIR transaction.

It is built of the stored SR and the stored record, so an attempt that is made again says the same. An HL7 v2 message is
kept in the outbox before it is sent, under a control id of its own for ever; a FHIR transaction changes nothing the
second time.
"""

import asyncio
import hashlib
import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pydicom
from pydicom import Dataset

from dicom_node import report
from dicom_node.domain import Job
from dicom_node.emr_records import open_fhir
from dicom_node.emr_store import EmrStore
from dicom_node.errors import NodeError, ReportDelayed, ReportRefused, SettingsError
from dicom_node.imaging_report import imaging_report
from dicom_node.jobs.store import Store
from dicom_node.record_used import RecordUsed, from_json
from dicom_node.settings import EmrSettings, FhirDestination, FhirSettings, Hl7Destination, Settings
from hl7_emr.domain import ImagingOrder, ImagingReport, InstanceReference, Item, PartialDate, Patient, PatientRecord
from hl7_emr.errors import EmrError
from hl7_emr.fhir.results import Systems, transaction
from hl7_emr.fhir.source import FhirSource
from hl7_emr.hl7v2.client import Connection, Peer
from hl7_emr.hl7v2.results import CONTROL_ID_LENGTH, Addresses, oru
from hl7_emr.hl7v2.sender import Sender
from hl7_emr.hl7v2.service import client_tls
from hl7_emr.identity import Authorities
from hl7_emr.records import order_of, with_issuer
from hl7_emr.synth.guard import check_destination

# how ``hl7_emr.errors.Nak`` begins; the peer's own words follow
_ANSWERED = re.compile(r"answered [A-Z]{2}\b")
_FHIR_REFERENCE = re.compile(r"\b[A-Z][A-Za-z]+/")


def report_of(store: Store, job_id: int, server: str = "", asked_server: str = "") -> ImagingReport:
    """Return the report of a job from its stored SR and the record that it used.

    Parameters
    ----------
    server, asked_server : str
        The FHIR server that is told, and the one that was asked: on another one, what was read is told in words, as its
        references lead nowhere there.

    Raises
    ------
    NodeError
        The job has no SR (yet), or it was removed.
    """
    job, sr = store.job(job_id), _sr(store, job_id)
    segmentations = [
        InstanceReference(each.series_instance_uid, each.sop_class_uid, each.sop_instance_uid)
        for each in store.results(job_id)
        if each.kind == "seg"
    ]
    known = _known(store, job_id, sr)
    if server.rstrip("/") != asked_server.rstrip("/"):
        known = replace(known, record=_in_words(known.record))
    return imaging_report(sr, job, known, segmentations)


def tell(job: Job, destination: Hl7Destination | FhirDestination, settings: Settings, store: Store) -> None:
    """Tell an EMR what the stored report of a job says, and read its answer.

    Raises
    ------
    ReportDelayed
        It could not be told now.
    ReportRefused
        It does not take the report, or must not be told.
    """
    server = destination.base_url if isinstance(destination, FhirDestination) else ""
    made = report_of(store, job.id, server, settings.emr.fhir.base_url)
    asked = with_issuer(made.patient, settings.emr.default_issuer)
    made = replace(made, patient=asked)
    try:
        check_destination(made.record, destination.name, is_test=destination.is_test)
        if isinstance(destination, Hl7Destination):
            _by_mllp(replace(made, order=_order(made, asked, settings.emr, store)), job, destination, store)
        else:
            _by_fhir(made, asked, destination, settings)
    except EmrError as error:
        raise (ReportDelayed if error.transient else ReportRefused)(str(error)) from error


def systems_of(destination: FhirDestination) -> Systems:
    """Return how an EMR names what each site names its own way."""
    return Systems(destination.accession_system, destination.order_system, destination.report_category)


def probe(destination: Hl7Destination | FhirDestination) -> str:
    """Test an EMR without telling it anything; returns what it says of itself.

    Raises
    ------
    NodeError
        It cannot be reached, does not know us, or is no FHIR R4 server.
    """
    if isinstance(destination, FhirDestination):
        return probe_source(destination, writes=True)
    try:
        asyncio.run(_connect(_peer(destination)))
    except EmrError as error:
        raise ReportDelayed(str(error)) from error
    return f"{destination.host}:{destination.port} takes {'TLS ' if destination.tls else ''}connections by MLLP"


def probe_source(server: FhirSettings, *, writes: bool = False) -> str:
    """Test a FHIR server, with the token that it wants; returns what it says of itself.

    Raises
    ------
    NodeError
        As ``probe``.
    """
    try:
        with open_fhir(server, writes=writes) as client:
            return f"{client.capabilities(client.budget())} answers"
    except EmrError as error:
        raise ReportDelayed(str(error)) from error


def _sr(store: Store, job_id: int) -> Dataset:
    stored = next((each for each in store.results(job_id) if each.kind == "sr"), None)
    if stored is None:
        raise NodeError(f"job {job_id} has no report: it is {store.job(job_id).state}")
    try:
        return pydicom.dcmread(stored.path)
    except FileNotFoundError as error:
        raise NodeError(f"job {job_id}: its report was removed, as retention says") from error


def _known(store: Store, job_id: int, sr: Dataset) -> RecordUsed:
    document = store.job_record(job_id)
    return RecordUsed(report.record_from_header(sr)) if document is None else from_json(document)


def _in_words(record: PatientRecord) -> PatientRecord:
    """Return the record with no reference to resources of the server that it was read from."""
    changed: dict[str, Any] = {item.name: _worded(item) for item in record.items() if item.name != "prior_imaging"}
    return replace(record, **changed, prior_imaging=tuple(map(_worded, record.prior_imaging)))


def _worded(item: Item) -> Item:
    return replace(item, source=f"FHIR server, {item.source}") if _FHIR_REFERENCE.match(item.source) else item


def _authorities(emr: EmrSettings) -> Authorities:
    return {each.name: each.uri for each in emr.authorities}


def _order(made: ImagingReport, asked: Patient, emr: EmrSettings, store: Store) -> ImagingOrder | None:
    book = EmrStore(store)
    return order_of(book, asked, made.accession_number, made.study_instance_uid, _authorities(emr))


def _by_mllp(made: ImagingReport, job: Job, destination: Hl7Destination, store: Store) -> None:
    """Keep the message, then send what waits for this EMR, the oldest first, until it has ours."""
    outbox, name = EmrStore(store), destination.name
    store.outbox_withdraw(name, _superseded(job, name, store))
    addresses = Addresses(
        destination.sending_application,
        destination.sending_facility,
        destination.receiving_application,
        destination.receiving_facility,
    )
    control_id = _control_id(made, name)
    number = outbox.add(name, control_id, oru(made, addresses, control_id), store.clock())
    if store.outbox_message(number).dead:  # it was refused, and an operator says: once more
        store.outbox_retry(number, store.clock())
    store.outbox_hurry(name, store.clock())
    asyncio.run(_send(Sender(name, _peer(destination), outbox, store.clock, Random()), store, number))
    sent = store.outbox_message(number)
    if sent.answer is None:
        words = f"{name}: {sent.last_error or 'waits behind an earlier message'}"
        code = _ANSWERED.search(words)
        raise (ReportRefused if sent.dead else ReportDelayed)(words, words[: code.end()] if code else "")


async def _send(sender: Sender, store: Store, number: int) -> None:
    try:
        while not store.outbox_message(number).ended and await sender.send_next():
            pass
    finally:
        await sender.close()


def _superseded(job: Job, name: str, store: Store) -> Iterator[str]:
    """Yield the control ids of the revisions before: what did not reach the EMR is said by this one."""
    while job.predecessor_id is not None:
        job = store.job(job.predecessor_id)
        for each in store.results(job.id):
            if each.kind == "sr":
                yield _control_id_of(each.sop_instance_uid, name)


def _control_id(made: ImagingReport, name: str) -> str:
    return _control_id_of(made.references[0].sop_instance_uid, name)


def _control_id_of(sr_instance_uid: str, name: str) -> str:
    """Return MSH-10: of this report to this EMR only, whatever becomes of the ledger and its numbers."""
    return hashlib.sha256(f"{sr_instance_uid} {name}".encode()).hexdigest()[:CONTROL_ID_LENGTH].upper()


def _peer(destination: Hl7Destination) -> Peer:
    return Peer(
        destination.host,
        destination.port,
        _tls(destination),
        connect_s=destination.connect_timeout_s,
        answer_s=destination.answer_timeout_s,
    )


def _tls(destination: Hl7Destination) -> ssl.SSLContext | None:
    if not destination.tls:
        return None
    try:
        return client_tls(destination.server_authority, destination.certificate, destination.key)
    except OSError as error:
        raise SettingsError(f"emr.destinations.{destination.name}.certificate", f"cannot be used: {error}") from error


async def _connect(peer: Peer) -> None:
    connection = await Connection.open(peer)
    await connection.close()


def _by_fhir(made: ImagingReport, asked: Patient, destination: FhirDestination, settings: Settings) -> None:
    """Send to the record that is confirmed to be this patient's on that server, and to no other."""
    studied_on = made.studied_at.first if isinstance(made.studied_at, PartialDate) else None
    with open_fhir(destination, writes=True) as client:
        decision = FhirSource(client, _authorities(settings.emr)).identify(asked, studied_on)
        if decision.candidate is None:
            words = decision.reason.sentence if decision.reason else "no patient was found"
            raise ReportRefused(f"{destination.name}: identity not confirmed there ({words})")
        subject = decision.candidate.source.split("/_history/")[0]
        client.transaction(transaction(made, subject, systems_of(destination)), client.budget())
