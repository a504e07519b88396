"""Whose record it is. Do not use is the default: a record of another patient is worse than none.

Pure: the patient of the images on one side, what a source returned on the other, a coded decision out. The
identifier decides, together with who issued it; name, birth date and sex can only speak against it. Nothing is matched
by likeness.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from hl7_emr.domain import Identifier, PartialDate, Patient
from hl7_emr.name_folding import Comparison, compare_names

# Dates that systems fill in where they know none.
_NO_DATES = frozenset({(1, 1, 1), (1800, 1, 1), (1900, 1, 1), (9999, 12, 31)})


class Reason(StrEnum):
    """Why a record is not used; the value is the code in the audit trail and in ``emerald emr lookup``."""

    NO_PATIENT_ID = "no_patient_id"
    ISSUER_UNKNOWN = "issuer_unknown"
    NOT_FOUND = "not_found"
    IDENTIFIER_NOT_CONFIRMED = "identifier_not_confirmed"
    AMBIGUOUS = "ambiguous"
    INACTIVE = "inactive"
    REPLACEMENT_UNRESOLVED = "replacement_unresolved"
    NAME_DIFFERS = "name_differs"
    BIRTH_DATE_DIFFERS = "birth_date_differs"
    SEX_DIFFERS = "sex_differs"
    DECEASED_BEFORE_STUDY = "deceased_before_study"
    BORN_AFTER_STUDY = "born_after_study"
    NAME_NOT_COMPARED = "name_not_compared"
    BIRTH_DATE_NOT_COMPARED = "birth_date_not_compared"

    @property
    def sentence(self) -> str:
        """The reason in words, with no value of any patient."""
        return _SENTENCES[self]


_SENTENCES: Mapping[Reason, str] = {
    Reason.NO_PATIENT_ID: "the images carry no Patient ID",
    Reason.ISSUER_UNKNOWN: "who issued the Patient ID is neither in the images nor in the settings",
    Reason.NOT_FOUND: "no patient has this identifier",
    Reason.IDENTIFIER_NOT_CONFIRMED: "the patient returned does not carry the identifier that was asked for",
    Reason.AMBIGUOUS: "more than one patient has this identifier",
    Reason.INACTIVE: "the record is no longer in use",
    Reason.REPLACEMENT_UNRESOLVED: "the record was replaced by another that cannot be found",
    Reason.NAME_DIFFERS: "the names differ",
    Reason.BIRTH_DATE_DIFFERS: "the birth dates differ",
    Reason.SEX_DIFFERS: "the sexes differ",
    Reason.DECEASED_BEFORE_STUDY: "the patient of the record died before the study",
    Reason.BORN_AFTER_STUDY: "the patient of the record was born after the study",
    Reason.NAME_NOT_COMPARED: "no name on both sides could be compared",
    Reason.BIRTH_DATE_NOT_COMPARED: "no birth date on both sides could be compared",
}


@dataclass(frozen=True)
class Candidate:
    """A patient that a source returned for the identifier.

    Attributes
    ----------
    source : str
        Names the record at its source, such as ``"Patient/17"``; the same record has the same name.
    active : bool
        False: entered in error, or closed. ``Patient.active``.
    replaced : bool
        Merged into another record: ``Patient.link`` of type replaced-by; ADT^A40.
    replaced_by : Candidate or None
        That other record; None though ``replaced``: it could not be found.
    deceased : PartialDate or None
        ``Patient.deceasedDateTime``; PID-29.
    """

    patient: Patient
    source: str
    active: bool = True
    replaced: bool = False
    replaced_by: "Candidate | None" = None
    deceased: PartialDate | None = None


@dataclass(frozen=True)
class Decision:
    """Whether a record may be used, and why not.

    Attributes
    ----------
    candidate : Candidate or None
        The patient's record; None unless it may be used.
    reason : Reason or None
        None: it may be used.
    compared : mapping of str to Comparison
        What was compared beside the identifier: ``name``, ``birth_date``, ``sex``.
    """

    candidate: Candidate | None
    reason: Reason | None = None
    compared: Mapping[str, Comparison] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The decision as the report says it."""
        return (
            f"record not used: identity not confirmed ({self.reason.sentence})" if self.reason else "identity confirmed"
        )


Authorities = Mapping[str, str]
"""Local name or URI of an assigning authority -> its URI; from the settings of the site."""


def decide(
    asked: Patient, candidates: Sequence[Candidate], study_date: date | None, authorities: Authorities
) -> Decision:
    """Decide whether one of the candidates is the patient of the images.

    Parameters
    ----------
    asked : Patient
        As the images name the patient; the first identifier is the Patient ID with its issuer.
    candidates : sequence of Candidate
        All that the source returned for the identifier; rows that do not carry it are the source's mistake.
    study_date : date or None
        A patient who died before it, or was born after it, is another one.
    """
    if reason := unfit(asked, authorities):
        return Decision(None, reason)
    wanted = asked.identifiers[0]
    holders = [each for each in candidates if carries(each.patient, wanted, authorities)]
    if not holders:
        return Decision(None, Reason.IDENTIFIER_NOT_CONFIRMED if candidates else Reason.NOT_FOUND)
    survivors = {each.source if each else "": each for each in map(_survivor, holders)}
    if len(survivors) > 1:
        return Decision(None, Reason.AMBIGUOUS)
    (survivor,) = survivors.values()
    if survivor is None:
        return Decision(None, Reason.REPLACEMENT_UNRESOLVED)
    return _judge(asked, survivor, study_date)


