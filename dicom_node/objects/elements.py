"""Walks the elements of an encoded data set (PS3.5 section 7) to its exact end.

Values are skipped, save the few that were asked for. Nothing recurses and no length is believed: every length is
checked against what encloses it, and at the end no byte may be missing or left over.
"""

import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NoReturn

from dicom_node.errors import InstanceUnreadable
from dicom_node.objects.source import Source

UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# Float, Double Float and integer Pixel Data (PS3.3 C.7.6.24, C.7.6.25, C.7.6.3)
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# PS3.5 table 7.1-1: these VRs have a 32-bit length behind two reserved bytes; table 7.1-2: the others a 16-bit length.
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN"}
    | {b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_MAX_DEPTH = 64
_MAX_ELEMENTS = 5_000_000
_MAX_VALUE = 1 << 16


@dataclass(frozen=True)
class Encoding:
    """How the elements are written: with or without VR, little or big endian."""

    explicit: bool
    little: bool


@dataclass(frozen=True)
class PixelElement:
    """The pixel data as they lie in the data set; ``n_fragments`` is None for native pixel data.

    The Basic Offset Table counts neither as a fragment nor in ``n_bytes``.
    """

    tag: int
    vr: str
    n_bytes: int
    n_fragments: int | None


@dataclass
class Elements:
    """What a walk found: raw values of the wanted elements of the top level by tag, the pixel data, and all bytes."""

    values: dict[int, bytes] = field(default_factory=dict)
    pixels: PixelElement | None = None
    n_bytes: int = 0


@dataclass(slots=True)
class _Level:
    """What encloses the next element (the data set, or an item) or the next item (a sequence).

    ``end`` is the position at which a defined length ends, None where a delimiter ends it; ``limit`` is the nearest
    defined end around.
    """

    is_sequence: bool
    end: int | None
    limit: int | None
    encoding: Encoding


def walk(source: Source, encoding: Encoding, wanted: Collection[int]) -> Elements:
    """Walk to the exact end.

    Parameters
    ----------
    wanted : collection of int
        Tags of the top level whose values are kept (those up to 64 KiB).

    Raises
    ------
    InstanceUnreadable
        Says what is wrong and at which byte of the data set (inflated, where it is deflated).
    """
    walker = _Walker(source, encoding, wanted)
    walker.run()
    walker.found.n_bytes = source.position
    return walker.found


class _Walker:
    def __init__(self, source: Source, encoding: Encoding, wanted: Collection[int]) -> None:
        self.found = Elements()
        self._source = source
        self._wanted = wanted
        self._levels = [_Level(False, source.limit, source.limit, encoding)]
        self._read_as(encoding)

    def run(self) -> None:
        source, levels = self._source, self._levels
        for _ in range(_MAX_ELEMENTS):
            level = levels[-1]
            if level.end is not None and source.position >= level.end:
                if source.position > level.end:
                    self._fail("an element reaches over the end of its sequence or item")
                if self._leave():
                    return
            elif level.end is None and len(levels) == 1 and source.ended():
                return
            elif level.is_sequence:
                self._item(level)
            else:
                self._element(level)
        self._fail(f"more than {_MAX_ELEMENTS} elements")

    def _leave(self) -> bool:
        """End the innermost level; True where that was the data set itself."""
        self._levels.pop()
        if not self._levels:
            return True
        self._read_as(self._levels[-1].encoding)
        return False

    def _enter(self, tag: int, length: int, encoding: Encoding) -> None:
        if len(self._levels) >= _MAX_DEPTH:
            self._fail(f"sequences nested deeper than {_MAX_DEPTH}")
        limit = self._levels[-1].limit
        end = None if length == UNDEFINED else self._source.position + length
        if end is not None:
            self._fits(tag, end, limit)
            limit = end
        self._levels.append(_Level(tag != _ITEM, end, limit, encoding))
        self._read_as(encoding)

    def _read_as(self, encoding: Encoding) -> None:
        order = "<" if encoding.little else ">"
        self._explicit = encoding.explicit
        self._delimiter_group = b"\xfe\xff" if encoding.little else b"\xff\xfe"
        self._tag_vr = struct.Struct(order + "HH2sH").unpack_from
        self._tag_length = struct.Struct(order + "HHL").unpack_from
        self._long = struct.Struct(order + "L").unpack_from

    def _item(self, level: _Level) -> None:
        source = self._source
        at = source.need(8)
        group, number, length = self._tag_length(source.window, at)
        tag = group << 16 | number
        source.at += 8
        if tag == _ITEM:
            self._enter(tag, length, level.encoding)
        elif tag == _SEQUENCE_END and level.end is None:
            self._leave()
        else:
            self._fail(f"{_words(tag)} where an item of a sequence should be")

    def _element(self, level: _Level) -> None:
        source = self._source
        at = source.need(8)
        vr = b""
        if self._explicit and source.window[at : at + 2] != self._delimiter_group:
            group, number, vr, length = self._tag_vr(source.window, at)
            source.at += 8
            if vr in _LONG_VRS:
                at = source.need(4)
                length = self._long(source.window, at)[0]
                source.at += 4
            elif vr not in _SHORT_VRS:
                self._fail(f"{_words(group << 16 | number)} has no value representation of PS3.5 but {vr!r}")
        else:
            group, number, length = self._tag_length(source.window, at)
            source.at += 8
        tag = group << 16 | number
        if group in (0xFFFE, 0):
            self._delimiter(tag, level)
        elif length == UNDEFINED:
            self._undefined(tag, vr, level)
        elif vr == b"SQ":
            self._enter(tag, length, level.encoding)
        else:
            self._value(tag, vr, length, level)

    def _delimiter(self, tag: int, level: _Level) -> None:
        if tag != _ITEM_END or level.end is not None or len(self._levels) == 1:
            self._fail(f"{_words(tag)} where an element should be")
        self._leave()

    def _undefined(self, tag: int, vr: bytes, level: _Level) -> None:
        if tag in PIXEL_TAGS or vr in (b"OB", b"OW"):
            self._fragments(tag, vr)
        elif vr == b"UN":
            # PS3.5 section 6.2.2: a sequence of unknown representation is in Implicit VR Little Endian.
            self._enter(tag, UNDEFINED, Encoding(explicit=False, little=True))
        elif vr in (b"", b"SQ"):
            self._enter(tag, UNDEFINED, level.encoding)
        else:
            self._fail(f"{_words(tag)} {vr.decode()} has an undefined length")

    def _fragments(self, tag: int, vr: bytes) -> None:
        """Walk encapsulated pixel data (PS3.5 A.4): offset table, fragments, delimiter."""
        source = self._source
        lengths = [0, 0]
        n_items = 0
        while n_items < _MAX_ELEMENTS:
            at = source.need(8)
            group, number, length = self._tag_length(source.window, at)
            item = group << 16 | number
            source.at += 8
            if item == _SEQUENCE_END:
                break
            if item != _ITEM or length == UNDEFINED:
                self._fail(f"{_words(item)} where a fragment of the pixel data should be")
            self._fits(tag, source.position + length, self._levels[-1].limit)
            source.skip(length)
            lengths[n_items > 0] += length
            n_items += 1
        else:
            self._fail(f"more than {_MAX_ELEMENTS} fragments")
        if len(self._levels) == 1 and tag in PIXEL_TAGS:
            self.found.pixels = PixelElement(tag, vr.decode() or "OB", lengths[1], max(n_items - 1, 0))

    def _value(self, tag: int, vr: bytes, length: int, level: _Level) -> None:
        source = self._source
        self._fits(tag, source.position + length, level.limit)
        if len(self._levels) == 1:
            if tag in self._wanted and length <= _MAX_VALUE:
                at = source.need(length)
                self.found.values[tag] = source.window[at : at + length]
            elif tag in PIXEL_TAGS:
                self.found.pixels = PixelElement(tag, vr.decode() or "OW", length, None)
        source.skip(length)

    def _fits(self, tag: int, end: int, limit: int | None) -> None:
        if limit is not None and end > limit:
            self._fail(f"{_words(tag)} ends {end - limit} bytes behind the end of what encloses it")

    def _fail(self, what: str) -> NoReturn:
        raise InstanceUnreadable(f"{what} (byte {self._source.position} of the data set)")


def _words(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
