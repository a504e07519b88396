"""The delimiters of a message, which its MSH-1 and MSH-2 declare."""

from dataclasses import dataclass

from hl7_emr.errors import MessageError


@dataclass(frozen=True)
class Delimiters:
    """MSH-1 and MSH-2; ``""`` for one that the message does without."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding_characters(self) -> str:
        """MSH-2."""
        return f"{self.component}{self.repetition}{self.escape}{self.subcomponent}{self.truncation}"


STANDARD = Delimiters()


def _is_sign(sign: str) -> bool:
    return sign.isascii() and sign.isprintable() and not sign.isalnum() and not sign.isspace() and bool(sign)


def read_delimiters(header: str) -> Delimiters:
    """Read them from a segment that begins with ``MSH``, ``BHS`` or ``FHS``.

    Raises
    ------
    MessageError
        The separators are missing, or two of them are the same.
    """
    separator = header[3:4]
    if not _is_sign(separator):
        raise MessageError("MSH-1", "there is no field separator", rejected=True)
    signs = header[4:].split(separator, 1)[0]
    if not 1 <= len(signs) <= 5:
        raise MessageError("MSH-2", "there are no encoding characters", rejected=True)
    used = separator + signs
    if len(set(used)) != len(used) or not all(map(_is_sign, signs)):
        raise MessageError("MSH-2", "the delimiters are not distinct", rejected=True)
    component, repetition, escape, subcomponent, truncation = (signs[i : i + 1] for i in range(5))
    return Delimiters(separator, component, repetition, escape, subcomponent, truncation)
