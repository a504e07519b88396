"""Bytes to fields: frames, character sets, delimiters, escapes, line ends, batches."""

import pytest

from hl7_emr.errors import MessageError
from hl7_emr.hl7v2 import batch
from hl7_emr.hl7v2.framing import Deframer, Fault, Frame, frame
from hl7_emr.hl7v2.message import read
from tests.support.hl7_messages import message, msh, pid

ADT = message(msh(), pid())


def deframe(*packets: bytes, max_bytes: int = 1000) -> list[Frame]:
    deframer = Deframer(max_bytes)
    frames = [each for packet in packets for each in deframer.feed(packet)]
    return frames + deframer.end()


@pytest.mark.parametrize(
    "packets",
    [
        (b"\x0bA\x1c\r\x0bB\x1c\r",),
        (b"\x0bA\x1c", b"\r\x0bB", b"\x1c\r"),
        (b"\x0bA\x1c\r\n", b"\r\n\x0bB\x1c\r\n"),
        (b"\x0bA\x1c\x0bB\x1c",),
        tuple(bytes([byte]) for byte in b"\x0bA\x1c\r\x0bB\x1c\r"),
    ],
    ids=["one packet", "cut between FS and CR", "line ends around", "no CR", "byte by byte"],
)
def test_frames_come_out_however_they_were_cut(packets: tuple[bytes, ...]) -> None:
    assert deframe(*packets) == [Frame(b"A"), Frame(b"B")]


def test_a_frame_that_was_never_ended_is_told_apart_from_the_next() -> None:
    assert deframe(b"\x0bA\x0bB\x1c\r") == [Frame(b"A", Fault.UNENDED), Frame(b"B")]


def test_bytes_outside_frames_are_told() -> None:
    assert deframe(b"GET / HTTP/1.1\r\n\r\n\x0bA\x1c\r") == [
        Frame(b"GET / HTTP/1.1\r\n\r\n", Fault.UNFRAMED),
        Frame(b"A"),
    ]


def test_a_frame_cut_off_is_told_at_the_end() -> None:
    assert deframe(b"\x0bA\x1c\r\x0bMSH") == [Frame(b"A"), Frame(b"MSH", Fault.CUT_OFF)]


def test_a_frame_too_large_is_not_held_and_the_next_is_read() -> None:
    found = deframe(b"\x0bMSH" + b"x" * 20_000, b"x" * 20_000 + b"\x1c\r\x0bB\x1c\r")
    assert [each.fault for each in found] == [Fault.TOO_LARGE, None]
    assert found[0].content.startswith(b"MSH")
    assert len(found[0].content) <= 4096


def test_a_framed_message_comes_back() -> None:
    assert deframe(frame(ADT)) == [Frame(ADT)]


@pytest.mark.parametrize(
    ("declared", "codec", "name"),
    [
        ("UNICODE UTF-8", "utf-8", "Grüßer"),
        ("", "utf-8", "Grüßer"),
        ("", "cp1252", "Grüßer"),
        ("ASCII", "cp1252", "Grüßer"),
        ("8859/1", "iso8859-1", "Grüßer"),
        ("8859/2", "iso8859-2", "Łukasz"),
        ("8859/5", "iso8859-5", "Иванов"),
        ("8859/7", "iso8859-7", "Παπαδόπουλος"),
        ("8859/15", "iso8859-15", "Œuvre"),
        ("ISO IR87", "iso2022_jp", "山田"),
        ("~ISO IR87", "iso2022_jp", "山田"),
        ("GB 18030-2000", "gb18030", "诶吔"),
        ("BIG-5", "big5", "許功蓋"),
        ("KS X 1001", "euc_kr", "김희중"),
        ("UNICODE UTF-16", "utf-16", "Grüßer"),
    ],
)
def test_a_name_is_read_in_its_character_set(declared: str, codec: str, name: str) -> None:
    found = read(message(msh(charset=declared), pid(name=f"{name}^Jane"), codec=codec))
    assert found.segments[1].part(5) == name
    assert found.segments[1].part(7) == "19500203"


@pytest.mark.parametrize("codec", ["gb18030", "big5", "iso2022_jp"])
def test_second_bytes_that_look_like_delimiters_split_nothing(codec: str) -> None:
    r"""Each of these holds a byte of | ^ ~ \ & inside a character, as an independent look at the bytes shows."""
    name = {"gb18030": "侌倈亅", "big5": "功許蓋", "iso2022_jp": "顎辺"}[codec]
    declared = {"gb18030": "GB 18030-2000", "big5": "BIG-5", "iso2022_jp": "ISO IR87"}[codec]
    assert set(name.encode(codec)) & set(b"|^~\\&")
    found = read(message(msh(charset=declared), pid(name=f"{name}^Jane"), codec=codec))
    assert found.segments[1].part(5) == name
    assert found.segments[1].part(5, 2) == "Jane"


def test_utf8_under_the_name_of_latin1_is_read_as_utf8_and_noted() -> None:
    found = read(message(msh(charset="8859/1"), pid(name="Grüßer^Jane")))
    assert found.segments[1].part(5) == "Grüßer"
    assert found.doubts == ("MSH-18 says 8859/1, the bytes are UTF-8",)


