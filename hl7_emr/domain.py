"""The record's nouns, each naming its HL7 v2 and FHIR home.

Every value carries where it comes from. Unknown is None and stays unknown; a contradiction is a value (``Conflict``).
What stores these nouns is declared in ``stores.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime

from hl7_emr.item import AlcoholUse, Code, Conflict, Item, SmokingStatus, Status, Trust
from hl7_emr.partial_date import PartialDate

__all__ = [
    "AlcoholUse",
    "Code",
    "Conflict",
    "Device",
    "EntityIdentifier",
    "Identifier",
    "ImagingOrder",
    "ImagingReport",
    "InstanceReference",
    "Item",
    "Observation",
    "PartialDate",
    "Patient",
    "PatientRecord",
    "PersonName",
    "ReportedFinding",
    "Risk",
    "SmokingStatus",
    "Status",
    "Trust",
]


@dataclass(frozen=True)
class Identifier:
    """A patient identifier with who issued it: CX (PID-3); FHIR ``Identifier``.

    Attributes
    ----------
    namespace : str
        Local name of the assigning authority, PID-3.4.1.
    universal_id, universal_id_type : str
        PID-3.4.2 and PID-3.4.3 (``ISO``, ``DNS``, ``UUID``, ``URI``); a FHIR system is of type ``URI``.
    type_code : str
        PID-3.5, such as ``MR``, ``PI``.
    """

    value: str
    namespace: str = ""
    universal_id: str = ""
    universal_id_type: str = ""
    type_code: str = ""


@dataclass(frozen=True)
class EntityIdentifier:
    """The number of an order and who gave it: EI (ORC-2, ORC-3, OBR-18 ...)."""

    value: str
    namespace: str = ""
    universal_id: str = ""
    universal_id_type: str = ""


@dataclass(frozen=True)
class PersonName:
    """A name: XPN (PID-5); FHIR ``HumanName``; one component group of DICOM PN.

    Attributes
    ----------
    use : str
        PID-5.7: ``L`` legal, ``M`` maiden, ``A`` alias, ``""`` not said.
    representation : str
        PID-5.8: ``A`` alphabetic, ``I`` ideographic, ``P`` phonetic, ``""`` not said.
    suffix : str
        PID-5.4: ``Jr``, ``III``.
    """

    family: str
    given: tuple[str, ...] = ()
    use: str = ""
    representation: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class Patient:
    """Who the patient is, as one source says it. PID; FHIR ``Patient``."""

    identifiers: tuple[Identifier, ...] = ()
    names: tuple[PersonName, ...] = ()
    birth_date: PartialDate | None = None
    # "F", "M", or "" for all else: other and unknown are never guessed
    sex: str = ""


@dataclass(frozen=True)
class PatientRecord:
    """What is known of one patient that a risk model or a reader can use.

    Attributes
    ----------
    age_years : Item or None
        At the time of the study. PID-7; ``Patient.birthDate``.
    sex : Item or None
        ``"F"`` or ``"M"``. PID-8; ``Patient.gender``.
    family_history_of_lung_cancer : Item or None
        DG1 Z80.1, OBX; ``FamilyMemberHistory.condition``, ``Condition``.
    emphysema : Item or None
        DG1 J43; ``Condition``.
    ever_smoker : Item or None
        Follows from what is said of smoking. OBX with LOINC 72166-2; ``Observation`` with the same code.
    extrathoracic_cancer : Item or None
        DG1; ``Condition``.
    smoking_status : Item or None
        A ``SmokingStatus``. OBX with LOINC 72166-2; ``Observation``.
    pack_years, cigarettes_per_day, smoking_duration_years : Item or None
        OBX with LOINC 8664-5, 64218-1 (or 8663-7, packs, times 20), 88029-4; ``Observation``.
    quit_date : Item or None
        A ``PartialDate``. OBX with LOINC 74010-0; ``Observation``.
    alcohol : Item or None
        An ``AlcoholUse``. OBX with LOINC 11331-6; ``Observation``.
    alcohol_drinks_per_day : Item or None
        OBX with LOINC 74013-4; ``Observation``.
    bmi : Item or None
        kg/m2. OBX with LOINC 39156-5; ``Observation``.
    copd : Item or None
        DG1 J44, J41, J42; ``Condition``.
    own_cancer : Item or None
        Any cancer, now or before. DG1 C00-C97, Z85; ``Condition``.
    occupational_exposure : Item or None
        What the patient was exposed to (``"asbestos"``). DG1 Z77.090, J61, J92.0; ``Condition``, ``Observation``.
    education : Item or None
        The level of PLCOm2012, 1 (less than high school) to 6 (postgraduate). OBX with LOINC 82589-3.
    prior_imaging : tuple of Item
        Earlier examinations of the chest, in words. ORU OBR-4; ``ImagingStudy``, ``DiagnosticReport``.
    conflicts : tuple of Conflict
        Their fields above are None.
    patient : Patient or None
        The demographics as the source has them.
    synthetic : bool
        Made by a generator: true of no living person.
    """

    age_years: Item | None = None
    sex: Item | None = None
    family_history_of_lung_cancer: Item | None = None
    emphysema: Item | None = None
    ever_smoker: Item | None = None
    extrathoracic_cancer: Item | None = None
    smoking_status: Item | None = None
    pack_years: Item | None = None
    cigarettes_per_day: Item | None = None
    smoking_duration_years: Item | None = None
    quit_date: Item | None = None
    alcohol: Item | None = None
    alcohol_drinks_per_day: Item | None = None
    bmi: Item | None = None
    copd: Item | None = None
    own_cancer: Item | None = None
    occupational_exposure: Item | None = None
    education: Item | None = None
    prior_imaging: tuple[Item, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    patient: Patient | None = field(default=None, repr=False)
    synthetic: bool = False

    def items(self) -> tuple[Item, ...]:
        """Return the known facts, in the order of the fields."""
        return tuple(self._items())

    def _items(self) -> Iterator[Item]:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Item):
                yield value
        yield from self.prior_imaging


@dataclass(frozen=True)
class ImagingOrder:
    """An order for an examination, and what came with it. ORM^O01, OMI^O23, OMG^O19; FHIR ``ServiceRequest``.

    Attributes
    ----------
    accession_number : str
        IPC-1, ZDS by the study, OBR-18 or the site's own field.
    placer_order_number, filler_order_number : EntityIdentifier or None
        ORC-2 and ORC-3, or OBR-2 and OBR-3.
    study_instance_uid : str
        IPC-3, ZDS-1; empty: not said.
    procedure : Code or None
        OBR-4.
    control : str
        ORC-1: ``NW`` new, ``XO`` changed, ``CA`` cancelled ...; the latest one.
    status : str
        ORC-5, or OBR-25.
    reason : str
        OBR-31 in words; with OBR-13, what the referring physician asks.
    patient : Patient
        The PID of the message.
    items : tuple of Item
        Facts that came in the order (DG1, OBX).
    control_id : str
        MSH-10 of the message that said so last.
    """

    accession_number: str
    patient: Patient
    placer_order_number: EntityIdentifier | None = None
    filler_order_number: EntityIdentifier | None = None
    study_instance_uid: str = ""
    procedure: Code | None = None
    control: str = ""
    status: str = ""
    reason: str = ""
    clinical_information: str = ""
    scheduled_at: str = ""
    items: tuple[Item, ...] = ()
    control_id: str = ""
    sending_application: str = ""
    sending_facility: str = ""

    @property
    def cancelled(self) -> bool:
        """Whether the order was taken back. HL7 table 0119: CA, OC, CR, DC, OD, DR."""
        return self.control in ("CA", "OC", "CR", "DC", "OD", "DR")


@dataclass(frozen=True)
class Observation:
    """One coded statement of a report: OBX; FHIR ``Observation`` or a component of it.

    Attributes
    ----------
    value : float, str or Code
        A number has a unit.
    unit : str
        UCUM; ``"1"`` for a fraction.
    """

    code: Code
    value: float | str | Code
    unit: str = ""


@dataclass(frozen=True)
class Risk:
    """A probability, how it was come by, and what it rests on. FHIR ``RiskAssessment``.

    Attributes
    ----------
    p : float
        In [0, 1].
    method : str
        Name and version of the model.
    items : tuple of Item
        The items of the record that went in; empty: from the image alone.
    """

    outcome: Code
    p: float
    method: str
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class ReportedFinding:
    """One nodule: a group of OBX with one sub-id; a FHIR ``Observation`` with components.

    Attributes
    ----------
    identifier : str
        As the SR and the segmentation call it, for example ``"Nodule 1"``.
    risks : tuple of Risk
        Malignancy by each model that could be computed.
    """

    identifier: str
    tracking_uid: str
    observations: tuple[Observation, ...] = ()
    risks: tuple[Risk, ...] = ()
    site: Code | None = None


@dataclass(frozen=True)
class Device:
    """What made the report. DICOM Contributing Equipment; FHIR ``Device``."""

    name: str
    manufacturer: str
    version: str
    uid: str = ""


@dataclass(frozen=True)
class InstanceReference:
    """A DICOM instance that the report refers to: the SR, a segmentation."""

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class ImagingReport:
    """What goes to the EMR: ORU^R01; FHIR ``DiagnosticReport``. The same numbers as the SR.

    Attributes
    ----------
    identifier : str
        The same for all revisions of the results of one study: OBR-3, ``DiagnosticReport.identifier``.
    revision : int
        From 1; a later one corrects the earlier.
    patient : Patient
        As the images or the order name the patient, the authority kept.
    order : ImagingOrder or None
        None: no order is known.
    studied_at : datetime or PartialDate or None
        When the images were made. OBR-7; ``effectiveDateTime``.
    created_at : datetime
        When the results were made, aware. OBR-22; ``issued``.
    observations : tuple of Observation
        Of the study as a whole, such as its Lung-RADS category.
    impression : tuple of str
        The result in sentences, one for each line. LOINC 19005-8; ``conclusion``.
    record : PatientRecord
        What was used; with its conflicts.
    missing : tuple of str
        In words, what the models would have wanted.
    record_words : str
        How the record was come by, or why none was used: "record not used: identity not confirmed".
    pdf : bytes
        Empty: none.
    """

    identifier: str
    revision: int
    patient: Patient
    study_instance_uid: str
    accession_number: str
    created_at: datetime
    device: Device
    order: ImagingOrder | None = None
    studied_at: datetime | PartialDate | None = None
    procedure: Code | None = None
    findings: tuple[ReportedFinding, ...] = ()
    observations: tuple[Observation, ...] = ()
    impression: tuple[str, ...] = ()
    record: PatientRecord = field(default_factory=PatientRecord)
    missing: tuple[str, ...] = ()
    record_words: str = ""
    references: tuple[InstanceReference, ...] = ()
    pdf: bytes = field(default=b"", repr=False)