def unfit(asked: Patient, authorities: Authorities) -> Reason | None:
    """Return why nobody can be asked for this patient at all."""
    if not asked.identifiers or not asked.identifiers[0].value.strip():
        return Reason.NO_PATIENT_ID
    wanted = asked.identifiers[0]
    return None if authority_uri(wanted, authorities) or wanted.namespace.strip() else Reason.ISSUER_UNKNOWN


def authority_uri(identifier: Identifier, authorities: Authorities) -> str:
    """Return who issued an identifier as a URI, the system of a FHIR identifier; empty: no URI is known.

    DICOM names the issuer by (0010,0024) or (0010,0021), HL7 v2 by PID-3.4; both have a local name, a universal ID and
    its type.
    """
    universal = identifier.universal_id.strip()
    prefix = {"ISO": "urn:oid:", "UUID": "urn:uuid:", "URI": ""}.get(identifier.universal_id_type.strip().upper())
    if universal and prefix is not None:
        uri = universal if universal.startswith("urn:") else prefix + universal
        return authorities.get(uri, uri)
    return authorities.get(universal, "") or authorities.get(identifier.namespace.strip(), "")


def carries(patient: Patient, wanted: Identifier, authorities: Authorities) -> bool:
    """Tell whether a patient has exactly this identifier of exactly this authority; leading zeros and case count."""
    return any(
        held.value.strip() == wanted.value.strip() and _same_authority(held, wanted, authorities)
        for held in patient.identifiers
    )


def _same_authority(one: Identifier, other: Identifier, authorities: Authorities) -> bool:
    uris = authority_uri(one, authorities), authority_uri(other, authorities)
    if all(uris):
        return uris[0] == uris[1]
    return bool(one.namespace.strip()) and one.namespace.strip() == other.namespace.strip()


def _survivor(candidate: Candidate) -> Candidate | None:
    """Follow a merge to the record that is in use."""
    seen = {candidate.source}
    while candidate.replaced:
        following = candidate.replaced_by
        if following is None or following.source in seen:
            return None
        seen.add(following.source)
        candidate = following
    return candidate


def _judge(asked: Patient, candidate: Candidate, study_date: date | None) -> Decision:
    held = candidate.patient
    compared = {
        "name": compare_names(asked.names, held.names),
        "birth_date": _compare_birth_dates(asked.birth_date, held.birth_date),
        "sex": _compare_sexes(asked.sex, held.sex),
    }
    reason = next(_objections(candidate, compared, study_date), None)
    return Decision(candidate if reason is None else None, reason, compared)


def _objections(candidate: Candidate, compared: Mapping[str, Comparison], study_date: date | None) -> Iterator[Reason]:
    """Yield all that speaks against a candidate, the clearest first."""
    if not candidate.active:
        yield Reason.INACTIVE
    for name, reason in (
        ("name", Reason.NAME_DIFFERS),
        ("birth_date", Reason.BIRTH_DATE_DIFFERS),
        ("sex", Reason.SEX_DIFFERS),
    ):
        if compared[name] is Comparison.DIFFERS:
            yield reason
    born = candidate.patient.birth_date
    if study_date and candidate.deceased and candidate.deceased.last < study_date:
        yield Reason.DECEASED_BEFORE_STUDY
    if study_date and born and born.first > study_date:
        yield Reason.BORN_AFTER_STUDY
    # an identifier mistyped by one digit is somebody's identifier too: something must speak for it
    if compared["name"] is Comparison.NOT_COMPARED:
        yield Reason.NAME_NOT_COMPARED
    if compared["birth_date"] is Comparison.NOT_COMPARED:
        yield Reason.BIRTH_DATE_NOT_COMPARED


def _compare_birth_dates(asked: PartialDate | None, held: PartialDate | None) -> Comparison:
    if _unstated(asked) or _unstated(held) or asked is None or held is None:
        return Comparison.NOT_COMPARED
    return Comparison.AGREES if asked.agrees(held) else Comparison.DIFFERS


def _unstated(born: PartialDate | None) -> bool:
    return born is None or (born.year, born.month or 1, born.day or 1) in _NO_DATES


def _compare_sexes(asked: str, held: str) -> Comparison:
    if asked not in ("F", "M") or held not in ("F", "M"):
        return Comparison.NOT_COMPARED
    return Comparison.AGREES if asked == held else Comparison.DIFFERS
