"""The listener over a real loopback connection: one answer for each frame, after the store, whatever comes."""

import asyncio
import hashlib

import pytest

from hl7_emr.domain import Identifier
from hl7_emr.hl7v2.acknowledgement import Verdict
from hl7_emr.hl7v2.listener import Limits
from tests.support.hl7_messages import message, msh, obx, pid
from tests.support.mllp_wire import END, PATIENCE_S, VT, Served, Wire, framed, talk


def adt(control_id: str = "1", **header: str) -> bytes:
    return framed(message(msh(control_id=control_id, **header), pid()))


def test_a_message_is_answered_after_it_is_stored() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        await wire.send(adt("M1"))
        answer = await wire.answer()
        assert [each.control_id for each in served.store.received] == ["M1"]
        header = answer["MSH"]
        assert header[2:6] == ["EMERALD", "RADIOLOGY", "KIS", "HOSPITAL"]
        assert header[8] == "ACK^A08^ACK"
        assert header[9] not in ("", "M1")
        assert header[10:12] == ["P", "2.5.1"]
        assert header[17] == "UNICODE UTF-8"
        assert answer["MSA"] == ["MSA", "AA", "M1"]

    store = talk(conversation)
    assert store.known(Identifier("4711", "HOSP")) is not None


@pytest.mark.parametrize(
    ("accept", "application", "good", "bad"),
    [
        ("", "", ["AA"], ["AE"]),
        ("AL", "NE", ["CA"], ["CE"]),
        ("AL", "AL", ["CA", "AA"], ["CE", "AE"]),
        ("ER", "NE", [], ["CE"]),
        ("SU", "NE", ["CA"], []),
        ("NE", "AL", ["AA"], ["AE"]),
        ("", "ER", [], ["AE"]),
        ("NE", "NE", [], []),
        ("AL", "", ["CA"], ["CE"]),
    ],
)
def test_enhanced_mode_answers_what_was_asked_for(
    accept: str, application: str, good: list[str], bad: list[str]
) -> None:
    modes = {"accept": accept, "application": application}

    async def conversation(served: Served, wire: Wire) -> None:
        for content, expected in ((message(msh(**modes), pid()), good), (message(msh(**modes)), bad)):
            # the answer to a plain message marks the end of those to this one
            await wire.send(framed(content), adt("end"))
            codes = []
            while (answer := await wire.answer())["MSA"][2] != "end":
                codes.append(answer["MSA"][1])
            assert codes == expected

    talk(conversation)


def test_a_refusal_says_where_and_what() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        await wire.send(framed(message(msh("SIU^S12", "M1"), pid())))
        answer = await wire.answer()
        assert answer["MSA"][1:3] == ["AR", "M1"]
        assert answer["ERR"][2:5] == ["MSH^1^9", "200^^HL70357", "E"]

    assert [each.control_id for each in talk(conversation).refused] == ["M1"]


def test_older_versions_get_their_own_err() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        await wire.send(framed(message(msh(version="2.3"), "PID|1||||Doe")))
        assert (await wire.answer())["ERR"][1] == "PID^1^3^101"

    talk(conversation)


# something broken, and then a whole message
_TWO = (b"noise" + adt(), VT + message(msh()) + adt())


