"""What the generator is told, and what it makes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from hl7_emr import answers, facts
from hl7_emr.answers import Answer
from hl7_emr.codes import STANDARD_CODES
from hl7_emr.domain import Code, Identifier, Item, PartialDate, Patient, PatientRecord, PersonName, Trust


@dataclass(frozen=True)
class Attributes:
    """The nodule that a patient's record is made for, and who the patient is. No malignancy: it cannot leak.

    Attributes
    ----------
    spiculation, lobulation, texture : float
        As LIDC-IDRI rates them, 1 to 5; texture 5 is solid.
    calcification : float
        1 to 6; 6 is none.
    studied_on : date
        Everything in the record happened before.
    names, birth_date, sex
        As the images have them; what is missing is drawn.
    age_years : float or None
        As the images have it, where there is no birth date.
    """

    identifier: Identifier
    spiculation: float
    lobulation: float
    texture: float
    calcification: float
    studied_on: date
    names: tuple[PersonName, ...] = ()
    birth_date: PartialDate | None = None
    sex: str = ""
    age_years: float | None = None


@dataclass(frozen=True)
class Statement:
    """One thing that is said of the patient: an answer to a question, or a diagnosis where there is no answer."""

    code: Code
    on: date
    answer: Answer | None = None

    def items(self, source: str) -> list[Item]:
        """Return what it says, as it would be read from a message or a resource."""
        on = PartialDate.of(self.on)
        if self.answer is not None:
            said = answers.read([self.code], self.answer)
            return [Item(name, value, source, on, code, trust=trust) for name, value, trust, code in said]
        return [
            Item(
                name,
                value,
                source,
                on,
                self.code,
                trust=Trust.DIAGNOSIS if name == "smoking_status" else Trust.CODED,
            )
            for name, value in STANDARD_CODES.condition(self.code)
        ]


@dataclass(frozen=True)
class SyntheticPatient:
    """A made-up patient.

    Attributes
    ----------
    statements : tuple of Statement
        In the order in which they were made; some contradict each other.
    mode : str
        ``"label-free"`` or ``"emeralds"``.
    """

    patient: Patient
    studied_on: date
    statements: tuple[Statement, ...]
    mode: str
    seed: int
    contradictory: bool = field(default=False)

    @property
    def source(self) -> str:
        """What each item says of its origin."""
        return f"synthetic ({self.mode}, seed {self.seed})"

    def record(self) -> PatientRecord:
        """Return the record in neutral form."""
        return record_of([item for each in self.statements for item in each.items(self.source)], self)


def record_of(items: Sequence[Item], made: SyntheticPatient) -> PatientRecord:
    """Weigh statements about a made-up patient, however they came; the record is marked as synthetic."""
    return facts.compile_record(items, made.patient, made.source, made.studied_on, synthetic=True)
