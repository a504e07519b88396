"""How what is known changes with each message. Pure: stores call it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hl7_emr.domain import Identifier, ImagingOrder, Item, Patient
from hl7_emr.stores import KnownPatient, Merge, PatientUpdate, RecordStore

_MERGES_FOLLOWED = 10


def key_of(identifier: Identifier) -> tuple[str, str]:
    """Return what an identifier is kept under: who issued it, and its value. The universal ID outweighs the name."""
    issuer = identifier.universal_id or identifier.namespace
    return issuer.strip().casefold(), identifier.value.strip()


def updated(known: KnownPatient | None, update: PatientUpdate) -> KnownPatient:
    """Return what is known after a message about a patient.

    An empty field of the message changes nothing, an explicit null deletes. A message made before the one that the
    demographics come from adds only facts that nothing newer speaks of. One about an identifier that was merged into
    another changes nothing.
    """
    if known is not None and known.replaced_by:
        return known  # a late message, under a number that is no patient's any more
    if known is None:
        return KnownPatient(
            update.patient, update.items, update.said_at, source=update.source, synthetic=update.synthetic
        )
    synthetic = known.synthetic or update.synthetic
    stale = known.said_at is not None and update.said_at is not None and update.said_at < known.said_at
    if stale:
        return replace(known, items=_joined(update.items, known.items), synthetic=synthetic)
    return KnownPatient(
        _renewed_patient(known.patient, update),
        _joined(known.items, update.items),
        update.said_at,
        source=update.source,
        synthetic=synthetic,
    )


def _renewed_patient(before: Patient, update: PatientUpdate) -> Patient:
    now = update.patient
    return Patient(
        identifiers=now.identifiers,
        names=now.names or (() if "names" in update.cleared else before.names),
        birth_date=now.birth_date or (None if "birth_date" in update.cleared else before.birth_date),
        sex=now.sex or ("" if "sex" in update.cleared else before.sex),
    )


def _joined(older: Iterable[Item], newer: Iterable[Item]) -> tuple[Item, ...]:
    """Put facts one after the other; under each key and name only the last stays."""
    kept: dict[object, Item] = {}
    for item in (*older, *newer):
        where = (item.key, item.name) if item.key else item
        kept.pop(where, None)
        kept[where] = item
    return tuple(kept.values())


def merged(
    prior: KnownPatient | None, survivor: KnownPatient | None, merge: Merge
) -> tuple[KnownPatient, KnownPatient]:
    """Return what is known after a merge: of the prior identifier, and of the surviving one.

    The survivor's demographics stay; where there were none, the prior ones are not taken over: the message that
    merges says nothing about which of them are right.
    """
    items = prior.items if prior else ()
    synthetic = any(each.synthetic for each in (prior, survivor) if each)
    kept = replace(survivor, replaced_by=()) if survivor else KnownPatient(Patient(identifiers=merge.surviving))
    gone = KnownPatient(Patient(identifiers=merge.prior), replaced_by=merge.surviving)
    return gone, replace(kept, items=_joined(items, kept.items), synthetic=synthetic)


def pairs(merge: Merge) -> Iterator[tuple[Identifier, Identifier]]:
    """Yield which prior identifier became which surviving one: that of the same authority.

    An identifier whose authority the survivor does not have became the survivor's first one.
    """
    for prior in merge.prior:
        issuer = key_of(prior)[0]
        same = (survivor for survivor in merge.surviving if key_of(survivor)[0] == issuer)
        survivor = next(same, merge.surviving[0])
        if key_of(survivor) != key_of(prior):
            yield prior, survivor


def same_order(one: ImagingOrder, other: ImagingOrder) -> bool:
    """Tell whether two messages speak of one order: the same accession number and study, and the same patient."""
    ours, theirs = ({key_of(each) for each in order.patient.identifiers} for order in (one, other))
    studies = {order.study_instance_uid for order in (one, other)} - {""}
    return one.accession_number == other.accession_number and len(studies) <= 1 and bool(ours & theirs)


def renewed(before: ImagingOrder | None, now: ImagingOrder) -> ImagingOrder:
    """Return an order after a further message about it: what the message leaves empty stays."""
    if before is None:
        return now
    kept = {
        name: getattr(before, name)
        for name in ImagingOrder.__dataclass_fields__
        if not getattr(now, name) and getattr(before, name)
    }
    return replace(now, **kept)


def surviving(identifiers: Iterable[Identifier], records: RecordStore) -> tuple[Identifier, ...]:
    """Follow merges: return the identifiers that a patient has now, the given ones first."""
    found = list(dict.fromkeys(identifiers))
    for identifier in found[:]:
        known = records.known(identifier)
        for _ in range(_MERGES_FOLLOWED):
            if known is None or not known.replaced_by:
                break
            found += [each for each in known.replaced_by if each not in found]
            known = records.known(known.replaced_by[0])
    return tuple(found)