@pytest.mark.parametrize(
    ("packets", "code"),
    [
        ([_TWO[0]], "AR"),
        ([b"\r\n" + adt()], "AA"),
        ([adt()[:20], adt()[20:-1], adt()[-1:]], "AA"),
        ([_TWO[1]], "AE"),
        ([framed(b"")], "AR"),
        ([framed(b"hello")], "AR"),
        ([framed(b"\xff" * 100)], "AR"),
        ([framed(message(msh(), pid()).replace(b"\r", b"\n"))], "AA"),
        ([framed(message(msh(), pid()).replace(b"\r", b"\r\n"))], "AA"),
        ([framed(message(msh(charset="UNICODE UTF-8"), pid(name="Grüß"), codec="cp1252"))], "AE"),
        ([framed(message(msh(), pid()) + message(msh(), pid("2")))], "AR"),
        ([framed(b"MSH|^~\\&|KIS\x1dX|||||" + message(msh(), pid()))], "AR"),
    ],
    ids=[
        "noise before",
        "line ends before",
        "in pieces",
        "never ended",
        "empty",
        "no HL7",
        "no text",
        "LF",
        "CRLF",
        "other character set",
        "two messages in one",
        "control characters",
    ],
)
def test_odd_bytes_are_answered_and_the_next_message_is_taken(packets: list[bytes], code: str) -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        assert await wire.code(*packets) == code
        if packets[0] in _TWO:
            assert (await wire.answer())["MSA"][1] == "AA"
        await wire.send(adt("next"))
        assert (await wire.answer())["MSA"][1:3] == ["AA", "next"]

    store = talk(conversation)
    assert len(store.refused) == (0 if code == "AA" else 1)


def test_a_batch_is_answered_as_one_frame_and_each_message_alone() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        good, bad = message(msh(control_id="1"), pid()), message(msh(control_id="2"))
        await wire.send(framed(message("BHS|^~\\&") + good + bad + message("BTS|2")))
        async with asyncio.timeout(PATIENCE_S):
            whole = await wire._reader.readuntil(END)
        lines = whole[1:-2].decode().split("\r")
        assert [line.split("|")[1:3] for line in lines if line.startswith("MSA")] == [["AA", "1"], ["AE", "2"]]
        assert lines[0].startswith("BHS|")
        assert lines[-2] == "BTS|2"

    talk(conversation)


def test_many_frames_in_one_packet_are_answered_in_their_order() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        await wire.send(b"".join(adt(str(number)) for number in range(50)))
        answers = [(await wire.answer())["MSA"][2] for _ in range(50)]
        assert answers == [str(number) for number in range(50)]

    assert max(talk(conversation).batches) > 1


def test_nothing_of_the_sender_breaks_the_answers_frame() -> None:
    """A control character in MSH-3 must not come back: node-hl7-server echoed a framing byte."""

    async def conversation(served: Served, wire: Wire) -> None:
        await wire.send(framed(message(msh().replace("KIS", "K\x1dI\x02S"), pid())))
        assert (await wire.answer())["MSH"][4] == "KIS"

    talk(conversation)


def test_names_in_the_header_come_back_in_their_own_bytes() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        content = message(msh(charset="8859/1").replace("HOSPITAL", "Köln"), pid(), codec="iso8859-1")
        await wire.send(framed(content))
        async with asyncio.timeout(PATIENCE_S):
            assert b"|K\xf6ln|" in await wire._reader.readuntil(END)

    talk(conversation)


def test_a_store_that_fails_is_told_so_that_the_sender_tries_again() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        served.store.fails = True
        await wire.send(adt("M1"))
        answer = await wire.answer()
        assert answer["MSA"][1:3] == ["AR", "M1"]
        assert answer["ERR"][3].startswith("207")
        served.store.fails = False
        assert await wire.code(adt("M1")) == "AA"

    assert len(talk(conversation, transient=Verdict.REJECTED).received) == 1


def test_a_sender_that_wants_no_answer_notices_that_the_store_failed() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        served.store.fails = True
        await wire.send(adt(accept="NE", application="NE"))
        assert await wire.rest() == b""

    talk(conversation)


def test_a_message_sent_again_is_answered_again_and_done_once() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        assert await wire.code(adt("M1")) == "AA"
        assert await wire.code(adt("M1")) == "AA"
        other = framed(message(msh(control_id="M1"), pid("4712")))
        assert await wire.code(other) == "AA"

    store = talk(conversation)
    assert len(store.received) == 2
    assert store.known(Identifier("4712", "HOSP")) is not None


