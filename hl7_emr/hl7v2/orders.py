"""ORC, OBR, IPC, ZDS: the orders of a message."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hl7_emr.domain import EntityIdentifier, ImagingOrder, Item, Patient
from hl7_emr.hl7v2.datatypes import coded, entity
from hl7_emr.hl7v2.message import Message, Segment

# Where sites put the accession number, best first: IHE RAD-4 has it in IPC-1 (OMI) and OBR-18 (ORM).
DEFAULT_ACCESSION_FIELDS = ("IPC-1", "OBR-18", "OBR-3", "ORC-3")


@dataclass
class _Group:
    """The segments of one order."""

    segments: dict[str, Segment] = field(default_factory=dict)

    def part(self, name: str, number: int, component: int = 1) -> str:
        segment = self.segments.get(name)
        return segment.part(number, component) if segment else ""


@dataclass(frozen=True)
class FoundOrder:
    """An order, and the diagnostic section that is to fill it (OBR-24, table 0074; empty: not said)."""

    order: ImagingOrder
    section: str


def orders(
    message: Message,
    patient: Patient,
    items: tuple[Item, ...],
    accession_fields: Sequence[str] = DEFAULT_ACCESSION_FIELDS,
) -> tuple[FoundOrder, ...]:
    """Return the orders of a message, one for each ORC or OBR group.

    Parameters
    ----------
    items : tuple of Item
        What the message says of the patient; all its orders carry it.
    accession_fields : sequence of str
        Where to look for the accession number, best first, as ``"OBR-18"``.
    """
    return tuple(
        FoundOrder(_order(group, message, patient, items, accession_fields), group.part("OBR", 24).upper())
        for group in _groups(message)
    )


def _groups(message: Message) -> Iterator[_Group]:
    """Divide the message: an ORC begins an order; so does an OBR that has no ORC of its own before it."""
    current: _Group | None = None
    for segment in message.segments:
        begins = segment.name == "ORC" or (segment.name == "OBR" and (current is None or "OBR" in current.segments))
        if begins:
            if current is not None:
                yield current
            current = _Group()
        if current is not None:
            current.segments.setdefault(segment.name, segment)
    if current is not None:
        yield current


def _order(
    group: _Group, message: Message, patient: Patient, items: tuple[Item, ...], accession_fields: Sequence[str]
) -> ImagingOrder:
    procedure = coded(group.segments["OBR"].value(4)) if "OBR" in group.segments else ()
    return ImagingOrder(
        accession_number=next(filter(None, (_at(group, address) for address in accession_fields)), ""),
        patient=patient,
        placer_order_number=_number(group, 2),
        filler_order_number=_number(group, 3),
        study_instance_uid=_study_instance_uid(group),
        procedure=next(iter(procedure), None),
        control=group.part("ORC", 1).upper(),
        status=group.part("ORC", 5) or group.part("OBR", 25),
        reason=group.part("OBR", 31, 2) or group.part("OBR", 31),
        clinical_information=group.part("OBR", 13),
        scheduled_at=group.part("OBR", 36) or group.part("ORC", 15),
        items=items,
        control_id=message.control_id,
        sending_application=message.header.part(3),
        sending_facility=message.header.part(4),
    )


def _at(group: _Group, address: str) -> str:
    name, _, number = address.partition("-")
    return group.part(name, int(number))


def _number(group: _Group, field_number: int) -> EntityIdentifier | None:
    for name in ("ORC", "OBR"):
        segment = group.segments.get(name)
        if segment and (found := entity(segment.value(field_number))):
            return found
    return None


def _study_instance_uid(group: _Group) -> str:
    """IPC-3 (OMI^O23), or ZDS-1 of IHE for ORM^O01: a reference pointer whose first component is the UID."""
    return group.part("IPC", 3) or group.part("ZDS", 1)
