"""READ FIRST: how a record is come by. Search by identifier, judge identity, read what belongs to the patient.

Every row is looked at again: a server that ignores a parameter returns other people's rows.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from hl7_emr import codes, facts, identity
from hl7_emr.codes import STANDARD_CODES, Vocabulary
from hl7_emr.domain import Item, Patient, PatientRecord
from hl7_emr.errors import FhirError
from hl7_emr.fhir.client import FhirClient, escaped
from hl7_emr.fhir.elements import Json, refers_to
from hl7_emr.fhir.http import Budget
from hl7_emr.fhir.patient import candidate, is_synthetic
from hl7_emr.fhir.statements import statements
from hl7_emr.identity import Authorities, Decision, Reason

_URI_OF = {"LN": "http://loinc.org", "SCT": "http://snomed.info/sct"}
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")
DEFAULT_CATEGORIES = ("social-history",)
# A server may not know a resource type, or not show it to us: then that is unknown, and said.
_NOT_SHOWN = frozenset({400, 403, 404, 405, 422, 501})


@dataclass(frozen=True)
class Found:
    """What a source says of a patient.

    Attributes
    ----------
    record : PatientRecord or None
        None unless the decision allows its use.
    notes : tuple of str
        What could not be read, and what was left out; no value of any patient.
    items : tuple of Item
        The statements that the record was made of.
    synthetic : bool
        Some of it is marked as test data.
    """

    decision: Decision
    record: PatientRecord | None = None
    notes: tuple[str, ...] = ()
    items: tuple[Item, ...] = field(default=(), repr=False)
    synthetic: bool = False


class FhirSource:
    """Records from one FHIR server.

    Parameters
    ----------
    authorities : mapping
        Who issues identifiers, by local name or URI -> the system of the server's identifiers.
    categories : sequence of str
        Of the Observations that are asked for: ``"social-history"``, or ``"system|code"``. Beside these they are asked
        for by code.
    """

    def __init__(
        self,
        client: FhirClient,
        authorities: Authorities,
        vocabulary: Vocabulary = STANDARD_CODES,
        categories: Sequence[str] = DEFAULT_CATEGORIES,
    ) -> None:
        self._client = client
        self._authorities = authorities
        self._vocabulary = vocabulary
        self._searches = tuple(_searches(vocabulary, categories))

    def lookup(self, asked: Patient, studied_on: date | None) -> Found:
        """Return the record of the patient of the images, or why it is not used.

        Raises
        ------
        Unreachable, FhirError
            The server did not answer in time, or not usably: nothing is known, which is not "no record".
        """
        budget = self._client.budget()
        decision, rows = self._identify(asked, studied_on, budget)
        return Found(decision) if decision.candidate is None else self._read(decision, rows, studied_on, budget)

    def identify(self, asked: Patient, studied_on: date | None) -> Decision:
        """Tell which patient of the server the patient of the images is, and read nothing else.

        Raises
        ------
        Unreachable, FhirError
            As ``lookup``.
        """
        return self._identify(asked, studied_on, self._client.budget())[0]

    def _identify(self, asked: Patient, studied_on: date | None, budget: Budget) -> tuple[Decision, list[Json]]:
        system = identity.authority_uri(asked.identifiers[0], self._authorities) if asked.identifiers else ""
        if reason := identity.unfit(asked, self._authorities) or (None if system else Reason.ISSUER_UNKNOWN):
            return Decision(None, reason), []
        value = asked.identifiers[0].value.strip()
        rows = self._client.search("Patient", {"identifier": f"{escaped(system)}|{escaped(value)}"}, budget)
        candidates = [candidate(row, lambda reference: self._client.read(reference, budget)) for row in rows]
        return identity.decide(asked, candidates, studied_on, self._authorities), rows

    def _read(self, decision: Decision, rows: list[Json], studied_on: date | None, budget: Budget) -> Found:
        assert decision.candidate is not None
        source, notes = decision.candidate.source, list[str]()
        name = source.split("/_history/")[0]
        resources = list(self._belongings(name, budget, notes))
        items = tuple(statements(resources, studied_on, self._vocabulary))
        synthetic = any(map(is_synthetic, [*rows, *resources]))
        record = facts.compile_record(items, decision.candidate.patient, source, studied_on, synthetic=synthetic)
        return Found(decision, record, tuple(notes), items, synthetic)

    def _belongings(self, name: str, budget: Budget, notes: list[str]) -> Iterator[Json]:
        """Yield each resource of the patient once, and note what is not shown and what is another patient's."""
        seen: set[object] = set()
        for resource_type, parameters in self._searches:
            try:
                question = {"patient": name.removeprefix("Patient/"), **parameters, "_count": "200"}
                rows = self._client.search(resource_type, question, budget)
            except FhirError as error:
                if error.status not in _NOT_SHOWN:
                    raise
                notes.append(f"{' '.join((resource_type, *parameters))} not shown by the server ({error.status})")
                continue
            own = [row for row in rows if self._is_of(row, name)]
            if len(own) < len(rows):
                notes.append(f"{len(rows) - len(own)} rows of {resource_type} left out: of other patients")
            yield from (row for row in own if _name(row) not in seen)
            seen.update(map(_name, own))

    def _is_of(self, row: Json, name: str) -> bool:
        return refers_to(row.get("subject") or row.get("patient"), name, self._client.base_url)


def _searches(vocabulary: Vocabulary, categories: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield what is asked for, by type.

    Observations by both, since US Core demands the category only, and some servers file smoking elsewhere (Synthea:
    survey).
    """
    if categories:
        yield "Observation", {"category": ",".join(categories)}
    yield "Observation", {"code": _tokens(vocabulary, tuple(codes.QUESTIONS))}
    yield from (("Condition", {}), ("FamilyMemberHistory", {}), ("ImagingStudy", {}))
    yield "DiagnosticReport", {"code": _tokens(vocabulary, codes.CHEST_CT)}


def _tokens(vocabulary: Vocabulary, wanted: Sequence[tuple[str, str]]) -> str:
    """Return codes, the site's own too, as a server is asked for them; a name of HL7 v2 for a system is none there."""
    own = (
        (_OID.sub(r"urn:oid:\g<0>", name) if _OID.fullmatch(name) else name, code)
        for name, code in vocabulary.names_of(wanted)
    )
    named = [(_URI_OF[system], code) for system, code in wanted] + [(name, code) for name, code in own if ":" in name]
    return ",".join(f"{escaped(name)}|{escaped(code)}" for name, code in named)


def _name(row: Json) -> tuple[object, object]:
    return row.get("resourceType"), row.get("id") or id(row)
