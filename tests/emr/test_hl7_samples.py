"""The 34 shared real messages are read with the values that stand in them.

The expected values were read off the files by eye and cut(1). A second, naive reading (split at CR, ``|`` and ``^``)
is the judge of all fields that no escape or repetition touches.
"""

import pytest

from hl7_emr.domain import Identifier, ImagingOrder
from hl7_emr.hl7v2.intake import Rules, changes_of
from hl7_emr.hl7v2.message import read
from hl7_emr.hl7v2.patients import patient
from hl7_emr.stores import Merge, PatientUpdate
from tests.support.data import needs_data
from tests.support.hl7_messages import SAMPLES, sample

pytestmark = needs_data

_EVERYMAN = ("PATID1234", "EVERYMAN", "ADAM", "1988-08-18", "M")
_EVERYMAN_1961 = ("PATID1234", "EVERYMAN", "ADAM", "1961-06-15", "M")
_DUCK = ("10006579", "DUCK", "DONALD", "1924-10-10", "M")
_PROSOLV = ("987654321", "PROSOLV", "SAMPLE", "1972-12-01", "M")
_FINN_CONTROL_ID = "2.16.840.1.114222.4.3.3.5.1.2-20120314235954.325"
# file -> type, event, control id, segments, and of the PID: first identifier, family, given, birth date, sex
EXPECTED = {
    "ADT-A01-01": ("ADT", "A01", "MSG00001", 24, *_EVERYMAN),
    "ADT-A02-01": ("ADT", "A02", "MSG00001", 14, *_EVERYMAN),
    "ADT-A03-01": ("ADT", "A03", "MSG00001", 24, *_EVERYMAN),
    "ADT-A04-01": ("ADT", "A04", "MSG00001", 24, *_EVERYMAN),
    "ADT-A05-01": ("ADT", "A05", "MSG00001", 23, *_EVERYMAN),
    "ADT-A06-01": ("ADT", "A06", "MSG00006", 23, *_EVERYMAN_1961),
    "ADT-A07-01": ("ADT", "A07", "MSG00007", 23, *_EVERYMAN_1961),
    "ADT-A08-01": ("ADT", "A08", "MSG00001", 24, *_EVERYMAN),
    "ADT-A11-01": ("ADT", "A11", "MSG00001", 9, *_EVERYMAN),
    "ADT-A13-01": ("ADT", "A13", "MSG00001", 24, *_EVERYMAN),
    "ADT-A28-01": ("ADT", "A28", "MSG00001", 23, *_EVERYMAN),
    "ADT-A31-01": ("ADT", "A31", "MSG00001", 23, *_EVERYMAN),
    "ADT-A40-01": ("ADT", "A40", "8919-40", 4, "12345", "Test", "Test", "2018-02-05", "F"),
    "ADT-A60-01": ("ADT", "A60", "MSG00001", 11, *_EVERYMAN),
    "ADT01-23": ("ADT", "A01", "599102", 12, *_DUCK),
    "ADT01-28": ("ADT", "A01", "MSG00001", 5, *_EVERYMAN_1961),
    "ADT04-23": ("ADT", "A04", "Q123456789T123456789X123456", 8, "123456789", "BROS", "MARIO", "1985-01-01", "M"),
    "ADT04-251": ("ADT", "A04", "1270326314", 4, "MRN12345", "Doe", "Jane", "1978-01-01", "F"),
    "ADT04-28": ("ADT", "A04", "1270326314", 8, "0000000001", "Bixby", "Timothy", "2008-01-06", "M"),
    "LAB-ORM-1": ("ORM", "O01", "MSGID20060307110114", 5, *_DUCK),
    "LAB-ORU-1": ("ORU", "R01", "182", 16, *_DUCK),
    "MDM-T01-01": ("MDM", "T01", "PS1-20080131160038", 11, *_PROSOLV),
    "MDM-T02-01": ("MDM", "T02", "PS1-20080131160038", 13, *_PROSOLV),
    "MDM-T02-03": ("MDM", "T02", "112", 36, "3196695816", "Clark", "Frederick", "1930-01-22", "M"),
    "MDM_01": ("ADT", "A01", "MSG00001", 12, *_EVERYMAN),
    "OMG-O19-01": ("OMG", "O19", "MSG00019", 50, *_EVERYMAN),
    "ORM-O01-01": ("ORM", "O01", "MSG00018", 12, *_EVERYMAN),
    "ORM-O01-03": ("ORM", "O01", "MSG00018", 14, *_EVERYMAN),
    "ORU-R01-01": ("ORU", "R01", _FINN_CONTROL_ID, 29, "14", "Finn", "Huckleberry", "1963-08-15", "M"),
    "ORU-R01-RMGEAD": ("ORU", "R01", "CNTRL-3456", 4, "555-44-4444", "EVERYWOMAN", "EVE", "1962-03-20", "F"),
    "PC1-Problem-Add-v2.3.1": ("PPR", "PC1", "331", 3, "10290", "KARLS", "TOM", "2004-05-30", "M"),
    "PC1-Problem-Delete-v2.3.1": ("PPR", "PC3", "396", 4, "10292", "KARLS", "JON", "1980-06-29", "M"),
    "PC1-Problem-Update-v2.3.1": ("PPR", "PC2", "383", 3, "10291", "KARLS", "JANET", "1979-06-29", "F"),
    "REF-I12-01": ("REF", "I12", "MSG00112", 24, *_EVERYMAN_1961),
}


