"""An imaging report with everything in it, for the tests of what goes out."""

from datetime import UTC, datetime

from hl7_emr.domain import (
    Code,
    Conflict,
    Device,
    EntityIdentifier,
    Identifier,
    ImagingOrder,
    ImagingReport,
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
    identifiers=(Identifier("4711", "HOSP", "1.2.3", "ISO", "MR"),),
    names=(PersonName("Grüßer^|~\\&", ("Jane", "Mary")), PersonName("山田", ("花子",), representation="I")),
    birth_date=PartialDate(1950, 2, 3),
    sex="F",
)
AGE = Item("age_years", 75.0, "HL7 v2 message 17, PID", datetime(2026, 1, 1, tzinfo=UTC).date())
NEVER = Item("smoking_status", "never", "HL7 v2 message 17, OBX 1")
PACK_YEARS = Item("pack_years", 30.0, "HL7 v2 message 17, OBX 2")


def full_report(revision: int = 1) -> ImagingReport:
    """Return a report of two nodules."""
    order = ImagingOrder(
        accession_number="A100",
        patient=PATIENT,
        placer_order_number=EntityIdentifier("P1", "KIS"),
        procedure=Code("C4", "71250", "CT Chest without contrast"),
    )
    return ImagingReport(
        identifier="EMR-17",
        revision=revision,
        patient=PATIENT,
        study_instance_uid="1.2.840.1",
        accession_number="A100",
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        device=Device("Emerald", "Emerald", "0.1.0", "2.25.1"),
        order=order,
        studied_at=datetime(2026, 1, 1, 12, 30, tzinfo=UTC),
        findings=(_finding(1, 12.345, 0.4321), _finding(2, 6.0, 0.000012)),
        observations=(Observation(Code("99EMERALD", "LUNGRADS", "Lung-RADS category"), "4A"),),
        impression=("Two nodules.", "Largest: 12.3 mm | right upper lobe & pleura."),
        record=PatientRecord(
            age_years=AGE, conflicts=(Conflict("smoking", "never smoked, but 30", (NEVER, PACK_YEARS)),)
        ),
        missing=("emphysema",),
        record_words="record of the patient used",
        pdf=b"%PDF-1.4 not really",
    )


def _finding(number: int, diameter_mm: float, p: float) -> ReportedFinding:
    return ReportedFinding(
        identifier=f"Nodule {number}",
        tracking_uid=f"2.25.{number}",
        observations=(
            Observation(Code("SCT", "103339001", "Long axis"), diameter_mm, "mm"),
            Observation(Code("RADLEX", "RID5741", "Texture"), Code("RADLEX", "RID5741", "Solid")),
        ),
        risks=(Risk(Code("SCT", "363358000", "Malignant tumor of lung"), p, "Brock 2b"),),
        site=Code("SCT", "45653009", "Upper lobe of lung"),
    )
