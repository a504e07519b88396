"""The answer to a message, original and enhanced mode (HL7 v2.9 chapter 2, section 2.9).

Built from the undecoded bytes of the sender's MSH, so that there is one for a message that cannot be read, too. What
is echoed is freed of framing bytes: an answer must never contain the end of itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hl7_emr.errors import MessageError

# a separator is a printed sign: a control character would break the frame of the answer
_HEADER = re.compile(rb"MSH([!-/:-@\[-`{-~])([^\r\n]*)")
_SEARCHED_BYTES = 4096
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
# HL7 table 0357
_UNSUPPORTED_TYPE, _UNSUPPORTED_VERSION, _UNSUPPORTED_PROCESSING = b"200", b"203", b"202"
_REQUIRED_MISSING, _INTERNAL_ERROR, _DATA_TYPE = b"101", b"207", b"102"


class Verdict(StrEnum):
    """What became of a message; MSA-1 is A or C and this letter."""

    ACCEPTED = "A"
    ERROR = "E"
    REJECTED = "R"


@dataclass(frozen=True)
class SentHeader:
    """The MSH of the sender, as bytes; ``fields[3]`` is MSH-3."""

    fields: Sequence[bytes] = ()
    separator: bytes = b"|"

    def get(self, number: int) -> bytes:
        """Return a field without control characters; empty where there is none."""
        return _CONTROLS.sub(b"", self.fields[number]) if number < len(self.fields) else b""


def sent_header(content: bytes) -> SentHeader:
    """Find the MSH in the first 4 KB of whatever came."""
    found = _HEADER.search(content[:_SEARCHED_BYTES].replace(b"\0", b""))
    if found is None:
        return SentHeader()
    separator = found[1]
    return SentHeader((b"MSH", separator, *found[2].split(separator)), separator)


def answers(header: SentHeader, verdict: Verdict) -> list[str]:
    """Return the values of MSA-1 to answer with, in their order.

    Original mode (MSH-15 and MSH-16 empty, or none of AL, NE, ER, SU): one of AA, AE, AR. Enhanced mode: CA, CE or CR
    as MSH-15 asks, then AA, AE or AR as MSH-16 asks; nothing where both say NE.
    """
    # HL7 table 0155
    wanted = {
        b"AL": True,
        b"NE": False,
        b"ER": verdict is not Verdict.ACCEPTED,
        b"SU": verdict is Verdict.ACCEPTED,
    }
    accept, application = (wanted.get(header.get(number).strip().upper()) for number in (15, 16))
    if accept is None and application is None:
        return [f"A{verdict}"]
    return [f"{kind}{verdict}" for kind, asked in (("C", accept), ("A", application)) if asked]


def acknowledgement(
    header: SentHeader, code: str, control_id: str, at: datetime, error: MessageError | None = None
) -> bytes:
    """Build one acknowledgement.

    Parameters
    ----------
    code : str
        MSA-1.
    control_id : str
        MSH-10 of the acknowledgement itself.
    at : datetime
        Aware; MSH-7 says the zone.
    error : MessageError or None
        What was wrong: told in MSA-3 and ERR.
    """
    separator = header.separator
    signs = header.get(2) or b"^~\\&"
    event = header.get(9).split(signs[:1])
    kind = b"ACK" + (signs[:1] + event[1] + signs[:1] + b"ACK" if len(event) > 1 and event[1] else b"")
    fields = [
        b"MSH",
        signs,
        # sender and receiver change places
        *(header.get(number) for number in (5, 6, 3, 4)),
        at.strftime("%Y%m%d%H%M%S%z").encode(),
        b"",
        kind,
        control_id.encode("ascii"),
        header.get(11) or b"P",
        header.get(12) or b"2.5.1",
        *[b""] * 5,
        header.get(18),
    ]
    words = _plain(str(error), separator + signs) if error else b""
    lines = [separator.join(fields).rstrip(separator), separator.join([b"MSA", code.encode(), header.get(10), words])]
    if error:
        lines.append(_err(error, header, separator, signs, words))
    return b"".join(line.rstrip(separator) + b"\r" for line in lines)


def _err(error: MessageError, header: SentHeader, separator: bytes, signs: bytes, words: bytes) -> bytes:
    """ERR-2 where, ERR-3 what (table 0357), ERR-4 how bad, ERR-8 in words; ERR-1 is all that older versions have."""
    component = signs[:1]
    segment, _, field = error.address.partition("-")
    place = component.join([segment.encode(), b"1", *([field.encode()] if field else [])])
    if header.get(12)[:3] in (b"2.1", b"2.2", b"2.3", b"2.4"):
        return separator.join([b"ERR", place + component * (1 if field else 2) + _code(error)])
    code = component.join([_code(error), b"", b"HL70357"])
    return separator.join([b"ERR", b"", place, code, b"E", b"", b"", b"", words])


def _code(error: MessageError) -> bytes:
    known = {"MSH-9": _UNSUPPORTED_TYPE, "MSH-12": _UNSUPPORTED_VERSION, "MSH-11": _UNSUPPORTED_PROCESSING}
    if error.address in known:
        return known[error.address]
    if error.transient:
        return _INTERNAL_ERROR
    return _DATA_TYPE if error.address.startswith("MSH") else _REQUIRED_MISSING


def _plain(words: str, delimiters: bytes) -> bytes:
    """Our own words, in ASCII, without delimiters."""
    text = words.encode("ascii", "replace").translate(None, delimiters)
    return _CONTROLS.sub(b" ", text)


@dataclass(frozen=True)
class Answer:
    """An acknowledgement as its receiver reads it."""

    code: str
    control_id: str
    words: str = ""


def read_answer(content: bytes) -> Answer | None:
    """Read an acknowledgement; None: the bytes are none.

    Tolerates a missing last CR, and CRLF or LF between the segments.
    """
    text = content.replace(b"\0", b"").decode("latin-1").replace("\r\n", "\r").replace("\n", "\r")
    lines = [line.strip(" \t\x0b\x1c\ufeff") for line in text.split("\r")]
    header = next((line for line in lines if line.startswith("MSH")), "")
    answer = next((line for line in lines if line.startswith("MSA")), "")
    separator = header[3:4] or answer[3:4]
    if not separator or not answer:
        return None
    fields = [*answer.split(separator), "", "", "", ""]
    errors = [line for line in lines if line.startswith("ERR")]
    told = fields[3] or "; ".join(error[4:].strip(separator) for error in errors)
    return Answer(fields[1].strip().upper(), fields[2].strip(), told[:200])
