"""Elements of FHIR resources as they really come: a wrong type is an absent element, never an error.

Strict models lose the whole patient to one bad row; here the row loses what is bad in it.
"""

from collections.abc import Iterator
from typing import Any

from hl7_emr import codes
from hl7_emr.domain import Code, PartialDate

Json = dict[str, Any]


def as_list(value: Any) -> list[Any]:
    """Return a list, or an empty one."""
    return value if isinstance(value, list) else []


def as_object(value: Any) -> Json:
    """Return a JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str:
    """Return a string without spaces at its ends, or an empty one."""
    return value.strip() if isinstance(value, str) else ""


def as_number(value: Any) -> float | None:
    """Return a number, or None; true and false are none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def as_date(value: Any) -> PartialDate | None:
    """Return the day of a ``date``, ``dateTime`` or ``instant``, or None."""
    return PartialDate.parse(value) if isinstance(value, str) else None


def codings(concept: Any) -> Iterator[Code]:
    """Yield the codings of a CodeableConcept that have a code, their systems under our names."""
    for coding in as_list(as_object(concept).get("coding")):
        if code := as_text(as_object(coding).get("code")):
            yield Code(codes.system(as_text(coding.get("system"))), code, as_text(coding.get("display")))


def codes_of(concept: Any) -> set[str]:
    """Return the codes of a CodeableConcept, whatever their system; or a plain code, as R3 and some servers have it."""
    return {each.code for each in codings(concept)} | ({concept} if isinstance(concept, str) else set())


def reference_of(resource: Json) -> str:
    """Return what names this version of a resource: ``Observation/17/_history/2``."""
    version = as_text(as_object(resource.get("meta")).get("versionId"))
    name = f"{as_text(resource.get('resourceType'))}/{as_text(resource.get('id'))}"
    return f"{name}/_history/{version}" if version else name


def refers_to(reference: Any, patient: str, base_url: str) -> bool:
    """Tell whether a Reference is this patient (``Patient/17``), by a relative or absolute literal of this server."""
    literal = as_text(as_object(reference).get("reference")).removeprefix(base_url)
    return literal.split("/_history/")[0] == patient