@pytest.mark.parametrize(
    ("declared", "codec"), [("UNICODE UTF-8", "cp1252"), ("KLINGON", "utf-8"), ("BIG-5", "gb18030")]
)
def test_bytes_that_are_not_of_their_character_set_are_refused_never_replaced(declared: str, codec: str) -> None:
    with pytest.raises(MessageError) as raised:
        read(message(msh(charset=declared), pid(name="Grüß€r^侌"[:5] if codec == "cp1252" else "Grüßer"), codec=codec))
    assert raised.value.address == "MSH-18"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\F\b\S\c\R\d\T\e\E\f", r"a|b^c~d&e\f"),
        (r"one\.br\two", "one\ntwo"),
        (r"\X48656C6C6F\!", "Hello!"),
        (r"\XC3BC\ber", "über"),
        (r"47\X00\11", r"47\X00\11"),
        (r"\H\bold\N\ ", "bold"),
        (r"C:\Temp", r"C:\Temp"),
        (r"\Zlocal\ ", r"\Zlocal\ ".strip()),
        (r"\XGG\ ", r"\XGG\ ".strip()),
        (r"indented\.in+3\text", "indentedtext"),
        (r"end\ ", "end\\"),
    ],
)
def test_escapes_mean_what_they_stand_for(written: str, meant: str) -> None:
    found = read(message(msh(), f"NTE|1||{written}"))
    assert found.segments[1].part(3) == meant


def test_delimiters_are_those_of_the_message() -> None:
    found = read(
        b"MSH*%$!?*KIS*HOSPITAL*****ADT%A08*1*P*2.5.1\rPID***4711%%%HOSP?1.2.3?ISO%MR$99%%%X%PI**D!F!oe%Jane\r"
    )
    person = found.segments[1]
    assert [value.part(1) for value in person.values(3)] == ["4711", "99"]
    assert person.part(3, 4, 2) == "1.2.3"
    assert person.part(5) == "D*oe"
    assert (found.kind, found.event, found.control_id) == ("ADT", "A08", "1")


def test_only_the_field_separator_may_be_declared() -> None:
    found = read(b"MSH|^|KIS|||||ADT^A08|1|P|2.5.1\rPID|||47~11\\F\\&x\r".replace(b"|||||ADT", b"||||||ADT"))
    assert found.segments[1].part(3) == "47~11\\F\\&x"


@pytest.mark.parametrize(
    "head", [b"", b"PID|1\r", b"MSH", b"MSHABC", b"MSH|", b"MSH||KIS", b"MSH|^^\\&|KIS\r", b"\xff\xfe"]
)
def test_what_has_no_usable_header_is_refused(head: bytes) -> None:
    with pytest.raises(MessageError):
        read(head)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("tail", ["", "\r", "\n", "\r\n\r\n", "\x1c\r", "\0"])
def test_line_ends_of_any_kind(end: str, tail: str) -> None:
    found = read((end.join([msh(), pid(), "PV1|1|O"]) + tail).encode())
    assert [segment.name for segment in found.segments] == ["MSH", "PID", "PV1"]
    assert found.segments[2].part(2) == "O"


def test_a_byte_order_mark_is_no_part_of_the_message() -> None:
    assert read(b"\xef\xbb\xbf" + ADT).control_id == "1"


def test_a_line_feed_in_a_note_is_data_even_when_it_looks_like_a_patient() -> None:
    found = read(message(msh(), pid(), "OBX|1|TX|X||note\nPID|1||666^^^HOSP^MR"))
    assert len(found.all("PID")) == 1
    assert found.first("PID").part(3) == "4711"  # type: ignore[union-attr]


def test_a_carriage_return_in_a_field_belongs_to_the_segment_before() -> None:
    found = read(message(msh("ORM^O01"), pid(), "OBR|1|||CT^Chest|||||||||short of\rbreath since May", "PV1|1|O"))
    assert found.first("OBR").part(13) == "short of\nbreath since May"  # type: ignore[union-attr]
    assert len(found.doubts) == 1


def test_null_is_not_empty() -> None:
    found = read(message(msh(), 'PID|1||4711||""||""|'))
    assert found.segments[1].value(5).null
    assert found.segments[1].part(5) == ""
    assert not found.segments[1].value(8).null


def test_a_batch_is_taken_apart_and_its_trailers_left_out() -> None:
    second = message(msh(control_id="2"), pid("4712"))
    found = batch.split(message("FHS|^~\\&", "BHS|^~\\&") + ADT + second + message("BTS|2", "FTS|1"))
    assert found.batch
    assert [read(content).control_id for content in found.messages] == ["1", "2"]
    assert [segment.name for segment in read(found.messages[1]).segments] == ["MSH", "PID"]


def test_two_messages_in_one_frame_are_seen() -> None:
    found = batch.split(ADT + ADT)
    assert not found.batch
    assert len(found.messages) == 2


def test_a_message_quoted_in_a_note_is_no_second_one() -> None:
    quoted = message(msh(), pid(), "OBX|1|TX|X||seen:\nMSH|^~\\&|KIS")
    assert batch.split(quoted).messages == (quoted,)
