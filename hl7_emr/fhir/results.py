"""ImagingReport -> a transaction Bundle: the same report gives the same bytes, and sending it twice changes nothing.

Every resource is addressed by an identifier of ours (conditional update). The study belongs to the site and is made
only where there is none. RiskAssessment, which few servers search by identifier, and Provenance, which has none, are
known by a tag. An AI result is preliminary, in every revision.
"""

import base64
import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from hl7_emr.domain import Code, ImagingReport, Observation, PatientRecord, ReportedFinding, Risk
from hl7_emr.fhir import written
from hl7_emr.fhir.elements import Json

_NODULE = Code("SCT", "27925004", "Nodule")
_CHEST_CT = Code("LN", "24627-2", "CT Chest")
_LUNG = Code("SCT", "39607008", "Lung structure")
_TRACKING_UID = Code("DCM", "112040", "Tracking Unique Identifier")
_IMAGING = written.coded("http://terminology.hl7.org/CodeSystem/observation-category", "imaging", "Imaging")
_ACCESSION = written.coded("http://terminology.hl7.org/CodeSystem/v2-0203", "ACSN", "Accession ID")
_AUTHOR = written.coded("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "author", "Author")
_TEST_DATA = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HTEST",
    "display": "test health data",
}
_CAUTION = "Research use only; made by software, not verified by a physician."


@dataclass(frozen=True)
class Systems:
    """What each site names its own way.

    Attributes
    ----------
    accession, orders : str
        The system (URI) of accession numbers and of the placer's order numbers; empty: not said.
    category : str
        ``DiagnosticReport.category`` as ``"system|code"``.
    """

    accession: str = ""
    orders: str = ""
    category: str = "http://terminology.hl7.org/CodeSystem/v2-0074|RAD"


@dataclass
class _Transaction:
    """The report, and the entries as they are made."""

    report: ImagingReport
    subject: str
    systems: Systems
    entries: list[Json] = field(default_factory=list)

    def put(self, resource: Json, name: str, identifiers: Sequence[Json] = ()) -> str:
        """Add a conditional update by identifier; returns what others refer to it by."""
        own = written.own_identifier(name)
        resource = {**resource, "identifier": [own, *identifiers]}
        return self._update(resource, "identifier", name)

    def put_by_tag(self, resource: Json, name: str) -> str:
        """Add a conditional update by tag; returns what others refer to it by."""
        own = written.own_identifier(name)
        tags = [{"system": own["system"], "code": own["value"]}]
        return self._update({**resource, "meta": {"tag": tags}}, "_tag", name)

    def create(self, resource: Json, name: str, unless: str) -> str:
        """Add a conditional create; returns what others refer to it by."""
        request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": unless}
        return self._add(resource, request, name)

    def _update(self, resource: Json, parameter: str, name: str) -> str:
        token = f"{quote(written.OWN_SYSTEM, safe='')}%7C{quote(name, safe='')}"
        request = {"method": "PUT", "url": f"{resource['resourceType']}?{parameter}={token}"}
        return self._add(resource, request, name)

    def _add(self, resource: Json, request: Json, name: str) -> str:
        if self.report.record.synthetic:
            meta = resource.get("meta", {})
            resource = {**resource, "meta": {**meta, "tag": [*meta.get("tag", []), _TEST_DATA]}}
        full_url = written.full_url(f"{resource['resourceType']}/{name}")
        self.entries.append({"fullUrl": full_url, "resource": resource, "request": request})
        return full_url


def transaction(report: ImagingReport, subject: str, systems: Systems = Systems()) -> Json:
    """Build the Bundle.

    Parameters
    ----------
    subject : str
        The patient's record on that server, as identity confirmed it: ``"Patient/17"``.

    Notes
    -----
    Probabilities are fractions from 0 to 1, and each RiskAssessment says so: R4's ras-2 allows 100 too. What a risk
    rests on is its ``basis``: the images, and each item of the record that went in, by reference where it is a resource
    and in words where it came by HL7 v2 or from the images.
    """
    into = _Transaction(report, subject, systems)
    maker = report.device
    device = into.put(_device(report), f"device/{maker.uid or f'{maker.name}/{maker.version}'}")
    study = into.create(_study(into), report.study_instance_uid, _unless_study(report))
    results, risks = [], []
    for finding in report.findings:
        found = into.put(
            _finding(into, finding, study, device), f"{report.identifier}/{finding.tracking_uid}", _tracking(finding)
        )
        results.append(found)
        for number, risk in enumerate(finding.risks, start=1):
            assessment = _risk(into, risk, (found, study), device)
            risks.append(into.put_by_tag(assessment, f"{report.identifier}/{finding.tracking_uid}/risk-{number}"))
    for said in report.observations:
        of_study = _observation(into, study, device) | {"code": written.concept(said.code), **written.value(said)}
        results.append(into.put(of_study, f"{report.identifier}/study/{said.code.code}"))
    diagnostic = into.put(_diagnostic_report(into, study, results), report.identifier, list(_report_uids(report)))
    _add_provenance(into, [diagnostic, *results, *risks], study, device)
    return {"resourceType": "Bundle", "type": "transaction", "entry": into.entries}


def _device(report: ImagingReport) -> Json:
    device = report.device
    return {
        "resourceType": "Device",
        "status": "active",
        "manufacturer": device.manufacturer,
        "deviceName": [{"name": device.name, "type": "model-name"}],
        "version": [{"value": device.version}],
        "type": {"text": "Software that analyses images; research use only"},
    }


