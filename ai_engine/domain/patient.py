"""What the engine may know of the patient."""

from dataclasses import dataclass
from enum import StrEnum


class Sex(StrEnum):
    """Sex as the risk models use it."""

    FEMALE = "F"
    MALE = "M"


@dataclass(frozen=True)
class ClinicalContext:
    """What the risk models may know of the patient; ``None`` means unknown and stays unknown."""

    age_years: float | None = None
    sex: Sex | None = None
    family_history_of_lung_cancer: bool | None = None
    emphysema: bool | None = None
    ever_smoker: bool | None = None
    extrathoracic_cancer: bool | None = None
