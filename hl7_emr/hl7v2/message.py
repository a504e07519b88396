"""One message as segments, fields, repetitions and components; split only where it is asked for.

Tolerant: what is not there reads as empty, never as an error. What is odd about the text is kept in ``doubts``.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property

from hl7_emr.errors import MessageError
from hl7_emr.hl7v2 import charset
from hl7_emr.hl7v2.delimiters import Delimiters, read_delimiters
from hl7_emr.hl7v2.escapes import unescape

NULL = '""'
_AROUND = "\ufeff\r\n\t\0 \x1c\x0b"
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}$")
_HEADER_BYTES = re.compile(rb"MSH([^\r\n]*)")


@dataclass(frozen=True)
class Value:
    """One repetition of a field."""

    raw: str
    delimiters: Delimiters
    codec: str

    @property
    def null(self) -> bool:
        """Whether it is the explicit null, which deletes what was known."""
        return self.raw == NULL

    def __bool__(self) -> bool:
        return bool(self.raw) and not self.null

    def part(self, component: int, subcomponent: int = 1) -> str:
        """Return a component, counted from 1, unescaped; empty where there is none."""
        parts = self._split(self.raw, self.delimiters.component)
        if component > len(parts):
            return ""
        inner = self._split(parts[component - 1], self.delimiters.subcomponent)
        text = inner[subcomponent - 1] if subcomponent <= len(inner) else ""
        return "" if text == NULL else unescape(text, self.delimiters, self.codec).strip()

    @property
    def text(self) -> str:
        """The whole value as text, for data types without components."""
        return "" if self.null else unescape(self.raw, self.delimiters, self.codec)

    @staticmethod
    def _split(text: str, separator: str) -> list[str]:
        return text.split(separator) if separator else [text]


@dataclass(frozen=True)
class Segment:
    """One segment; fields are counted from 1 as the standard does, MSH-1 being the separator itself."""

    line: str
    delimiters: Delimiters
    codec: str

    @property
    def name(self) -> str:
        """Its three letters."""
        return self.line[:3]

    @cached_property
    def _fields(self) -> list[str]:
        fields = self.line.split(self.delimiters.field)
        return [fields[0], self.delimiters.field, *fields[1:]] if self.name in ("MSH", "BHS", "FHS") else fields

    def raw(self, number: int) -> str:
        """Return a field as it stands."""
        return self._fields[number] if number < len(self._fields) else ""

    def values(self, number: int) -> list[Value]:
        """Return the repetitions of a field that are not empty."""
        whole = self.raw(number)
        separator = self.delimiters.repetition
        repetitions = whole.split(separator) if separator else [whole]
        return [Value(raw, self.delimiters, self.codec) for raw in repetitions if raw]

    def value(self, number: int) -> Value:
        """Return the first repetition of a field; an empty one where there is none."""
        return next(iter(self.values(number)), Value("", self.delimiters, self.codec))

    def part(self, number: int, component: int = 1, subcomponent: int = 1) -> str:
        """Return a component of the first repetition."""
        return self.value(number).part(component, subcomponent)


@dataclass(frozen=True)
class Message:
    """A message whose MSH could be read."""

    segments: tuple[Segment, ...]
    delimiters: Delimiters
    codec: str
    doubts: tuple[str, ...] = ()
    raw: bytes = field(default=b"", repr=False)

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def all(self, name: str) -> list[Segment]:
        """Return the segments of this name."""
        return [segment for segment in self.segments if segment.name == name]

    def first(self, name: str) -> Segment | None:
        """Return the first segment of this name, or None."""
        return next((segment for segment in self.segments if segment.name == name), None)

    @property
    def kind(self) -> str:
        """MSH-9.1, for example ``ADT``."""
        return self.header.part(9, 1).upper()

    @property
    def event(self) -> str:
        """MSH-9.2; older senders leave it to EVN-1."""
        event = self.header.part(9, 2)
        if not event and (evn := self.first("EVN")) is not None:
            event = evn.part(1)
        return event.upper()

    @cached_property
    def control_id(self) -> str:
        """MSH-10."""
        return self.header.value(10).text.strip()


def read(content: bytes) -> Message:
    """Read one message.

    Raises
    ------
    MessageError
        There is no MSH, its delimiters are missing, the bytes are not of the declared character set, or NUL is among
        them: without it a number would be another one, and databases do not take it.
    """
    text, codec, doubt = charset.decode(content, _declared(content))
    lines, joined = _lines(text)
    if any("\0" in line for line in lines):
        raise MessageError("MSH", "the text holds NUL characters")
    if not lines or not lines[0].startswith("MSH"):
        raise MessageError("MSH", "the message does not begin with MSH", rejected=True)
    delimiters = read_delimiters(lines[0])
    doubts = [doubt] if doubt else []
    if joined:
        doubts.append("a line that is no segment was taken for the rest of the field before it")
    segments = tuple(Segment(line, delimiters, codec) for line in lines)
    return Message(segments, delimiters, codec, tuple(doubts), content)


def _declared(content: bytes) -> str:
    """Return MSH-18.1 from the undecoded bytes."""
    found = _HEADER_BYTES.search(content)
    if found is None:
        return ""
    header = found[1]
    fields = header.split(header[:1]) if header else []
    if len(fields) < 18:
        return ""
    # fields[1] is MSH-2, its second sign separates repetitions
    repetition = fields[1][1:2] or b"~"
    first = next((name for name in fields[17].split(repetition) if name), b"")
    return first.split(fields[1][:1] or b"^")[0].decode("latin-1").strip()


def _lines(text: str) -> tuple[list[str], bool]:
    """Split into segments, and tell whether lines that are none had to be joined to the one before.

    Segments end with CR. A line feed ends one only where there is no CR at all; after a CR it is noise, and anywhere
    else it is data (a note with lines in it may look like a PID).
    """
    body = text.strip(_AROUND)
    pieces = body.split("\r") if "\r" in body else body.split("\n")
    lines: list[str] = []
    joined = False
    for piece in pieces:
        line = piece.lstrip("\n").rstrip("\n")
        if not line.strip():
            continue
        if lines and not _begins_segment(line, lines[0]):
            lines[-1] += "\n" + line
            joined = True
        else:
            lines.append(line)
    return lines, joined


def _begins_segment(line: str, header: str) -> bool:
    return bool(_SEGMENT.match(line[:3])) and line[3:4] in ("", header[3:4])