def test_all_shared_messages_are_expected() -> None:
    assert {path.stem for path in SAMPLES.glob("*.hl7")} == set(EXPECTED)
    assert len(EXPECTED) == 34


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_shared_message_says_what_stands_in_it(name: str) -> None:
    found = read(sample(name))
    person = patient(found.all("PID")[0])
    assert person.birth_date is not None
    assert (
        found.kind,
        found.event,
        found.control_id,
        len(found.segments),
        person.identifiers[0].value,
        person.names[0].family,
        person.names[0].given[0],
        person.birth_date.isoformat(),
        person.sex,
    ) == EXPECTED[name]
    assert found.doubts == ()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_plain_field_of_a_shared_message_equals_a_naive_reading(name: str) -> None:
    lines = sample(name).decode("utf-8-sig").strip("\r").split("\r")
    found = read(sample(name))
    compared = 0
    for line, segment in zip(lines, found.segments, strict=True):
        fields = line.split("|")
        offset = 1 if fields[0] == "MSH" else 0
        for number, text in enumerate(fields[1:], start=1 + offset):
            if any(sign in text for sign in "~&\\\n") or text == '""':
                continue
            for place, part in enumerate(text.split("^"), start=1):
                assert segment.part(number, place) == part.strip()
                compared += 1
    assert compared > 40


def test_the_shared_merge_says_who_became_whom() -> None:
    merge, update = changes_of(read(sample("ADT-A40-01")), Rules())
    assert merge == Merge(
        prior=(Identifier("56789", "BCBS", type_code="MR"),), surviving=(Identifier("12345", "BCBS", type_code="MR"),)
    )
    assert isinstance(update, PatientUpdate)


def test_the_shared_orders_are_read() -> None:
    """ORM-O01-03 holds two orders; the accession number is ORC-3, as OBR-18 and OBR-3 are empty."""
    orders = [change for change in changes_of(read(sample("ORM-O01-03")), Rules()) if isinstance(change, ImagingOrder)]
    assert [(order.accession_number, order.control) for order in orders] == [("1201", "NW"), ("2301", "NW")]
    assert orders[0].procedure is not None
    assert (orders[0].procedure.code, orders[0].procedure.system) == ("24725-4", "LN")
    assert orders[0].placer_order_number is not None
    assert orders[0].placer_order_number.value == "1101"


def test_an_identifier_keeps_its_authority() -> None:
    first, second = patient(read(sample("ADT-A01-01")).all("PID")[0]).identifiers[:2]
    assert first == Identifier("PATID1234", "test1", "2.16.1", "HCD", "MR")
    assert second == Identifier("123456789", "USSSA", type_code="SS")
