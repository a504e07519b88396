"""The record's nouns, each naming its HL7 v2 and FHIR home.

Every value carries where it comes from. Unknown is None and stays unknown.
"""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Item:
    """One fact of the record.

    Attributes
    ----------
    name : str
        The input's name in a risk model, for example ``"age"``.
    value : float, bool or str
        In the unit that ``name`` implies (years, pack-years...).
    source : str
        Where it was read: ``"DICOM Patient's Age (0010,1010)"``, a FHIR resource and version, a message control id
        and segment.
    on : date or None
        When it was recorded.
    """

    name: str
    value: float | bool | str
    source: str
    on: date | None = None


@dataclass(frozen=True)
class PatientRecord:
    """What is known of one patient that a risk model can use.

    Attributes
    ----------
    age_years : Item or None
        At the time of the study. PID-7; ``Patient.birthDate``.
    sex : Item or None
        ``"F"`` or ``"M"``. PID-8; ``Patient.gender``.
    family_history_of_lung_cancer : Item or None
        OBX; ``FamilyMemberHistory.condition``.
    emphysema : Item or None
        DG1; ``Condition``.
    ever_smoker : Item or None
        OBX with LOINC 72166-2; ``Observation`` with the same code.
    extrathoracic_cancer : Item or None
        DG1; ``Condition``.
    """

    age_years: Item | None = None
    sex: Item | None = None
    family_history_of_lung_cancer: Item | None = None
    emphysema: Item | None = None
    ever_smoker: Item | None = None
    extrathoracic_cancer: Item | None = None

    def items(self) -> tuple[Item, ...]:
        """Return the known facts, in the order of the fields."""
        values = (getattr(self, name) for name in self.__dataclass_fields__)
        return tuple(value for value in values if value is not None)
