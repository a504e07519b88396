"""OBX and DG1: what a message says of the patient, as items of the record."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from hl7_emr import answers, codes
from hl7_emr.answers import Answer
from hl7_emr.codes import STANDARD_CODES, Vocabulary
from hl7_emr.domain import Code, Item, PartialDate, Status, Trust
from hl7_emr.hl7v2.datatypes import coded
from hl7_emr.hl7v2.message import Message, Segment, Value

# OBX-11, HL7 table 0085. What is missing here (I, O, S, N, empty results) is no statement.
_STATUS = {
    "F": Status.FINAL,
    "": Status.FINAL,
    "U": Status.FINAL,
    "V": Status.FINAL,
    "R": Status.PRELIMINARY,
    "P": Status.PRELIMINARY,
    "B": Status.PRELIMINARY,
    "C": Status.CORRECTED,
    "A": Status.CORRECTED,
    "W": Status.WITHDRAWN,
    "D": Status.WITHDRAWN,
    "X": Status.WITHDRAWN,
}
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:[.,]\d{1,9})?")
_BOUND = re.compile(r"\s*[<>]=?")
_CODED_TYPES = ("CWE", "CE", "CNE", "CF", "IS", "ID")


def statements(message: Message, vocabulary: Vocabulary = STANDARD_CODES) -> tuple[Item, ...]:
    """Return all that a message says of the patient, in its order.

    Two statements under one key in one message are two statements, not a correction: the second has its number in
    its key.
    """
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for item in _statements(message, vocabulary):
        seen[item.key, item.name] += 1
        number = seen[item.key, item.name]
        found.append(replace(item, key=f"{item.key} #{number}") if number > 1 else item)
    return tuple(found)


def _statements(message: Message, vocabulary: Vocabulary) -> Iterator[Item]:
    order = Segment("", message.delimiters, message.codec)
    for segment in message.segments:
        if segment.name == "OBR":
            order = segment
        elif segment.name == "OBX":
            yield from _observation(segment, order, message, vocabulary)
        elif segment.name == "DG1":
            yield from _diagnosis(segment, message, vocabulary)


def _source(segment: Segment, message: Message) -> str:
    return f"HL7 v2 message {message.control_id}, {segment.name} {segment.part(1) or '1'}"


def _observation(segment: Segment, order: Segment, message: Message, vocabulary: Vocabulary) -> Iterator[Item]:
    """Read one OBX: its question by any of the codes in OBX-3, its answer as ``answers.py`` reads it.

    Without a date of its own it is of the time of its order (OBR-7), or of the message.
    """
    status = _STATUS.get(segment.part(11).upper())
    asked = coded(segment.value(3))
    about = _about(asked, vocabulary)
    if status is None or not (about or any(map(vocabulary.is_hazard, asked))):
        return
    days = (segment.part(14), order.part(7), message.header.part(7))
    on = next(filter(None, map(PartialDate.parse, days)), None)
    # the same order, question and sub-id: a correction of what was said before
    key = f"OBX {order.part(3) or order.part(2)} {asked[0].code} {segment.part(4)}".rstrip()
    source = _source(segment, message)
    usable = status is not Status.WITHDRAWN
    said = list(answers.read(asked, _answer(segment, vocabulary), vocabulary)) if usable else []
    for name, value, trust, code in said:
        yield Item(name, value, source, on, code or asked[0], status, trust, key)
    # what is taken back, deleted, or now answered by what cannot be used, no more says what it had said
    for name in about - {name for name, *_ in said}:
        yield Item(name, "", source, on, asked[0], Status.WITHDRAWN, key=key)


def _about(asked: tuple[Code, ...], vocabulary: Vocabulary) -> set[str]:
    """Return the fields of the record that a question is about."""
    names = {name for code in asked if (name := vocabulary.question(code))}
    return names or {name for code in asked for name, _ in vocabulary.condition(code)}


def _answer(segment: Segment, vocabulary: Vocabulary) -> Answer:
    """Read OBX-5 by its type in OBX-2, or by its looks where OBX-2 is missing."""
    kind, value = segment.part(2).upper(), segment.value(5)
    unit = segment.part(6)
    if kind == "SN":
        # comparator, number, separator, number: a range or a ratio is no number
        number = _number(value.part(2)) if value.part(3) in ("", "+") else None
        comparator = ">" if value.part(3) == "+" else value.part(1)
        return Answer(number=number, unit=unit, comparator=comparator)
    if kind in _CODED_TYPES or (kind in ("", "ST", "TX") and value.part(3)):
        return Answer(codes=_answer_codes(value, vocabulary), text=value.part(9) or value.part(2))
    if kind in ("DT", "DTM", "TS"):
        return Answer(day=PartialDate.parse(value.part(1)))
    text = value.text
    sign = _BOUND.match(text)
    if kind == "NM" or sign:
        number = _number(text.lstrip("<>= "))
        return Answer(number=number, unit=unit, comparator=sign[0].strip() if sign else "")
    return Answer(text=text, unit=unit, day=PartialDate.parse(text))


def _answer_codes(value: Value, vocabulary: Vocabulary) -> tuple[Code, ...]:
    """Read a coded answer; a code without a system is tried where its form fits only one."""
    found = []
    for code in coded(value):
        if code.system or vocabulary.is_local(code):
            found.append(code)
        elif code.code.upper().startswith("LA"):
            found.append(Code("LN", code.code, code.display))
        elif code.code.isdigit() and len(code.code) >= 6:  # an SCTID has 6 to 18 digits
            found.append(Code("SCT", code.code, code.display))
    return tuple(found)


def _number(text: str) -> float | None:
    """Read NM: a sign, digits, a point; some write a comma."""
    found = _NUMBER.fullmatch(text.strip())
    return float(found[0].replace(",", ".")) if found else None


def _diagnosis(segment: Segment, message: Message, vocabulary: Vocabulary) -> Iterator[Item]:
    """Read a DG1 by its code; DG1-21 D takes it back, DG1-6 tells working diagnoses from final ones."""
    status = Status.WITHDRAWN if segment.part(21).upper() == "D" else Status.FINAL
    if segment.part(6).upper() in ("W", "A") and status is Status.FINAL:  # working, admitting
        status = Status.PRELIMINARY
    on = PartialDate.parse(segment.part(5)) or PartialDate.parse(message.header.part(7))
    for code in coded(segment.value(3)) or coded(segment.value(4)):
        # DG1-2 was the place of the coding system before version 2.3
        system = code.system or codes.system(segment.part(2))
        coding = Code(system, code.code, code.display)
        for name, value in vocabulary.condition(coding):
            key = f"{segment.name} {system} {code.code}"
            trust = Trust.DIAGNOSIS if name == "smoking_status" else Trust.CODED
            yield Item(name, value, _source(segment, message), on, coding, status, trust, key)
