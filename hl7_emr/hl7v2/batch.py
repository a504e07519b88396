"""What a frame holds: one message, a batch of them (FHS, BHS), or several by mistake."""

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\r|\n")
_HEADERS = (b"FHS", b"BHS")


@dataclass(frozen=True)
class Content:
    """The messages of a frame, as bytes, in their order.

    Attributes
    ----------
    batch : bool
        Whether they are declared as a batch. Several messages without that are a mistake of framing.
    """

    messages: tuple[bytes, ...]
    batch: bool


def split(content: bytes) -> Content:
    """Find the messages in a frame; without any MSH the whole content stands for one that cannot be read."""
    body = content.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n\t\0 ")
    batch = body[:3] in _HEADERS
    starts = _starts(body)
    if not starts or (len(starts) == 1 and not batch):
        return Content((content,), batch=False)
    ends = [*starts[1:], len(body)]
    messages = (body[start:end] for start, end in zip(starts, ends, strict=True))
    return Content(tuple(_without_trailer(message) for message in messages), batch)


def _starts(body: bytes) -> list[int]:
    """Return where MSH begins a line. A bare LF begins one only where there is no CR: else it is data."""
    inner = body.strip(b"\r\n")
    line_end = rb"\r\n?" if b"\r" in inner else rb"\n"
    pattern = re.compile(rb"(?:\A|" + line_end + rb")(MSH[!-/:-@\[-`{-~])")
    return [found.start(1) for found in pattern.finditer(body)]


def _without_trailer(message: bytes) -> bytes:
    """Leave out the BTS, FTS and the next BHS that follow the last message of a batch."""
    lines = _LINE_END.split(message)
    while lines and lines[-1][:3] in (b"BTS", b"FTS", *_HEADERS, b""):
        lines.pop()
    return b"\r".join(lines) + b"\r" if b"\r" in message else b"\n".join(lines)
