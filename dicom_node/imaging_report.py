"""The stored SR -> the report for the EMR: what is sent there says what the PACS was told, number by number.

The SR is read, and not the analysis again: results are built once.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime

from pydicom import Dataset
from pydicom.sr.coding import Code as DicomCode

from dicom_node.domain import Job
from dicom_node.objects import codes
from dicom_node.record_used import RecordUsed
from hl7_emr.domain import (
    Code,
    Device,
    Identifier,
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

_REPRESENTATIONS = ("A", "I", "P")
_UNKNOWN = "Not known of the patient: "
_MALIGNANT = Code("SCT", "363358000", "Malignant tumor of lung")
_CHEST_CT = Code("LN", "24627-2", "CT Chest")
# of a group that say whose it is and where, not what was found
_NOT_OBSERVED = frozenset({codes.FINDING.value, codes.FINDING_SITE.value, codes.LATERALITY.value})


def patient_of(header: Dataset) -> Patient:
    """Return the patient as the images name them; the first identifier is the Patient ID with its issuer.

    The issuer is (0010,0024) by its universal ID, else (0010,0021) by its local name.
    """
    qualifiers = next(iter(header.get("IssuerOfPatientIDQualifiersSequence") or ()), Dataset())
    identifier = Identifier(
        str(header.get("PatientID") or "").strip(),
        namespace=str(header.get("IssuerOfPatientID") or "").strip(),
        universal_id=str(qualifiers.get("UniversalEntityID") or "").strip(),
        universal_id_type=str(qualifiers.get("UniversalEntityIDType") or "").strip(),
    )
    sex = str(header.get("PatientSex") or "").strip().upper()
    return Patient(
        identifiers=(identifier,) if identifier.value else (),
        names=tuple(person_names(str(header.get("PatientName") or ""))),
        birth_date=PartialDate.parse(str(header.get("PatientBirthDate") or "")),
        sex=sex if sex in ("F", "M") else "",
    )


def person_names(text: str) -> Iterator[PersonName]:
    """Read a PN (PS3.5 6.2.1.1): alphabetic, ideographic and phonetic groups; family, given, middle, prefix, suffix."""
    for group, representation in zip(text.split("="), _REPRESENTATIONS, strict=False):
        family, given, middle, _, suffix = (*group.split("^"), "", "", "", "", "")[:5]
        if family.strip():
            parts = tuple(part.strip() for part in (given, middle) if part.strip())
            yield PersonName(family.strip(), parts, representation=representation, suffix=suffix.strip())


def study_date(header: Dataset) -> date | None:
    """Return the day of the study; None: not said."""
    day = PartialDate.parse(str(header.get("StudyDate") or ""))
    return day.first if day is not None and day.exact else None


def imaging_report(
    sr: Dataset, job: Job, known: RecordUsed, segmentations: Sequence[InstanceReference] = ()
) -> ImagingReport:
    """Return the report that says what the SR says.

    Parameters
    ----------
    known : RecordUsed
        What the analysis used; its items are told with each risk that they went into.
    """
    whole = list(_items(sr))
    own = InstanceReference(str(sr.SeriesInstanceUID), str(sr.SOPClassUID), str(sr.SOPInstanceUID))
    unknown = [text.removeprefix(_UNKNOWN).rstrip(".") for text in _texts(whole, codes.COMMENT) if _UNKNOWN in text]
    study = [each for each in _children(sr, codes.QUALITATIVE_EVALUATIONS) if _is(each, codes.LUNG_RADS)]
    return ImagingReport(
        identifier=f"{sr.StudyInstanceUID}/{job.called_ae_title}",
        revision=job.revision,
        patient=patient_of(sr),
        study_instance_uid=str(sr.StudyInstanceUID),
        accession_number=str(sr.get("AccessionNumber") or ""),
        created_at=(job.settled_at or job.created_at).astimezone(UTC),
        device=_device(sr, whole),
        studied_at=_studied_at(sr),
        procedure=_CHEST_CT,
        findings=tuple(_findings(whole, known.record)),
        observations=tuple(_observations(study)),
        impression=(*_texts(whole, codes.CONCLUSION), *_nodules_in_words(whole)),
        record=known.record,
        missing=tuple(word for words in unknown for word in words.split(", ")),
        record_words=known.words,
        references=(own, *segmentations),
    )


def _items(container: Dataset) -> Iterator[Dataset]:
    for child in container.get("ContentSequence", ()):
        yield child
        yield from _items(child)


def _is(item: Dataset, concept: DicomCode) -> bool:
    name = _code(item.get("ConceptNameCodeSequence"))
    return name is not None and (name.system, name.code) == (concept.scheme_designator, concept.value)


def _children(sr: Dataset, container: DicomCode) -> Iterator[Dataset]:
    for item in sr.get("ContentSequence", ()):
        if _is(item, container):
            yield from item.get("ContentSequence", ())


def _code(sequence: Iterable[Dataset] | None) -> Code | None:
    for each in sequence or ():
        return Code(str(each.CodingSchemeDesignator), str(each.CodeValue), str(each.CodeMeaning))
    return None


def _texts(items: Sequence[Dataset], concept: DicomCode) -> list[str]:
    return [str(item.TextValue) for item in items if item.ValueType == "TEXT" and _is(item, concept)]


def _nodules_in_words(items: Sequence[Dataset]) -> Iterator[str]:
    yield from (text for text in _texts(items, codes.COMMENT) if text.startswith(("Examination: ", "Nodule ")))


def _device(sr: Dataset, items: Sequence[Dataset]) -> Device:
    uids = [str(item.UID) for item in items if item.ValueType == "UIDREF" and _is(item, codes.DEVICE_OBSERVER_UID)]
    version = sr.get("SoftwareVersions") or ""
    return Device(
        name=str(sr.get("ManufacturerModelName") or "Emerald"),
        manufacturer=str(sr.get("Manufacturer") or "Emerald"),
        version=str(version if isinstance(version, str) else version[0]),
        uid=next(iter(uids), ""),
    )


def _studied_at(sr: Dataset) -> datetime | PartialDate | None:
    """Return the day of the study: its time has no zone that could be trusted."""
    return PartialDate.parse(str(sr.get("StudyDate") or ""))


def _findings(items: Sequence[Dataset], record: PatientRecord) -> Iterator[ReportedFinding]:
    """Yield each nodule once: its two groups (TID 1411 and 1410) have one tracking UID."""
    groups: dict[str, list[Dataset]] = {}
    for group in (item for item in items if _is(item, codes.MEASUREMENT_GROUP)):
        for child in group.ContentSequence:
            if child.ValueType == "UIDREF" and _is(child, codes.TRACKING_UNIQUE_IDENTIFIER):
                groups.setdefault(str(child.UID), []).extend(group.ContentSequence)
    for uid, content in groups.items():
        sites = [_code(item.ConceptCodeSequence) for item in content if _is(item, codes.FINDING_SITE)]
        yield ReportedFinding(
            identifier=_texts(content, codes.TRACKING_IDENTIFIER)[0],
            tracking_uid=uid,
            observations=tuple(dict.fromkeys(_observations(content))),
            risks=tuple(dict.fromkeys(_risks(content, record))),
            site=next(iter(sites), None),
        )


def _observations(items: Sequence[Dataset]) -> Iterator[Observation]:
    for item in items:
        name = _code(item.get("ConceptNameCodeSequence"))
        if name is None or name.code in _NOT_OBSERVED or _is(item, codes.PROBABILITY_OF_CANCER):
            continue
        if item.ValueType == "NUM":
            value, unit = _measured(item)
            yield Observation(Code(name.system, name.code, _with_modifiers(name, item)), value, unit)
        elif item.ValueType == "CODE" and (said := _code(item.ConceptCodeSequence)):
            yield Observation(name, said)


def _measured(item: Dataset) -> tuple[float, str]:
    (value,) = item.MeasuredValueSequence
    return float(value.NumericValue), str(value.MeasurementUnitsCodeSequence[0].CodeValue)


def _with_modifiers(name: Code, item: Dataset) -> str:
    """Return a measurement's name with how it was derived and of what: mean and maximum share a concept."""
    coded = (_code(each.get("ConceptCodeSequence")) for each in item.get("ContentSequence", ()))
    said = ", ".join(code.display for code in coded if code)
    return f"{name.display} ({said})" if said else name.display


def _risks(items: Sequence[Dataset], record: PatientRecord) -> Iterator[Risk]:
    """Yield each probability as a fraction; the SR gives it in percent."""
    for item in items:
        if item.ValueType == "NUM" and _is(item, codes.PROBABILITY_OF_CANCER):
            percent, _ = _measured(item)
            within = list(_items(item))
            method = " ".join(_texts(within, codes.ALGORITHM_NAME))
            told = " ".join(_texts(within, codes.ALGORITHM_PARAMETERS))
            yield Risk(_MALIGNANT, round(percent / 100, 6), method, tuple(_used(record, told)))


def _used(record: PatientRecord, told: str) -> Iterator[Item]:
    """Yield the items that went into a risk: those that its inputs, as the SR tells them, name."""
    for item in record.items():
        if f"{item.name.removesuffix('_years').replace('_', ' ')} " in told:
            yield item
