"""DIMSE command sets as an SCP needs them: requests read, responses written (PS3.7 section 6.3.1, annex E).

A command set is always Implicit VR Little Endian, has group 0000 only, and is small.
"""

import struct
from dataclasses import dataclass

from dicom_node.errors import PeerMisbehaved

C_STORE_RQ, C_ECHO_RQ, C_CANCEL_RQ = 0x0001, 0x0030, 0x0FFF
_RESPONSE = 0x8000
_NO_DATA_SET = 0x0101
_AFFECTED_SOP_CLASS, _REQUESTED_SOP_CLASS = 0x0002, 0x0003
_COMMAND_FIELD, _MESSAGE_ID, _MESSAGE_ID_ANSWERED, _DATA_SET_TYPE = 0x0100, 0x0110, 0x0120, 0x0800
_STATUS, _ERROR_COMMENT, _AFFECTED_SOP_INSTANCE = 0x0900, 0x0902, 0x1000


@dataclass(frozen=True)
class Request:
    """What a peer asks for; ``command_field`` is a code of PS3.7 table E.1-1."""

    command_field: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    has_data_set: bool


def read_request(command_set: bytes) -> Request:
    """Decode a request; raises PeerMisbehaved where it is none."""
    values = _elements(command_set)
    command_field = _ushort(values, _COMMAND_FIELD)
    if command_field is None or command_field & _RESPONSE:
        raise PeerMisbehaved("a command set that is no request", abort_reason=2)
    return Request(
        command_field=command_field,
        message_id=_ushort(values, _MESSAGE_ID) or 0,
        sop_class_uid=_uid(values, _AFFECTED_SOP_CLASS) or _uid(values, _REQUESTED_SOP_CLASS),
        sop_instance_uid=_uid(values, _AFFECTED_SOP_INSTANCE),
        has_data_set=_ushort(values, _DATA_SET_TYPE) not in (None, _NO_DATA_SET),
    )


def response(request: Request, status: int, comment: str = "") -> bytes:
    """Encode the response to a request; ``comment`` goes to (0000,0902), 64 characters of it."""
    elements = [
        _element(_AFFECTED_SOP_CLASS, request.sop_class_uid.encode("ascii"), b"\0"),
        _element(_COMMAND_FIELD, struct.pack("<H", request.command_field | _RESPONSE)),
        _element(_MESSAGE_ID_ANSWERED, struct.pack("<H", request.message_id)),
        _element(_DATA_SET_TYPE, struct.pack("<H", _NO_DATA_SET)),
        _element(_STATUS, struct.pack("<H", status)),
    ]
    if comment:
        elements.append(_element(_ERROR_COMMENT, comment[:64].encode("ascii", "replace"), b" "))
    if request.sop_instance_uid:
        elements.append(_element(_AFFECTED_SOP_INSTANCE, request.sop_instance_uid.encode("ascii"), b"\0"))
    command_set = b"".join(elements)
    return _element(0x0000, struct.pack("<L", len(command_set))) + command_set


def _elements(command_set: bytes) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    at = 0
    while at < len(command_set):
        if at + 8 > len(command_set):
            raise PeerMisbehaved("a command set that is cut", abort_reason=6)
        group, number, length = struct.unpack_from("<HHL", command_set, at)
        at += 8 + length
        if group != 0 or at > len(command_set):
            raise PeerMisbehaved("bytes that are no command set", abort_reason=6)
        values[number] = command_set[at - length : at]
    return values


def _ushort(values: dict[int, bytes], number: int) -> int | None:
    value = values.get(number, b"")
    return int.from_bytes(value, "little") if len(value) == 2 else None


def _uid(values: dict[int, bytes], number: int) -> str:
    uid = values.get(number, b"").rstrip(b"\0 ")
    if len(uid) > 64 or not uid.isascii() or not uid.decode("ascii").isprintable():
        raise PeerMisbehaved("a malformed UID in a command set", abort_reason=6)
    return uid.decode("ascii")


def _element(number: int, value: bytes, pad: bytes = b"") -> bytes:
    if len(value) % 2:
        value += pad
    return struct.pack("<HHL", 0, number, len(value)) + value
