"""READ FIRST: the record of the patient of the images, from all that is configured: messages taken, and a FHIR server.

A source that does not know the patient is silent. One that knows the identifier and finds it to be another person's
speaks against all: then nothing is used.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import Protocol

from hl7_emr import facts, identity
from hl7_emr.domain import Identifier, ImagingOrder, Patient, PatientRecord
from hl7_emr.errors import EmrError
from hl7_emr.fhir.source import FhirSource, Found
from hl7_emr.identity import Authorities, Candidate, Decision, Reason
from hl7_emr.order_book import surviving
from hl7_emr.stores import KnownPatient, OrderStore, RecordStore

# Reasons of a source that does not know the patient, and so says nothing against one that does.
# ISSUER_UNKNOWN: the server names authorities by URI, and the settings have none for this one
SILENT = frozenset({Reason.NOT_FOUND, Reason.IDENTIFIER_NOT_CONFIRMED, Reason.ISSUER_UNKNOWN})
_NO_AUTHORITIES: Authorities = MappingProxyType({})


@dataclass(frozen=True)
class Lookup:
    """What is known of the patient of the images.

    Attributes
    ----------
    record : PatientRecord or None
        None unless identity is confirmed.
    notes : tuple of str
        What could not be read or was left out; no value of any patient.
    unavailable : bool
        A source did not answer: a later lookup may find more.
    """

    decision: Decision
    record: PatientRecord | None = None
    notes: tuple[str, ...] = ()
    unavailable: bool = False


class OrderBook(OrderStore, RecordStore, Protocol):
    """Orders, and what became of the numbers of their patients."""


class Records:
    """All sources of records of a site.

    Parameters
    ----------
    messages : RecordStore or None
        What HL7 v2 messages have said.
    authorities : mapping
        Local name or URI of an assigning authority -> its URI.
    default_issuer : str
        Whose a Patient ID is where the images do not say; empty: then nobody's.
    """

    def __init__(
        self,
        messages: RecordStore | None = None,
        fhir: FhirSource | None = None,
        authorities: Authorities = _NO_AUTHORITIES,
        default_issuer: str = "",
    ) -> None:
        self._messages = messages
        self._fhir = fhir
        self._authorities = authorities
        self._default_issuer = default_issuer

    def lookup(self, asked: Patient, studied_on: date | None) -> Lookup:
        """Ask all sources; never raises for a source that fails, but says so.

        Parameters
        ----------
        asked : Patient
            As the images name the patient; the first identifier is the Patient ID.
        """
        asked = with_issuer(asked, self._default_issuer)
        if reason := identity.unfit(asked, self._authorities):
            return Lookup(Decision(None, reason))
        found, notes, unavailable = [self._by_messages(asked, studied_on)], list[str](), False
        if self._fhir is not None:
            try:
                found.append(self._fhir.lookup(asked, studied_on))
            except EmrError as error:
                notes.append(f"FHIR server: {error}")
                unavailable = True
        notes += [note for each in found for note in each.notes]
        return _united(found, studied_on, tuple(notes), unavailable=unavailable)

    def knows(self, identifier: Identifier) -> bool:
        """Tell whether any source has, or may have, a patient of this identifier, whoever that is."""
        found = self.lookup(Patient((identifier,)), None)
        return found.unavailable or found.decision.reason not in SILENT

    def _by_messages(self, asked: Patient, studied_on: date | None) -> Found:
        known = {
            each.source: each for identifier in self._names(asked.identifiers[0]) if (each := self._known(identifier))
        }
        decision = identity.decide(
            asked, [self._candidate(each) for each in known.values()], studied_on, self._authorities
        )
        if decision.candidate is None:
            return Found(decision)
        confirmed = next(each for each in known.values() if each.source == decision.candidate.source)
        return Found(decision, items=confirmed.items, synthetic=confirmed.synthetic)

    def _known(self, identifier: Identifier, depth: int = 0) -> KnownPatient | None:
        """Return what is known; after a merge, what is known of the survivor."""
        known = self._messages.known(identifier) if self._messages else None
        if known is None or not known.replaced_by or depth > 5:
            return known
        for survivor in known.replaced_by:
            if found := self._known(survivor, depth + 1):
                # the messages of the merge say that this identifier is the survivor's, too
                merged = replace(found.patient, identifiers=(*found.patient.identifiers, identifier))
                return replace(found, patient=merged)
        return None

    def _names(self, wanted: Identifier) -> Iterator[Identifier]:
        """Yield the identifier as each name of its authority has it."""
        yield wanted
        uri = identity.authority_uri(wanted, self._authorities)
        for name in [name for name, known in self._authorities.items() if uri and known == uri]:
            yield Identifier(wanted.value, namespace=name)
        if uri.startswith("urn:oid:"):
            yield Identifier(wanted.value, universal_id=uri.removeprefix("urn:oid:"), universal_id_type="ISO")

    def _candidate(self, known: KnownPatient) -> Candidate:
        return Candidate(known.patient, known.source)


def with_issuer(asked: Patient, default_issuer: str) -> Patient:
    """Return the patient with the issuer of the Patient ID, where the images name none."""
    if not asked.identifiers or asked.identifiers[0].namespace or asked.identifiers[0].universal_id:
        return asked
    first = replace(asked.identifiers[0], namespace=default_issuer)
    return replace(asked, identifiers=(first, *asked.identifiers[1:]))


def order_of(
    book: OrderBook, asked: Patient, accession_number: str, study_instance_uid: str, authorities: Authorities
) -> ImagingOrder | None:
    """Return the one order for an examination of this patient, under whatever number the patient had at that time.

    Parameters
    ----------
    asked : Patient
        As the images name the patient, with the issuer of the Patient ID.

    Returns
    -------
    ImagingOrder or None
        None: there is none, it was cancelled, there are several, or it is not certain to be this patient's.
    """
    found = book.orders_of_study(study_instance_uid) or book.orders(accession_number)
    mine = [order for order in found if not order.cancelled and _is_of(order.patient, asked, book, authorities)]
    # one that was sent again after a merge is there under both numbers
    return mine[-1] if len({(order.placer_order_number, order.study_instance_uid) for order in mine}) == 1 else None


def _is_of(patient: Patient, asked: Patient, records: RecordStore, authorities: Authorities) -> bool:
    today = replace(patient, identifiers=surviving(patient.identifiers, records))
    return identity.decide(asked, [Candidate(today, "order")], None, authorities).candidate is not None


def _united(found: list[Found], studied_on: date | None, notes: tuple[str, ...], *, unavailable: bool) -> Lookup:
    """Weigh the statements of all sources together, so that contradictions between them are seen."""
    against = [each for each in found if each.decision.reason and each.decision.reason not in SILENT]
    confirmed = [each for each in found if each.decision.candidate]
    if against or not confirmed:
        reasons = [each.decision for each in (*against, *found)]
        return Lookup(reasons[0], notes=notes, unavailable=unavailable)
    decision = confirmed[-1].decision
    assert decision.candidate is not None
    record = facts.compile_record(
        [item for each in confirmed for item in each.items],
        decision.candidate.patient,
        decision.candidate.source,
        studied_on,
        synthetic=any(each.synthetic for each in confirmed),
    )
    return Lookup(decision, record, notes, unavailable)
