"""Whatever the bytes are: no exception, one answer, nothing invented, nothing slow."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hl7_emr.hl7v2.acknowledgement import read_answer
from hl7_emr.hl7v2.delimiters import STANDARD
from hl7_emr.hl7v2.escapes import escape, unescape
from hl7_emr.hl7v2.framing import Deframer, Frame, frame
from hl7_emr.hl7v2.intake import Rules
from hl7_emr.hl7v2.judge import Judge
from hl7_emr.stores import PatientUpdate
from tests.support.data import needs_data
from tests.support.hl7_messages import SAMPLES, message, msh, obx, pid, sample

JUDGE = Judge(Rules(), lambda: datetime(2026, 1, 1, tzinfo=UTC))
_SIGNS = (
    b"|",
    b"^",
    b"~",
    b"\\",
    b"&",
    b"\r",
    b"\n",
    b"\x0b",
    b"\x1c",
    b"\0",
    b"\xff",
    b"\x1b$B",
    b'""',
    b"MSH|",
    b"PID|",
)
_CHARSETS = (b"8859/1", b"ISO IR87", b"GB 18030-2000", b"BIG-5", b"UNICODE UTF-16", b"KLINGON", b"~", b"ASCII")


def check(content: bytes) -> None:
    """Judge a frame and hold the result against what must always be true."""
    judged = JUDGE.examine(Frame(content), "peer")
    assert judged.examined
    for each in judged.examined:
        assert bool(each.error) == bool(each.received.refused)
        assert not (each.error and each.received.changes)
        for change in each.received.changes:
            if isinstance(change, PatientUpdate):
                assert all(identifier.value for identifier in change.patient.identifiers)
    for reply in JUDGE.replies(judged, None):
        assert not set(reply) & {0x0B, 0x1C}
        assert reply.endswith(b"\r")
        answer = read_answer(reply)
        assert answer is not None
        assert answer.code in ("AA", "AE", "AR", "CA", "CE", "CR")
    failed = JUDGE.replies(judged, None)
    assert Deframer(1 << 20).feed(b"".join(map(frame, failed))) == [Frame(reply) for reply in failed]


@given(st.binary(max_size=300))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_answered(content: bytes) -> None:
    check(content)


@given(st.binary(max_size=300))
@settings(max_examples=500, deadline=None)
def test_any_bytes_behind_a_header_are_answered(tail: bytes) -> None:
    check(msh().encode() + b"\r" + tail)


@example(b"\x0b\0\0\0", [3], 1)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8), st.integers(1, 50))
@settings(max_examples=500, deadline=None)
def test_frames_do_not_depend_on_the_packets(stream: bytes, cuts: list[int], limit: int) -> None:
    stream = stream.replace(b"M", b"\x0b").replace(b"A", b"\x1c")
    whole, cut = Deframer(limit), Deframer(limit)
    expected = whole.feed(stream) + whole.end()
    places = [0, *sorted(min(place, len(stream)) for place in cuts), len(stream)]
    pieces = (stream[start:end] for start, end in pairwise(places))
    assert [each for piece in pieces for each in cut.feed(piece)] + cut.end() == expected


@given(st.text(max_size=100))
@settings(max_examples=500, deadline=None)
def test_text_comes_back_through_escapes(text: str) -> None:
    meant = "".join(sign for sign in text.replace("\r\n", "\n").replace("\r", "\n") if sign >= " " or sign == "\n")
    assert unescape(escape(text, STANDARD), STANDARD, "utf-8") == meant.replace("\x7f", "")


def _mutants(seeds: list[bytes], random: Random, n: int) -> Iterator[bytes]:
    for _ in range(n):
        mutant = bytearray(random.choice(seeds)[:4000])
        for _ in range(random.randint(1, 6)):
            _mutate(mutant, random, seeds)
        yield bytes(mutant)


def _mutate(mutant: bytearray, random: Random, seeds: list[bytes]) -> None:
    place = random.randrange(len(mutant) + 1)
    length = random.choice((1, 1, 3, 20, 200))
    kind = random.randrange(7)
    if kind == 0:
        del mutant[place : place + length]
    elif kind == 1:
        mutant[place:place] = random.choice(_SIGNS) * random.choice((1, 1, 1, 40))
    elif kind == 2:
        mutant[place : place + 1] = bytes([random.randrange(256)])
    elif kind == 3:
        other = random.choice(seeds)
        start = random.randrange(len(other))
        mutant[place:place] = other[start : start + length]
    elif kind == 4:
        del mutant[place:]
    elif kind == 5:
        mutant[place:place] = mutant[: random.randrange(400)]
    else:
        fields = bytes(mutant).split(b"|")
        fields[random.randrange(len(fields))] = random.choice((*_CHARSETS, b'""', b"", b"AL", b"9" * 300))
        mutant[:] = b"|".join(fields)


def _seeds() -> list[bytes]:
    order = ("ORC|NW|P1", "OBR|1|P1|F1|CT", "IPC|A1|RP|1.2", obx("72166-2^^LN", "CWE", "266919005^^SCT"))
    batch = message("BHS|^~\\&") + message(msh(), pid()) + message("BTS|1")
    merge = message(msh("ADT^A40"), pid(), "MRG|2^^^HOSP")
    shared = [sample(path.stem) for path in sorted(SAMPLES.glob("*.hl7"))]
    return [message(msh("OMI^O23"), pid(), *order), batch, merge, *shared]


@needs_data
def test_broken_messages_are_answered() -> None:
    for mutant in _mutants(_seeds(), Random(20260101), 2_000):
        check(mutant)


@needs_data
@pytest.mark.slow
def test_a_hundred_thousand_broken_messages_are_answered() -> None:
    for mutant in _mutants(_seeds(), Random(42), 100_000):
        check(mutant)


@pytest.mark.parametrize(
    "content",
    [
        message(msh(), pid(), *["OBX|1|NM|8664-5^^LN||1"] * 20_000),
        message(msh(), pid(name="^" * 200_000)),
        message(msh(), "PID|1||" + "1^^^A~" * 50_000),
        message(msh(), pid(), "NTE|1||" + "\\" * 200_000),
        message(msh(), pid(), "NTE|1||" + "\\X" * 100_000),
        message(msh(), pid()) + b"x\r" * 100_000,
        message(*[msh()] * 20_000),
        b"MSH" * 100_000,
        b"\n" * 500_000,
    ],
    ids=[
        "many OBX",
        "carets",
        "repetitions",
        "escapes",
        "hex escapes",
        "odd lines",
        "many MSH",
        "MSH MSH",
        "line feeds",
    ],
)
@pytest.mark.slow
def test_large_and_repetitive_messages_take_no_more_than_their_size(content: bytes) -> None:
    """Quadratic work would take minutes here; the test's own limit is that of the whole run."""
    check(content)
