"""One made-up patient in the forms that real ones come in: a FHIR transaction and HL7 v2 messages, marked as test data.

The neutral form is ``SyntheticPatient.record``; all three say the same.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from urllib.parse import quote

from hl7_emr.codes import STANDARD_CODES
from hl7_emr.domain import Identifier, PersonName
from hl7_emr.fhir import written
from hl7_emr.fhir.elements import Json
from hl7_emr.hl7v2.delimiters import STANDARD
from hl7_emr.hl7v2.escapes import escape
from hl7_emr.hl7v2.intake import SYNTHETIC_APPLICATION
from hl7_emr.synth.domain import Statement, SyntheticPatient

_TAGS = [
    {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST", "display": "test health data"},
    {"system": written.OWN_SYSTEM, "code": "synthetic"},
]
_SOCIAL = written.coded("http://terminology.hl7.org/CodeSystem/observation-category", "social-history")
_RELATIONSHIPS = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_LUNG_CANCER = "C34.90"
_HL7_SYSTEMS = {"LN": "LN", "SCT": "SCT", "I10C": "I10C"}
_SEX_WORDS = {"F": "female", "M": "male"}


def fhir_bundle(made: SyntheticPatient) -> Json:
    """Return a transaction that makes the patient on a test server, or renews it there."""
    patient = written.full_url(f"synthetic/{made.patient.identifiers[0].value}")
    who = written.identifier(made.patient.identifiers[0])
    token = f"{quote(who.get('system', ''), safe='')}%7C{quote(who['value'], safe='')}"
    entries = [_entry(patient, _patient(made), f"Patient?identifier={token}")]
    for number, statement in enumerate(made.statements):
        name = f"synthetic/{who['value']}/{number}"
        resource = _resource(statement, {"reference": patient}) | {"identifier": [written.own_identifier(name)]}
        known_by = f"{quote(written.OWN_SYSTEM, safe='')}%7C{quote(name, safe='')}"
        url = f"{resource['resourceType']}?identifier={known_by}"
        entries.append(_entry(written.full_url(name), resource, url))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _entry(full_url: str, resource: Json, url: str) -> Json:
    tagged = {**resource, "meta": {"tag": _TAGS}}
    return {"fullUrl": full_url, "resource": tagged, "request": {"method": "PUT", "url": url}}


def _patient(made: SyntheticPatient) -> Json:
    who = made.patient
    born = {"birthDate": who.birth_date.isoformat()} if who.birth_date else {}
    return {
        "resourceType": "Patient",
        "identifier": [written.identifier(each) for each in who.identifiers],
        "name": [_human_name(name) for name in who.names],
        "gender": _SEX_WORDS.get(who.sex, "unknown"),
        **born,
    }


def _human_name(name: PersonName) -> Json:
    given = {"given": list(name.given)} if name.given else {}
    return {"family": name.family, **given} | ({"suffix": [name.suffix]} if name.suffix else {})


def _resource(statement: Statement, subject: Json) -> Json:
    if statement.answer is not None:
        return _observation(statement, subject)
    if any(name == "family_history_of_lung_cancer" for name, _ in STANDARD_CODES.condition(statement.code)):
        return _relative(statement, subject)
    clinical, verification = (
        f"http://terminology.hl7.org/CodeSystem/condition-{kind}" for kind in ("clinical", "ver-status")
    )
    return {
        "resourceType": "Condition",
        "clinicalStatus": written.coded(clinical, "active"),
        "verificationStatus": written.coded(verification, "confirmed"),
        "code": written.concept(statement.code),
        "subject": subject,
        "onsetDateTime": statement.on.isoformat(),
    }


def _observation(statement: Statement, subject: Json) -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [_SOCIAL],
        "code": written.concept(statement.code),
        "subject": subject,
        "effectiveDateTime": statement.on.isoformat(),
        **_value(statement),
    }


def _value(statement: Statement) -> Json:
    answer = statement.answer
    assert answer is not None
    if answer.codes:
        return {"valueCodeableConcept": written.concept(answer.codes[0])}
    if answer.number is not None:
        unit = {"unit": answer.unit, "system": "http://unitsofmeasure.org", "code": answer.unit}
        return {"valueQuantity": {"value": answer.number, **unit}}
    return {"valueDateTime": answer.day.isoformat()} if answer.day else {"valueString": answer.text}


def _relative(statement: Statement, subject: Json) -> Json:
    cancer = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": _LUNG_CANCER}
    return {
        "resourceType": "FamilyMemberHistory",
        "status": "completed",
        "patient": subject,
        "date": statement.on.isoformat(),
        "relationship": written.coded(_RELATIONSHIPS, "FTH", "father"),
        "condition": [{"code": {"coding": [cancer]}}],
    }


def hl7_messages(made: SyntheticPatient, at: datetime) -> tuple[bytes, bytes]:
    """Return an ADT^A04 with the diagnoses and an ORU^R01 with the answers.

    Parameters
    ----------
    at : datetime
        MSH-7, aware. MSH-11 is T (training) and the sending application says what this is.
    """
    diagnoses = [each for each in made.statements if each.answer is None]
    said = [each for each in made.statements if each.answer is not None]
    adt = [*_head(made, at, "ADT^A04^ADT_A01"), f"EVN||{_when(at)}", _pid(made), "PV1|1|O", *_dg1(diagnoses)]
    order = f"OBR|1||{_id(made, 'answers')}|74728-7^Vital signs and social history^LN|||{_day(made.studied_on)}"
    oru = [*_head(made, at, "ORU^R01^ORU_R01"), _pid(made), order + "|" * 18 + "F", *_obx(said)]
    return _message(adt), _message(oru)


def _message(segments: Sequence[str]) -> bytes:
    return "".join(f"{segment}\r" for segment in segments).encode("utf-8")


def _head(made: SyntheticPatient, at: datetime, kind: str) -> Iterator[str]:
    yield f"MSH|^~\\&|{SYNTHETIC_APPLICATION}||||{_when(at)}||{kind}|{_id(made, kind)}|T|2.5.1||||||UNICODE UTF-8"


def _id(made: SyntheticPatient, kind: str) -> str:
    """Return a control id of 20 characters, the same for the same patient and seed."""
    name = f"{made.mode}/{made.seed}/{made.patient.identifiers[0].value}/{kind}"
    return "S" + hashlib.sha256(name.encode()).hexdigest()[:19]


def _pid(made: SyntheticPatient) -> str:
    who = made.patient
    born = who.birth_date.isoformat().replace("-", "") if who.birth_date else ""
    names = "~".join(map(_xpn, who.names))
    return f"PID|1||{'~'.join(map(_cx, who.identifiers))}||{names}||{born}|{who.sex or 'U'}"


def _cx(held: Identifier) -> str:
    authority = "&".join(map(_text, (held.namespace, held.universal_id, held.universal_id_type))).rstrip("&")
    return f"{_text(held.value)}^^^{authority}^{_text(held.type_code)}".rstrip("^")


def _xpn(name: PersonName) -> str:
    given = (*name.given, "")
    rest = " ".join(name.given[1:])
    parts = (name.family, given[0], rest, name.suffix, "", "", "", name.representation)
    return "^".join(map(_text, parts)).rstrip("^")


def _dg1(diagnoses: Sequence[Statement]) -> Iterator[str]:
    for number, statement in enumerate(diagnoses, start=1):
        code = statement.code
        coded = f"{code.code}^{_text(code.display)}^{_HL7_SYSTEMS[code.system]}"
        yield f"DG1|{number}||{coded}||{_day(statement.on)}|F"


def _obx(said: Sequence[Statement]) -> Iterator[str]:
    for number, statement in enumerate(said, start=1):
        code = statement.code
        asked = f"{code.code}^{_text(code.display)}^{_HL7_SYSTEMS[code.system]}"
        kind, value, unit = _obx_value(statement)
        yield f"OBX|{number}|{kind}|{asked}||{value}|{unit}|||||F|||{_day(statement.on)}"


def _obx_value(statement: Statement) -> tuple[str, str, str]:
    answer = statement.answer
    assert answer is not None
    if answer.codes:
        code = answer.codes[0]
        return "CWE", f"{code.code}^{_text(code.display)}^{_HL7_SYSTEMS[code.system]}", ""
    if answer.number is not None:
        return "NM", f"{answer.number:g}", f"{_text(answer.unit)}^^UCUM"
    if answer.day:
        return "DT", answer.day.isoformat().replace("-", ""), ""
    return "ST", _text(answer.text), ""


def _text(text: str) -> str:
    return escape(text, STANDARD)


def _day(day: date) -> str:
    return day.isoformat().replace("-", "")


def _when(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S%z")
