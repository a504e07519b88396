"""ImagingReport -> ORU^R01^ORU_R01, HL7 v2.5.1, UTF-8.

An AI result is preliminary: OBR-25 and OBX-11 are P, and C where a later revision corrects an earlier one. Per nodule
one group of OBX with the sub-ids n.1, n.2 ... Codes are DICOM's, LOINC's and SNOMED CT's; ours stand under 99EMERALD.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hl7_emr.domain import (
    Code,
    EntityIdentifier,
    Identifier,
    ImagingReport,
    Item,
    Observation,
    PartialDate,
    Patient,
    PersonName,
    ReportedFinding,
    Risk,
)
from hl7_emr.hl7v2.delimiters import STANDARD
from hl7_emr.hl7v2.escapes import escape

OWN_CODES = "99EMERALD"
_STUDY = Code("DCM", "113014", "Study")
_TRACKING_UID = Code("DCM", "112040", "Tracking Unique Identifier")
_TRACKING_ID = Code("DCM", "112039", "Tracking Identifier")
_IMPRESSION = Code("LN", "19005-8", "Radiology Imaging study [Impression] (narrative)")
_CHEST_CT = Code("LN", "24627-2", "CT Chest")
_RECORD_USED = Code(OWN_CODES, "RECORD", "Patient record used")
_RECORD_MISSING = Code(OWN_CODES, "MISSING", "Missing from the patient record")
_RECORD_CONFLICT = Code(OWN_CODES, "CONFLICT", "Conflict in the patient record")
_RISK = Code(OWN_CODES, "PMALIGNANCY", "Probability of malignancy")
_REPORT_PDF = Code("LN", "18748-4", "Diagnostic imaging study")
# HL7 v2.5.1 allows 20 characters in MSH-10.
CONTROL_ID_LENGTH = 20


@dataclass(frozen=True)
class Addresses:
    """MSH-3 to MSH-6."""

    sending_application: str = "EMERALD"
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""


@dataclass
class _Lines:
    """Segments as they are written; OBX are numbered."""

    corrected: bool
    lines: list[str] = field(default_factory=list)
    n_observations: int = 0

    def add(self, name: str, *fields: str) -> None:
        self.lines.append("|".join([name, *fields]).rstrip("|"))

    def observation(self, kind: str, code: Code, value: str, sub_id: str = "", unit: str = "") -> None:
        self.n_observations += 1
        status = "C" if self.corrected else "P"
        unit_coded = f"{_text(unit)}^{_text(unit)}^UCUM" if unit else ""
        fields = [str(self.n_observations), kind, _cwe(code), sub_id, value, unit_coded, "", "", "", "", status]
        self.add("OBX", *fields)


def oru(report: ImagingReport, addresses: Addresses, control_id: str) -> bytes:
    """Build the message: the same report and control id give the same bytes.

    Parameters
    ----------
    control_id : str
        MSH-10, the same for each attempt to send this revision; at most 20 characters.
    """
    lines = _Lines(corrected=report.revision > 1)
    _header(lines, report, addresses, control_id)
    _patient(lines, report.patient)
    _order(lines, report)
    lines.observation("ST", _STUDY, _text(report.study_instance_uid))
    for number, finding in enumerate(report.findings, start=1):
        _finding(lines, finding, number)
    for observation in report.observations:
        _observation(lines, observation)
    for line in report.impression:
        lines.observation("TX", _IMPRESSION, _text(line))
    _record(lines, report)
    if report.pdf:
        encoded = base64.b64encode(report.pdf).decode("ascii")
        lines.observation("ED", _REPORT_PDF, f"^application^pdf^Base64^{encoded}")
    return "".join(f"{line}\r" for line in lines.lines).encode("utf-8")


def _header(lines: _Lines, report: ImagingReport, addresses: Addresses, control_id: str) -> None:
    lines.add(
        "MSH",
        STANDARD.encoding_characters,
        *map(
            _text,
            (
                addresses.sending_application,
                addresses.sending_facility,
                addresses.receiving_application,
                addresses.receiving_facility,
            ),
        ),
        _when(report.created_at),
        "",
        "ORU^R01^ORU_R01",
        control_id,
        "P",
        "2.5.1",
        *[""] * 5,
        "UNICODE UTF-8",
    )


def _patient(lines: _Lines, patient: Patient) -> None:
    lines.add(
        "PID",
        "1",
        "",
        "~".join(map(_cx, patient.identifiers)),
        "",
        "~".join(map(_xpn, patient.names)),
        "",
        _day(patient.birth_date),
        patient.sex or "U",
    )


def _order(lines: _Lines, report: ImagingReport) -> None:
    order = report.order
    placer = _ei(order.placer_order_number) if order else ""
    filler = _text(report.identifier) + "^EMERALD"
    status = "C" if lines.corrected else "P"
    procedure = report.procedure or (order.procedure if order else None) or _CHEST_CT
    lines.add("ORC", "RE", placer, filler)
    fields = {
        1: "1",
        2: placer,
        3: filler,
        4: _cwe(procedure),
        7: _when(report.studied_at) if isinstance(report.studied_at, datetime) else _day(report.studied_at),
        18: _text(report.accession_number),
        22: _when(report.created_at),
        24: "RAD",
        25: status,
    }
    lines.add("OBR", *(fields.get(number, "") for number in range(1, 26)))


def _finding(lines: _Lines, finding: ReportedFinding, number: int) -> None:
    """One nodule: all its OBX have sub-ids that begin with its number."""
    rows: list[tuple[str, Code, str, str]] = [
        ("ST", _TRACKING_ID, _text(finding.identifier), ""),
        ("ST", _TRACKING_UID, _text(finding.tracking_uid), ""),
    ]
    if finding.site is not None:
        rows.append(("CWE", Code("SCT", "363698007", "Finding Site"), _cwe(finding.site), ""))
    rows += [_row(observation) for observation in finding.observations]
    for risk in finding.risks:
        rows += _risk(risk)
    for place, (kind, code, value, unit) in enumerate(rows, start=1):
        lines.observation(kind, code, value, f"{number}.{place}", unit)


def _risk(risk: Risk) -> Iterator[tuple[str, Code, str, str]]:
    """Probability as a fraction from 0 to 1, and the model that says so."""
    code = Code(_RISK.system, _RISK.code, f"{_RISK.display}, {risk.outcome.display or 'malignant'}, by {risk.method}")
    yield "NM", code, _number(risk.p), "1"


def _row(observation: Observation) -> tuple[str, Code, str, str]:
    value = observation.value
    if isinstance(value, Code):
        return "CWE", observation.code, _cwe(value), ""
    if isinstance(value, str):
        return "ST", observation.code, _text(value), ""
    return "NM", observation.code, _number(value), observation.unit


def _observation(lines: _Lines, observation: Observation) -> None:
    kind, code, value, unit = _row(observation)
    lines.observation(kind, code, value, unit=unit)


def _record(lines: _Lines, report: ImagingReport) -> None:
    if report.record_words:
        lines.observation("TX", _RECORD_USED, _text(report.record_words))
    for item in report.record.items():
        lines.observation("TX", _RECORD_USED, _text(_item_in_words(item)))
    for words in report.missing:
        lines.observation("TX", _RECORD_MISSING, _text(words))
    for conflict in report.record.conflicts:
        lines.observation("TX", _RECORD_CONFLICT, _text(f"{conflict.name}: {conflict.words}"))


def _item_in_words(item: Item) -> str:
    when = f", recorded on {item.on.isoformat()}" if item.on else ""
    return f"{item.name.replace('_', ' ')}: {item.words} (from {item.source}{when})"


def _text(text: str) -> str:
    return escape(text, STANDARD)


def _number(value: float) -> str:
    """Write NM: no exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if value != int(value) else str(int(value))


def _cwe(code: Code) -> str:
    return f"{_text(code.code)}^{_text(code.display)}^{_text(code.system)}"


def _cx(identifier: Identifier) -> str:
    authority = "&".join(
        _text(part) for part in (identifier.namespace, identifier.universal_id, identifier.universal_id_type)
    ).rstrip("&")
    return f"{_text(identifier.value)}^^^{authority}^{_text(identifier.type_code)}".rstrip("^")


def _ei(number: EntityIdentifier | None) -> str:
    if number is None:
        return ""
    parts = (number.value, number.namespace, number.universal_id, number.universal_id_type)
    return "^".join(map(_text, parts)).rstrip("^")


def _xpn(name: PersonName) -> str:
    given: Sequence[str] = (*name.given, "", "")
    rest = " ".join(part for part in given[1:] if part)
    return f"{_text(name.family)}^{_text(given[0])}^{_text(rest)}^^^^{name.use}^{name.representation}".rstrip("^")


def _day(day: PartialDate | None) -> str:
    return day.isoformat().replace("-", "") if day else ""


def _when(at: datetime) -> str:
    """Write DTM; an aware time with its zone."""
    return at.strftime("%Y%m%d%H%M%S%z")
