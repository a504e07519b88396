"""DIMSE command sets: requests and responses, read and written (PS3.7 section 6.3.1, annex E).

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
_PRIORITY, _MEDIUM, _DATA_SET_FOLLOWS = 0x0700, 0, 0x0001


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
    return _command_set(*elements)


@dataclass(frozen=True)
class Response:
    """What a peer answers; ``comment`` is its Error Comment."""

    message_id: int
    status: int
    comment: str = ""


def echo_request(message_id: int, sop_class_uid: str) -> bytes:
    """Encode a C-ECHO request."""
    return _command_set(
        _element(_AFFECTED_SOP_CLASS, sop_class_uid.encode("ascii"), b"\0"),
        _element(_COMMAND_FIELD, struct.pack("<H", C_ECHO_RQ)),
        _element(_MESSAGE_ID, struct.pack("<H", message_id)),
        _element(_DATA_SET_TYPE, struct.pack("<H", _NO_DATA_SET)),
    )


def store_request(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """Encode a C-STORE request; its data set follows."""
    return _command_set(
        _element(_AFFECTED_SOP_CLASS, sop_class_uid.encode("ascii"), b"\0"),
        _element(_COMMAND_FIELD, struct.pack("<H", C_STORE_RQ)),
        _element(_MESSAGE_ID, struct.pack("<H", message_id)),
        _element(_PRIORITY, struct.pack("<H", _MEDIUM)),
        _element(_DATA_SET_TYPE, struct.pack("<H", _DATA_SET_FOLLOWS)),
        _element(_AFFECTED_SOP_INSTANCE, sop_instance_uid.encode("ascii"), b"\0"),
    )


def read_response(command_set: bytes) -> Response:
    """Decode a response; raises PeerMisbehaved where it is none."""
    values = _elements(command_set)
    command_field, status = _ushort(values, _COMMAND_FIELD), _ushort(values, _STATUS)
    message_id = _ushort(values, _MESSAGE_ID_ANSWERED)
    if command_field is None or not command_field & _RESPONSE or status is None or message_id is None:
        raise PeerMisbehaved("a command set that is no response", abort_reason=2)
    comment = values.get(_ERROR_COMMENT, b"").decode("ascii", "replace").strip(" \0")
    return Response(message_id, status, "".join(letter for letter in comment if letter.isprintable()))


def add_fragments(command_set: bytearray, body: bytes) -> bool:
    """Add the command fragments of one P-DATA-TF (PS3.8 section 9.3.5.1) to a command set; True once it is complete."""
    at, complete = 0, False
    while at < len(body):
        if at + 6 > len(body):
            raise PeerMisbehaved("a presentation data value that is cut", abort_reason=6)
        length, _, control = struct.unpack_from(">LBB", body, at)
        if length < 2 or at + 4 + length > len(body):
            raise PeerMisbehaved("a presentation data value of a wrong length", abort_reason=6)
        if control & 1:
            command_set += body[at + 6 : at + 4 + length]
            complete = complete or bool(control & 2)
        at += 4 + length
    return complete


def _command_set(*elements: bytes) -> bytes:
    values = b"".join(elements)
    return _element(0x0000, struct.pack("<L", len(values))) + values


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
