"""What was asked of the patient's record for one study, and what came of it: for the report, the ledger and the EMR."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from hl7_emr.domain import PatientRecord

NOBODY_ASKED = "no source of records is configured"
USED = "used"
# nobody knows the patient, or an answer did not come: no fault of anybody's identity
NOT_FOUND, UNAVAILABLE = "not_found", "unavailable"


@dataclass(frozen=True)
class RecordUsed:
    """The record that an analysis used, and how it was come by.

    Attributes
    ----------
    record : PatientRecord
        What the images say of the patient and, where identity was confirmed, what the sources say. No
        demographics.
    decision : str
        Empty: no source is configured. Else ``"used"``, ``"unavailable"``, ``"synthetic"`` (not used for that), or the
        code of ``hl7_emr.identity.Reason``.
    words : str
        The decision in words, with no value of any patient.
    notes : tuple of str
        What could not be read or was left out.
    """

    record: PatientRecord
    decision: str = ""
    words: str = NOBODY_ASKED
    notes: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the report says of it beside the items; nothing where nobody was asked."""
        return tuple(self._sentences())

    @property
    def counter(self) -> str:
        """The counter that this study adds to; empty: none."""
        if not self.decision:
            return ""
        as_it_is = (USED, NOT_FOUND, UNAVAILABLE)
        return f"record_{self.decision}" if self.decision in as_it_is else "record_refused"

    def as_json(self) -> dict[str, Any]:
        """Return what the ledger keeps."""
        document: dict[str, Any] = _USED.dump_python(self, mode="json")
        return document

    def _sentences(self) -> Iterator[str]:
        if not self.decision:
            return
        code = "" if self.decision == USED else f" [{self.decision}]"
        yield f"Patient {self.words}{code}."
        if self.record.synthetic:
            yield "The patient record is synthetic: made up, true of no living person."
        for conflict in self.record.conflicts:
            yield f"Contradictory in the patient record, not used: {conflict.name.replace('_', ' ')}: {conflict.words}."
        yield from (f"Patient record: {note}." for note in self.notes)


_USED = TypeAdapter(RecordUsed)


def from_json(document: dict[str, Any]) -> RecordUsed:
    """Read what ``as_json`` wrote."""
    return _USED.validate_python(document)


def united(of_images: PatientRecord, found: PatientRecord) -> PatientRecord:
    """Return what the sources say, and of age and sex what the images say: they are of the day of the study."""
    return replace(
        found, age_years=of_images.age_years or found.age_years, sex=of_images.sex or found.sex, patient=None
    )
