"""The head of a DICOM file: preamble, prefix and file meta information (PS3.10 section 7.1)."""

import struct
from dataclasses import dataclass

from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


@dataclass(frozen=True)
class Announced:
    """What a C-STORE request says of the instance it brings; ``transfer_syntax_uid`` is that of the context."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str = ""

    @property
    def tail(self) -> str:
        """The last characters of the SOP Instance UID, for the log."""
        return self.sop_instance_uid[-8:]


def head(announced: Announced) -> bytes:
    """Return the bytes that go before a received data set to make it a DICOM file."""
    meta = b"".join(
        (
            _element(0x0001, b"OB", b"\0\1"),
            _element(0x0002, b"UI", announced.sop_class_uid.encode("ascii")),
            _element(0x0003, b"UI", announced.sop_instance_uid.encode("ascii")),
            _element(0x0010, b"UI", announced.transfer_syntax_uid.encode("ascii")),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
            _element(0x0016, b"AE", announced.calling_ae_title.encode("ascii")),
        )
    )
    return bytes(128) + b"DICM" + _element(0x0000, b"UL", struct.pack("<L", len(meta))) + meta


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    length = b"\0\0" + struct.pack("<L", len(value)) if vr == b"OB" else struct.pack("<H", len(value))
    return struct.pack("<HH", 2, number) + vr + length + value
