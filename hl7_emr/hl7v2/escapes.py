"""Escape sequences of text fields (HL7 v2.9 chapter 2, section 2.7), both ways."""

import re

from hl7_emr.hl7v2.delimiters import Delimiters

_FORMATS = {".br": "\n", ".sp": "\n", ".ce": "\n", ".fi": "", ".nf": "", ".in": "", ".ti": "", ".sk": " "}
_LONGEST = 512


def unescape(text: str, delimiters: Delimiters, codec: str) -> str:
    """Return a field's text as it was meant.

    Sequences that are not known, and a lone escape character (a Windows path), stay as they are.
    """
    mark = delimiters.escape
    if not mark or mark not in text:
        return text
    pattern = re.compile(f"{re.escape(mark)}([^{re.escape(mark)}]{{1,{_LONGEST}}}){re.escape(mark)}")
    return pattern.sub(lambda found: _meaning(found[1], found[0], delimiters, codec), text)


def _meaning(name: str, whole: str, delimiters: Delimiters, codec: str) -> str:
    plain = {
        "F": delimiters.field,
        "S": delimiters.component,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "T": delimiters.subcomponent,
        "P": delimiters.truncation,
        "H": "",
        "N": "",
    }
    if name in plain:
        return plain[name]
    if name[0] == "X":
        return _hexadecimal(name[1:], whole, codec)
    # .in+3 and .sp 2 carry a number
    return _FORMATS.get(name[:3].lower(), whole) if name[0] == "." else whole


def _hexadecimal(digits: str, whole: str, codec: str) -> str:
    try:
        meant = bytes.fromhex(digits).decode(codec)
    except ValueError:  # no digits, or bytes of another coding
        return whole
    return whole if "\0" in meant else meant


def escape(text: str, delimiters: Delimiters) -> str:
    r"""Return text that can stand in a field; line ends become ``\.br\``, other control characters go."""
    signs = {
        delimiters.escape: "E",
        delimiters.field: "F",
        delimiters.component: "S",
        delimiters.repetition: "R",
        delimiters.subcomponent: "T",
    }
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    out = []
    for sign in lines:
        if sign in signs:
            out.append(f"{delimiters.escape}{signs[sign]}{delimiters.escape}")
        elif sign == "\n":
            out.append(f"{delimiters.escape}.br{delimiters.escape}")
        elif sign >= " " and sign != "\x7f":
            out.append(sign)
    return "".join(out)
