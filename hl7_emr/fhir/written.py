"""Nouns of the record -> elements of FHIR resources."""

from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType
from uuid import NAMESPACE_OID, uuid5

from hl7_emr.domain import Code, Identifier, Item, Observation, PartialDate
from hl7_emr.fhir.elements import Json

# A UUID-derived OID (PS3.5 B.2): codes and identifiers that are the node's own.
OWN_SYSTEM = "urn:oid:2.25.312184374367987197804910539422194260964"
DICOM_UID = "urn:dicom:uid"
_URIS: Mapping[str, str] = MappingProxyType(
    {
        "LN": "http://loinc.org",
        "SCT": "http://snomed.info/sct",
        "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
        "UCUM": "http://unitsofmeasure.org",
        "DCM": "http://dicom.nema.org/resources/ontology/DCM",
        "NCIT": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
        "RADLEX": "http://radlex.org",
        "HL70136": "http://terminology.hl7.org/CodeSystem/v2-0136",
    }
)


def system_uri(name: str) -> str:
    """Return the URI of a coding system; a local one (99...) is ours."""
    return _URIS.get(name.upper(), name if ":" in name else OWN_SYSTEM)


def concept(code: Code, text: str = "") -> Json:
    """Return a CodeableConcept."""
    coding = {"system": system_uri(code.system), "code": code.code, "display": code.display}
    words = text or code.display
    return {"coding": [_filled(coding)]} | ({"text": words} if words else {})


def coded(system: str, code: str, display: str = "") -> Json:
    """Return a CodeableConcept by the URI of its system."""
    return {"coding": [_filled({"system": system, "code": code, "display": display})]}


def value(said: Observation) -> Json:
    """Return ``value[x]`` of a statement."""
    if isinstance(said.value, Code):
        return {"valueCodeableConcept": concept(said.value)}
    if isinstance(said.value, str):
        return {"valueString": said.value}
    quantity = {"value": said.value, "unit": said.unit, "system": _URIS["UCUM"], "code": said.unit}
    return {"valueQuantity": quantity if said.unit else {"value": said.value}}


def uid_identifier(uid: str) -> Json:
    """Return a DICOM UID as an identifier."""
    return {"system": DICOM_UID, "value": f"urn:oid:{uid}"}


def own_identifier(name: str) -> Json:
    """Return an identifier of the node's own."""
    return {"system": OWN_SYSTEM, "value": name}


def identifier(held: Identifier) -> Json:
    """Return a patient identifier; its system is the universal ID as a URI."""
    prefix = {"ISO": "urn:oid:", "UUID": "urn:uuid:"}.get(held.universal_id_type, "")
    system = held.universal_id if held.universal_id.startswith("urn:") else prefix + held.universal_id
    return _filled({"system": system if held.universal_id else "", "value": held.value})


def moment(at: datetime | date | PartialDate | None) -> str:
    """Return a ``dateTime``: a time has its zone, or is left out."""
    if isinstance(at, datetime):
        return at.isoformat(timespec="seconds") if at.tzinfo else at.date().isoformat()
    return at.isoformat() if at else ""


def item_references(item: Item) -> list[Json]:
    """Return where a fact was read: resources as references, messages and headers in words."""
    words = item_in_words(item)
    parts = item.source.split(" and ")
    if all(_is_reference(part) for part in parts):
        return [{"reference": part, "display": words} for part in parts]
    return [{"display": f"{words} (from {item.source})"}]


def item_in_words(item: Item) -> str:
    """Return name, value and date of a fact."""
    return f"{item.name.replace('_', ' ')}: {item.words}" + (f", {item.on.isoformat()}" if item.on else "")


def full_url(name: str) -> str:
    """Return the ``fullUrl`` of an entry: the same name gives the same."""
    return f"urn:uuid:{uuid5(NAMESPACE_OID, f'{OWN_SYSTEM}|{name}')}"


def _is_reference(text: str) -> bool:
    kind, _, rest = text.partition("/")
    return kind.isalpha() and kind[:1].isupper() and bool(rest) and " " not in text


def _filled(element: Json) -> Json:
    return {name: content for name, content in element.items() if content}
