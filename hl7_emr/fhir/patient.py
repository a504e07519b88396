"""``Patient`` -> who the patient is, as far as identity can be judged by it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hl7_emr.domain import Identifier, Patient, PersonName
from hl7_emr.fhir.elements import Json, as_date, as_list, as_object, as_text, codings, reference_of
from hl7_emr.identity import Candidate

_SEX: Mapping[str, str] = MappingProxyType({"female": "F", "male": "M"})
_NAME_USES: Mapping[str, str] = MappingProxyType({"official": "L", "usual": "D", "maiden": "M", "nickname": "N"})
_REPRESENTATIONS: Mapping[str, str] = MappingProxyType({"ABC": "A", "IDE": "I", "SYL": "P"})
_BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
_REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_SYNTHETIC_TAGS = frozenset({"HTEST", "synthetic"})
_LONGEST_CHAIN = 5

Read = Callable[[str], Json | None]


def candidate(resource: Json, read: Read, depth: int = 0) -> Candidate:
    """Return a patient as a candidate for identity; a record that was replaced brings the one that replaced it.

    Parameters
    ----------
    read : callable
        Reads the resource of a reference; None where it is not there.
    """
    replacement = _replacement(resource)
    following = read(replacement) if replacement and depth < _LONGEST_CHAIN else None
    return Candidate(
        patient=patient(resource),
        source=reference_of(resource),
        active=resource.get("active") is not False or bool(replacement),
        replaced=bool(replacement),
        replaced_by=candidate(following, read, depth + 1) if following else None,
        deceased=as_date(resource.get("deceasedDateTime")),
    )


def patient(resource: Json) -> Patient:
    """Return identifiers that are in use, all names, birth date and sex."""
    identifiers = map(_identifier, filter(_in_use, map(as_object, as_list(resource.get("identifier")))))
    names = map(_name, map(as_object, as_list(resource.get("name"))))
    return Patient(
        identifiers=tuple(each for each in identifiers if each.value),
        names=tuple(each for each in names if each.family),
        birth_date=as_date(resource.get("birthDate")),
        sex=_sex(resource),
    )


def is_synthetic(resource: Json) -> bool:
    """Tell whether a resource is marked as test data (HL7 v3 ActReason HTEST)."""
    tags = as_list(as_object(resource.get("meta")).get("tag"))
    return any(as_text(as_object(tag).get("code")) in _SYNTHETIC_TAGS for tag in tags)


def _replacement(resource: Json) -> str:
    for link in as_list(resource.get("link")):
        if as_object(link).get("type") == "replaced-by":
            return as_text(as_object(as_object(link).get("other")).get("reference"))
    return ""


def _in_use(identifier: Json) -> bool:
    """Leave out an identifier that was the patient's once: it finds, but does not prove."""
    return identifier.get("use") != "old" and "end" not in as_object(identifier.get("period"))


def _identifier(element: Json) -> Identifier:
    kinds = [code.code for code in codings(element.get("type"))]
    system = as_text(element.get("system"))
    return Identifier(
        value=as_text(element.get("value")),
        universal_id=system,
        universal_id_type="URI" if system else "",
        type_code=kinds[0] if kinds else "",
    )


def _name(element: Json) -> PersonName:
    given = tuple(text for each in as_list(element.get("given")) if (text := as_text(each)))
    family = as_text(element.get("family"))
    if not family:  # the whole name in one piece, in an order that is not told
        family, given = as_text(element.get("text")) or " ".join(given), ()
    suffixes = (as_text(each) for each in as_list(element.get("suffix")))
    return PersonName(
        family=family,
        given=given,
        use=_NAME_USES.get(as_text(element.get("use")), ""),
        representation=_REPRESENTATIONS.get(_extension_code(element, _REPRESENTATION), ""),
        suffix=next((suffix for suffix in suffixes if suffix), ""),
    )


def _sex(resource: Json) -> str:
    """Administrative gender; where the sex at birth says otherwise, nothing is said."""
    sex = _SEX.get(as_text(resource.get("gender")), "")
    at_birth = _extension_code(resource, _BIRTH_SEX)
    return "" if at_birth in ("F", "M") and at_birth != sex else sex


def _extension_code(element: Json, url: str) -> str:
    for extension in as_list(element.get("extension")):
        if as_object(extension).get("url") == url:
            return as_text(extension.get("valueCode"))
    return ""
