"""One message: what changes because of it, or why nothing does. Pure; ``listener.py`` has the sockets."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from hl7_emr.codes import STANDARD_CODES, Vocabulary
from hl7_emr.domain import Item, PartialDate, Status
from hl7_emr.errors import MessageError
from hl7_emr.hl7v2 import orders, patients
from hl7_emr.hl7v2.acknowledgement import SentHeader, sent_header
from hl7_emr.hl7v2.datatypes import coded, identifiers
from hl7_emr.hl7v2.message import Message, Segment, read
from hl7_emr.hl7v2.statements import statements
from hl7_emr.stores import Change, Forget, PatientUpdate, Received

# MSH-3 of messages that ``synth/`` makes up: a patient of whom one was taken is a made-up one
SYNTHETIC_APPLICATION = "EMERALD-SYNTHETIC"
_ORDERS = ("ORM", "OMI", "OMG")
_KINDS = ("ADT", *_ORDERS, "ORU")
# Events that name two patients and join nothing (swapped beds, links, moved accounts), or none at all.
_NO_CHANGE = frozenset({"A17", "A20", "A24", "A37", "A44"})
# HL7 table 0074: what of OBR-24 is imaging. Empty: not said.
_IMAGING_SECTIONS = frozenset({"", "RAD", "RX", "CT", "CTH", "NMR", "NMS", "RUS", "CUS", "OUS", "VUS", "XRC", "IMG"})


@dataclass(frozen=True)
class Rules:
    """What a site has settled.

    Attributes
    ----------
    accession_fields : sequence of str
        Where the accession number is, best first.
    processing_ids : sequence of str
        MSH-11 that are taken; empty: all.
    vocabulary : Vocabulary
        The codes that are understood, the site's own among them.
    """

    accession_fields: Sequence[str] = orders.DEFAULT_ACCESSION_FIELDS
    processing_ids: Sequence[str] = ()
    vocabulary: Vocabulary = STANDARD_CODES


@dataclass(frozen=True)
class Examined:
    """A message after examination: what to keep, and what was wrong with it."""

    header: SentHeader
    received: Received
    error: MessageError | None = None


def examine(content: bytes, peer: str, at: datetime, rules: Rules) -> Examined:
    """Find out what a message changes; whatever the bytes are, there is a result and no exception."""
    header = sent_header(content)
    try:
        changes, error = changes_of(read(content), rules), None
    except MessageError as wrong:
        changes, error = (), wrong
    return Examined(header, _received(header, content, peer, at, changes, error), error)


def refuse(content: bytes, peer: str, at: datetime, error: MessageError) -> Examined:
    """Return the result for bytes that are not to be examined at all."""
    header = sent_header(content)
    return Examined(header, _received(header, content, peer, at, (), error), error)


def _received(
    header: SentHeader,
    content: bytes,
    peer: str,
    at: datetime,
    changes: tuple[Change, ...],
    error: MessageError | None,
) -> Received:
    sender = b"|".join((header.get(3), header.get(4))).decode("latin-1")
    return Received(
        sender=sender,
        control_id=header.get(10).decode("latin-1").strip(),
        digest=hashlib.sha256(content.strip(b"\r\n")).hexdigest(),
        at=at,
        peer=peer,
        changes=changes,
        refused=str(error) if error else "",
        content=content if error else b"",
    )


def changes_of(message: Message, rules: Rules) -> tuple[Change, ...]:
    """Return what a message changes, in order.

    Raises
    ------
    MessageError
        The message is of a kind or version that is not taken, or lacks what it needs.
    """
    _check_header(message, rules)
    return tuple(_changes(message, rules))


def _check_header(message: Message, rules: Rules) -> None:
    if message.kind not in _KINDS:
        raise MessageError("MSH-9", "this message type is not taken here", rejected=True)
    version = message.header.part(12)
    if version and not version.startswith("2"):
        raise MessageError("MSH-12", "this version is not supported", rejected=True)
    if rules.processing_ids and message.header.part(11).upper() not in rules.processing_ids:
        raise MessageError("MSH-11", "this processing id is not taken here", rejected=True)


def _changes(message: Message, rules: Rules) -> Iterator[Change]:
    if message.kind == "ADT" and message.event in _NO_CHANGE:
        return
    if message.kind == "ADT" and message.event in patients.MERGES:
        yield from _merge(message, rules)
        return
    segment = patients.sole_patient(message)
    if message.kind == "ADT" and message.event in patients.FORGETS:
        yield Forget(patients.patient(segment).identifiers)
        for prior in message.all("MRG"):
            yield Forget(identifiers(prior, 1))
        return
    update = _update(message, segment, (*statements(message, rules.vocabulary), *_prior_imaging(message)))
    yield update
    if message.kind in _ORDERS:
        for order in orders.orders(message, update.patient, update.items, rules.accession_fields):
            useful = order.order.accession_number or order.order.study_instance_uid
            if useful and order.section in _IMAGING_SECTIONS:
                yield order.order


def _merge(message: Message, rules: Rules) -> Iterator[Change]:
    yield from patients.merges(message)
    persons = message.all("PID")
    for segment in persons:
        # facts beside several patients belong to no one for certain
        yield _update(message, segment, statements(message, rules.vocabulary) if len(persons) == 1 else ())


def _update(message: Message, segment: Segment, items: tuple[Item, ...]) -> PatientUpdate:
    return PatientUpdate(
        patient=patients.patient(segment),
        cleared=patients.cleared(segment),
        items=items,
        said_at=patients.said_at(message),
        source=f"HL7 v2 message {message.control_id}, PID",
        synthetic=message.header.part(3) == SYNTHETIC_APPLICATION,
    )


def _prior_imaging(message: Message) -> Iterator[Item]:
    """Of a result, the examination itself: the record lists earlier imaging."""
    if message.kind != "ORU":
        return
    for segment in message.all("OBR"):
        procedure = next(iter(coded(segment.value(4))), None)
        if procedure is None or segment.part(24).upper() not in _IMAGING_SECTIONS - {""}:
            continue
        status = Status.WITHDRAWN if segment.part(25).upper() == "X" else Status.FINAL
        source = f"HL7 v2 message {message.control_id}, OBR {segment.part(1) or '1'}"
        key = f"OBR {segment.part(3) or segment.part(2)} {procedure.code}"
        words = procedure.display or procedure.code
        on = PartialDate.parse(segment.part(7))
        yield Item("prior_imaging", words, source, on, procedure, status, key=key)
