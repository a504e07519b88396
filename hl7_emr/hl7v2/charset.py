"""From bytes to text by MSH-18 (HL7 table 0211), once for a whole message.

Bytes are decoded before they are split, since the second byte of a character may be a ``|`` (GB 18030, Big5) or any
other delimiter (ISO 2022). Never with replacement characters: a name with one in it would be another name.
"""

import codecs
import re
from collections.abc import Mapping
from types import MappingProxyType

from hl7_emr.errors import MessageError

# Of ISO 8859 the standard names 1-9 and 15; the others are met.
_TABLE_0211: Mapping[str, str] = MappingProxyType(
    {
        "ascii": "ascii",
        "unicode": "utf-8",
        "unicode utf-8": "utf-8",
        "utf-8": "utf-8",
        "utf8": "utf-8",
        "unicode utf-16": "utf-16",
        "iso ir6": "ascii",
        "iso ir14": "iso2022_jp_3",
        "iso ir87": "iso2022_jp_3",
        "iso ir159": "iso2022_jp_3",
        "gb 18030-2000": "gb18030",
        "gb 18030": "gb18030",
        "gb18030": "gb18030",
        "gbk": "gb18030",
        "gb2312": "gb18030",
        "ks x 1001": "euc_kr",
        "cns 11643-1992": "euc_tw",
        "big-5": "big5",
        "big5": "big5",
        "windows-1252": "cp1252",
        "cp1252": "cp1252",
        "shift_jis": "cp932",
    }
)
_ISO_8859 = re.compile(r"(?:iso[ _-]?)?8859[/-](\d\d?)", re.IGNORECASE)
_SHIFTS = (b"\x1b$", b"\x1b(")


def decode(content: bytes, declared: str) -> tuple[str, str, str]:
    r"""Return the text of a message.

    Parameters
    ----------
    declared : str
        MSH-18 as it stands, with its repetitions already split off: the first names the coding of the message, the
        others are switched to by escape sequences.

    Returns
    -------
    text, codec, doubt : str
        ``codec`` is the Python codec that was used, for ``\X..\``; ``doubt`` says where the bytes contradict MSH-18.

    Raises
    ------
    MessageError
        The bytes are none of the declared coding, or the coding is not known.
    """
    for mark, wide in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (b"M\0S\0H\0", "utf-16-le")):
        if content.startswith(mark):
            return _strict(content, wide), wide, ""
    content = content.removeprefix(codecs.BOM_UTF8)
    if content.isascii() and not any(shift in content for shift in _SHIFTS):
        return content.decode("ascii"), codec_of(declared) or "utf-8", ""
    codec = codec_of(declared)
    if declared and codec is None:
        raise MessageError("MSH-18", "the character set is not known, and the message is not plain ASCII")
    if codec is None or codec == "ascii":
        return _undeclared(content, declared)
    if codec == "iso8859-1" and _is_utf8(content):
        return content.decode("utf-8"), "utf-8", "MSH-18 says 8859/1, the bytes are UTF-8"
    return _strict(content, codec), codec, ""


def codec_of(declared: str) -> str | None:
    """Return the Python codec for a name of table 0211; None: not known, or nothing declared."""
    name = declared.strip().lower()
    if found := _ISO_8859.fullmatch(name):
        number = int(found[1])
        return f"iso8859-{number}" if 1 <= number <= 16 and number != 12 else None
    return _TABLE_0211.get(name)


def _undeclared(content: bytes, declared: str) -> tuple[str, str, str]:
    """Where nothing is declared, or ASCII that it is not: UTF-8 if it can be, else what Windows writes."""
    if _is_utf8(content):
        return content.decode("utf-8"), "utf-8", "MSH-18 says ASCII, the bytes are UTF-8" if declared else ""
    if any(shift in content for shift in _SHIFTS):
        return _strict(content, "iso2022_jp_3"), "iso2022_jp_3", "MSH-18 does not name the escape sequences"
    return _strict(content, "cp1252"), "cp1252", "MSH-18 names no character set, taken for Windows-1252"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _strict(content: bytes, codec: str) -> str:
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        raise MessageError("MSH-18", f"byte {error.start} is none of the declared character set") from error