def test_a_frame_too_large_is_refused_by_its_control_id() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        huge = framed(message(msh(control_id="BIG"), pid(), "OBX|1|ED|X||" + "A" * 200_000))
        await wire.send(huge)
        assert (await wire.answer())["MSA"][1:3] == ["AR", "BIG"]
        assert await wire.code(adt()) == "AA"

    (refused,) = talk(conversation, Limits(max_frame_bytes=100_000)).refused
    assert len(refused.content) <= 4096


def test_a_large_message_is_taken() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        content = message(msh("ORU^R01"), pid(), "OBX|1|ED|X||^application^pdf^Base64^" + "A" * 2_000_000)
        assert await wire.code(framed(content)) == "AA"

    assert talk(conversation).refused == []


def test_a_connection_that_ends_inside_a_frame_leaves_a_dead_letter() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        await wire.send(adt("M1")[:-2])
        assert await wire.finish() == b""

    (refused,) = talk(conversation).refused
    assert refused.control_id == "M1"
    assert hashlib.sha256(refused.content.strip(b"\r\n")).hexdigest() == refused.digest


def test_a_message_without_a_frame_is_told_so_when_the_sender_gives_up() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        await wire.send(message(msh(control_id="M1"), pid()))
        assert b"MSA|AR|M1|" in await wire.finish()

    assert len(talk(conversation).refused) == 1


def test_a_frame_that_drips_is_cut_off_and_others_are_served_meanwhile() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        await wire.send(adt()[:5])
        other = await served.connect()
        assert await other.code(adt("other")) == "AA"
        await other.close()
        assert await wire.rest() == b""

    assert len(talk(conversation, Limits(frame_s=0.3)).refused) == 1


def test_an_idle_connection_is_closed() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        assert await wire.code(adt()) == "AA"
        assert await wire.rest() == b""

    talk(conversation, Limits(idle_s=0.2))


def test_one_connection_too_many_is_closed_and_the_first_goes_on() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        assert await wire.code(adt("1")) == "AA"
        other = await served.connect()
        assert await other.rest() == b""
        await other.close()
        assert await wire.code(adt("2")) == "AA"

    talk(conversation, Limits(max_connections=1))


def test_messages_of_many_connections_are_written_together() -> None:
    async def conversation(served: Served, wire: Wire) -> None:
        wires = [await served.connect() for _ in range(20)]
        codes = await asyncio.gather(*(each.code(adt(f"{i}")) for i, each in enumerate(wires)))
        assert set(codes) == {"AA"}
        for each in wires:
            await each.close()

    store = talk(conversation)
    assert sum(store.batches) == 20
    assert len(store.batches) < 20


def test_merges_and_updates_are_followed() -> None:
    smoker = obx("72166-2^Tobacco smoking status^LN", "CWE", "8517006^Former^SCT")

    async def conversation(served: Served, wire: Wire) -> None:
        for number, content in enumerate(
            (
                message(msh(control_id="1", at="20260101"), pid("1", "Roe^Jane"), smoker),
                message(msh(control_id="2", at="20260102"), pid("2")),
                message(msh("ADT^A40", "3", at="20260103"), pid("2"), "MRG|1^^^HOSP^MR"),
                message(msh(control_id="4", at="20260104"), pid("2", "Doe^Janet")),
                # late: made before the one that was received before it
                message(msh(control_id="5", at="20260103"), pid("2", "Doe^Old")),
            )
        ):
            assert await wire.code(framed(content)) == "AA", number

    store = talk(conversation)
    prior, survivor = store.known(Identifier("1", "HOSP")), store.known(Identifier("2", "HOSP"))
    assert prior is not None
    assert survivor is not None
    assert prior.items == ()
    assert [each.value for each in prior.replaced_by] == ["2"]
    assert [item.name for item in survivor.items] == ["smoking_status"]
    assert survivor.patient.names[0].given == ("Janet",)
