"""Reports for the EMR: one with all that can be in one, and one with nothing found."""

from dataclasses import replace
from datetime import UTC, date, datetime

from hl7_emr.domain import (
    Code,
    Conflict,
    Device,
    EntityIdentifier,
    Identifier,
    ImagingOrder,
    ImagingReport,
    InstanceReference,
    Item,
    Observation,
    PartialDate,
    Patient,
    PatientRecord,
    PersonName,
    ReportedFinding,
    Risk,
)

PATIENT = Patient(
    (Identifier("00123", "HOSP", "1.2.276.0.76.3.1.1", "ISO", "MR"),),
    (PersonName("Müller", ("Hans", "Georg")),),
    PartialDate(1950, 3, 9),
    "M",
)
_AGE = Item("age_years", 71.0, "DICOM Patient's Age (0010,1010)", date(2021, 5, 4))
_EMPHYSEMA = Item("emphysema", True, "Condition/17/_history/2", PartialDate(2019, 5))
_BMI = Item("bmi", 27.4, "Observation/8/_history/1 and Observation/9/_history/1", PartialDate(2021, 1, 2))
_FAMILY = Item("family_history_of_lung_cancer", True, "HL7 v2 message 4711, DG1 1", PartialDate(2020))
_NEVER = Item("smoking_status", "never", "Observation/3/_history/1")
_MALIGNANT = Code("SCT", "363358000", "Malignant tumor of lung")


def finding(number: int, **more: object) -> ReportedFinding:
    """Return a nodule with a size, a texture, a site and two risks."""
    observations = (
        Observation(Code("DCM", "103339001", "Long axis"), 14.25, "mm"),
        Observation(Code("SCT", "118565006", "Volume"), 1204.5, "mm3"),
        Observation(Code("NCIt", "C41144", "Texture"), Code("99EMERALD", "solid", "Solid")),
    )
    risks = (
        Risk(_MALIGNANT, 0.3125, "Brock 2b (McWilliams 2013)", (_AGE, _EMPHYSEMA, _FAMILY)),
        Risk(_MALIGNANT, 0.0625, "Emerald suspicion 0.1.0"),
    )
    site = Code("SCT", "45653009", "Upper lobe of lung")
    said = ReportedFinding(f"Nodule {number}", f"2.25.9{number}", observations, risks, site)
    return replace(said, **more)


def report(**more: object) -> ImagingReport:
    """Return a report with two nodules."""
    order = ImagingOrder("ACC-1", PATIENT, EntityIdentifier("P-77", "RIS"), procedure=Code("LN", "24627-2", "CT Chest"))
    whole = ImagingReport(
        identifier="2.25.4711",
        revision=1,
        patient=PATIENT,
        study_instance_uid="1.2.840.113619.2.55.3.1",
        accession_number="ACC-1",
        created_at=datetime(2021, 5, 4, 12, 30, 15, tzinfo=UTC),
        device=Device("Emerald", "Emerald", "0.1.0", "2.25.1234"),
        order=order,
        studied_at=datetime(2021, 5, 4, 11, 0, tzinfo=UTC),
        findings=(finding(1), finding(2, risks=(), site=None)),
        observations=(Observation(Code("99EMERALD", "lung-rads", "Lung-RADS category"), "4A"),),
        impression=("Two nodules < 30 mm & solid.", "Lung-RADS 4A."),
        record=PatientRecord(
            age_years=_AGE,
            emphysema=_EMPHYSEMA,
            bmi=_BMI,
            family_history_of_lung_cancer=_FAMILY,
            conflicts=(Conflict("smoking", "never smoked, but pack years 30", (_NEVER,)),),
        ),
        missing=("sex",),
        record_words="identity confirmed",
        references=(InstanceReference("2.25.5", "1.2.840.10008.5.1.4.1.1.88.34", "2.25.6"),),
        pdf=b"%PDF-1.7",
    )
    return replace(whole, **more)


def empty_report() -> ImagingReport:
    """Return a report of nothing found, with no order, no record and no time of the study."""
    nothing = {"findings": (), "observations": (), "order": None, "references": (), "pdf": b"", "missing": ()}
    words = "record not used: identity not confirmed (the names differ)"
    record = PatientRecord()
    impression = ("No nodule found.",)
    return report(**nothing, record=record, record_words=words, impression=impression, studied_at=None)
