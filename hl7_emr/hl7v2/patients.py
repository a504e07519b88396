"""PID and MRG: who the message is about, what it says anew, and who turned out to be whom."""

from collections.abc import Iterator
from datetime import datetime

from hl7_emr.domain import Identifier, PartialDate, Patient
from hl7_emr.errors import MessageError
from hl7_emr.hl7v2.datatypes import identifiers, person_names, timestamp
from hl7_emr.hl7v2.message import Message, Segment
from hl7_emr.stores import Merge

# Merges of whole patients; A46 and A47 give one patient another identifier, which comes to the same for us.
MERGES = frozenset({"A18", "A30", "A34", "A36", "A39", "A40", "A46", "A47"})
# What moves only in part (A43), or is deleted (A23 is a visit, A29 a person): what is known is forgotten, to be safe.
FORGETS = frozenset({"A29", "A43"})


def patient(segment: Segment) -> Patient:
    """Read a PID.

    Other and unknown sexes are no sex for a risk model. PID-2 and PID-4, which older versions use for further
    identifiers, count where PID-3 is empty.
    """
    found = identifiers(segment, 3) or identifiers(segment, 2) or identifiers(segment, 4)
    sex = segment.part(8).upper()
    return Patient(
        identifiers=found,
        names=person_names(segment, 5) + person_names(segment, 9),
        birth_date=PartialDate.parse(segment.part(7)),
        sex=sex if sex in ("F", "M") else "",
    )


def cleared(segment: Segment) -> frozenset[str]:
    """Return the fields of ``Patient`` that the message deletes by an explicit null, or by saying unknown."""
    nulls = {name for name, number in (("names", 5), ("birth_date", 7), ("sex", 8)) if segment.value(number).null}
    if segment.part(8) and segment.part(8).upper() not in ("F", "M"):
        nulls.add("sex")
    return frozenset(nulls)


def sole_patient(message: Message) -> Segment:
    """Return the PID of a message about one patient.

    Raises
    ------
    MessageError
        There is none, it has no identifier, or several PIDs name different patients.
    """
    found = message.all("PID")
    if not found:
        raise MessageError("PID", "the message has no PID segment")
    first = patient(found[0])
    if not first.identifiers:
        raise MessageError("PID-3", "there is no patient identifier")
    if any(patient(other).identifiers != first.identifiers for other in found[1:]):
        raise MessageError("PID", "the message holds several patients; send one message for each")
    return found[0]


def merges(message: Message) -> tuple[Merge, ...]:
    """Read the pairs of PID and MRG.

    Raises
    ------
    MessageError
        A pair lacks one of its sides.
    """
    found = tuple(_merges(message))
    if not found:
        raise MessageError("MRG", "the message has no MRG segment")
    return found


def _merges(message: Message) -> Iterator[Merge]:
    survivor: tuple[Identifier, ...] = ()
    for segment in message.segments:
        if segment.name == "PID":
            survivor = patient(segment).identifiers
        elif segment.name == "MRG":
            prior = identifiers(segment, 1) or identifiers(segment, 4)
            if not survivor or not prior:
                raise MessageError("MRG-1" if survivor else "PID-3", "there is no patient identifier")
            yield Merge(prior, survivor)


def said_at(message: Message) -> datetime | None:
    """Return when the message was made (MSH-7, else EVN-2)."""
    event = message.first("EVN")
    return timestamp(message.header.part(7)) or (timestamp(event.part(2)) if event else None)
