"""One statement about a patient: its code, how settled it is, how it was come by; and statements that contradict.

``domain.py`` passes these nouns on: import them from there.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from hl7_emr.partial_date import PartialDate


@dataclass(frozen=True)
class Code:
    """A coded concept: HL7 v2 CWE, FHIR Coding.

    Attributes
    ----------
    system : str
        The coding scheme as HL7 v2 table 0396 and DICOM name it: ``"LN"`` LOINC, ``"SCT"`` SNOMED CT, ``"I10C"``
        ICD-10-CM, ``"UCUM"``, ``"DCM"``; one that has no such name is kept as it came (a FHIR system URI).
    """

    system: str
    code: str
    display: str = ""


class Status(StrEnum):
    """How settled a statement is. OBX-11; ``Observation.status``, ``Condition.verificationStatus``."""

    FINAL = "final"
    PRELIMINARY = "preliminary"
    CORRECTED = "corrected"
    # never used; it takes back what the same source said before
    WITHDRAWN = "withdrawn"


class Trust(StrEnum):
    """How a value was come by; the better one wins where two disagree. Best first."""

    CODED = "coded"
    # a code of a list of answers, such as LOINC's LA18978-9
    ANSWER = "answer"
    # implied by a diagnosis: Z87.891 says that the patient has smoked
    DIAGNOSIS = "diagnosis"
    # read from text, or from a code of no known system
    TEXT = "text"


class SmokingStatus(StrEnum):
    """What is said about smoking, as far as it can be told apart.

    ``NON_SMOKER`` (SNOMED 8392000) is no ``NEVER``: it says nothing about the past.
    """

    CURRENT = "current"
    FORMER = "former"
    NEVER = "never"
    NON_SMOKER = "non-smoker"
    EVER = "ever"


class AlcoholUse(StrEnum):
    """What is said about alcohol (LOINC 11331-6 and its SNOMED CT answers)."""

    NONE = "none"
    OCCASIONAL = "occasional"
    SOCIAL = "social"
    HEAVY = "heavy"


@dataclass(frozen=True)
class Item:
    """One fact of the record.

    Attributes
    ----------
    name : str
        The field of ``PatientRecord`` that it belongs to, for example ``"age_years"``.
    value : float, bool, str or PartialDate
        In the unit that ``name`` implies (years, pack-years...).
    source : str
        Where it was read: ``"DICOM Patient's Age (0010,1010)"``, a FHIR resource and version
        (``"Observation/17/_history/2"``), a message control id and segment (``"HL7 v2 message 4711, OBX 3"``).
    on : date, PartialDate or None
        When it was recorded, or true.
    code : Code or None
        The code that the value was read from.
    key : str
        Names the statement within its source, so that a later message corrects it or takes it back.
    """

    name: str
    value: float | bool | str | PartialDate
    source: str
    on: date | PartialDate | None = None
    code: Code | None = None
    status: Status = Status.FINAL
    trust: Trust = Trust.CODED
    key: str = ""

    @property
    def words(self) -> str:
        """The value as a person reads it; the same in every report."""
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        return f"{self.value:g}" if isinstance(self.value, int | float) else str(self.value)


@dataclass(frozen=True)
class Conflict:
    """Statements that cannot all be true: none of them is used.

    Attributes
    ----------
    name : str
        What they are about: a field of ``PatientRecord``, or ``"smoking"`` for all of its fields.
    words : str
        The contradiction in a sentence, for the report. Values only, no name and no ID.
    """

    name: str
    words: str
    items: tuple[Item, ...]