def _study(into: _Transaction) -> Json:
    report = into.report
    accession = {"type": _ACCESSION, **_identifier(into.systems.accession, report.accession_number)}
    started = written.moment(report.studied_at)
    return {
        "resourceType": "ImagingStudy",
        "status": "available",
        "subject": {"reference": into.subject},
        "identifier": [
            written.uid_identifier(report.study_instance_uid),
            *([accession] if report.accession_number else []),
        ],
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}],
        **({"started": started} if started else {}),
    }


def _unless_study(report: ImagingReport) -> str:
    return f"identifier={written.DICOM_UID}%7Curn:oid:{report.study_instance_uid}"


def _tracking(finding: ReportedFinding) -> list[Json]:
    return [written.uid_identifier(finding.tracking_uid)]


def _observation(into: _Transaction, study: str, device: str) -> Json:
    effective = written.moment(into.report.studied_at)
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [_IMAGING],
        "subject": {"reference": into.subject},
        **({"effectiveDateTime": effective} if effective else {}),
        "issued": written.moment(into.report.created_at),
        "device": {"reference": device},
        "derivedFrom": [{"reference": study}],
    }


def _finding(into: _Transaction, finding: ReportedFinding, study: str, device: str) -> Json:
    tracking = Observation(_TRACKING_UID, finding.tracking_uid)
    return _observation(into, study, device) | {
        "code": written.concept(_NODULE, finding.identifier),
        "bodySite": written.concept(finding.site or _LUNG),
        "component": [
            {"code": written.concept(said.code), **written.value(said)} for said in (tracking, *finding.observations)
        ],
    }


def _risk(into: _Transaction, risk: Risk, images: Sequence[str], device: str) -> Json:
    used = [reference for item in risk.items for reference in written.item_references(item)]
    record = "with the patient's record" if risk.items else "from the images alone"
    return {
        "resourceType": "RiskAssessment",
        "status": "preliminary",
        "subject": {"reference": into.subject},
        "occurrenceDateTime": written.moment(into.report.created_at),
        "performer": {"reference": device},
        "method": {"text": risk.method},
        "basis": [*({"reference": image} for image in images), *used],
        "prediction": [
            {
                "outcome": written.concept(risk.outcome),
                "probabilityDecimal": risk.p,
                "rationale": f"Probability from 0 to 1, {record}. {_CAUTION}",
            }
        ],
    }


def _diagnostic_report(into: _Transaction, study: str, results: Sequence[str]) -> Json:
    report = into.report
    effective = written.moment(report.studied_at)
    conclusion = "\n".join(_conclusion(report))
    procedure = report.procedure or (report.order.procedure if report.order else None) or _CHEST_CT
    return {
        "resourceType": "DiagnosticReport",
        "text": {"status": "generated", "div": _narrative(conclusion)},
        "status": "preliminary",
        "category": [written.coded(*into.systems.category.split("|", 1)) | {"text": "Radiology"}],
        "code": written.concept(procedure),
        "subject": {"reference": into.subject},
        **({"effectiveDateTime": effective} if effective else {}),
        "issued": written.moment(report.created_at),
        "imagingStudy": [{"reference": study}],
        **({"result": [{"reference": result} for result in results]} if results else {}),
        **({"basedOn": list(_orders(into))} if any(_orders(into)) else {}),
        "conclusion": conclusion,
        **({"presentedForm": [_pdf(report)]} if report.pdf else {}),
    }


def _conclusion(report: ImagingReport) -> Iterator[str]:
    yield from report.impression
    if report.record_words:
        yield f"Patient record: {report.record_words}."
    for item in report.record.items():
        yield f"Used: {written.item_in_words(item)} (from {item.source})"
    for words in report.missing:
        yield f"Missing: {words}"
    for conflict in report.record.conflicts:
        yield f"Not used, contradictory: {conflict.name.replace('_', ' ')}: {conflict.words}"
    yield _CAUTION


def _narrative(text: str) -> str:
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in text.splitlines())
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{lines}</div>'


def _orders(into: _Transaction) -> Iterator[Json]:
    placer = into.report.order.placer_order_number if into.report.order else None
    if placer:
        yield {"type": "ServiceRequest", "identifier": _identifier(into.systems.orders, placer.value)}


def _identifier(system: str, value: str) -> Json:
    return {"system": system, "value": value} if system else {"value": value}


def _pdf(report: ImagingReport) -> Json:
    return {"contentType": "application/pdf", "data": base64.b64encode(report.pdf).decode("ascii")}


def _report_uids(report: ImagingReport) -> Iterator[Json]:
    """Name the DICOM objects that say the same: the report and the segmentations."""
    for each in report.references:
        yield written.uid_identifier(each.sop_instance_uid)


def _add_provenance(into: _Transaction, targets: Sequence[str], study: str, device: str) -> None:
    """Add who made what from what; one for each revision."""
    report = into.report
    resource = {
        "resourceType": "Provenance",
        "target": [{"reference": target} for target in targets],
        "recorded": written.moment(report.created_at),
        "agent": [{"type": _AUTHOR, "who": {"reference": device}}],
        "entity": [{"role": "source", "what": what} for what in ({"reference": study}, *_read(report.record))],
    }
    into.put_by_tag(resource, f"{report.identifier}/provenance-{report.revision}")


def _read(record: PatientRecord) -> Iterator[Json]:
    for item in record.items():
        yield from written.item_references(item)
