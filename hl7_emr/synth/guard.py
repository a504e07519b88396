"""What keeps made-up records apart from real patients and real systems."""

from collections.abc import Callable, Iterable

from hl7_emr.domain import Identifier, PatientRecord
from hl7_emr.errors import SyntheticRefused

Knows = Callable[[Identifier], bool]


def check_patient(identifier: Identifier, real_sources: Iterable[Knows]) -> None:
    """Refuse a made-up record for a patient whom a configured source of real records knows.

    Raises
    ------
    SyntheticRefused
        One of them does.
    """
    if any(knows(identifier) for knows in real_sources):
        raise SyntheticRefused("a source of real records knows this patient: no synthetic record is made or used")


def check_destination(record: PatientRecord, name: str, *, is_test: bool) -> None:
    """Refuse to send what rests on a made-up record to a destination that is not marked as a test.

    Raises
    ------
    SyntheticRefused
        It is not.
    """
    if record.synthetic and not is_test:
        raise SyntheticRefused(f"destination {name} is not marked as a test: results with a synthetic record stay here")
