"""Reads what settling and series choice need from an instance on disk, and proves that the instance is whole.

Whole means: the elements can be walked to the exact last byte, the mandatory UIDs are there, an image has pixel data,
and native pixel data hold Rows x Columns x Frames x Samples. Values are recorded by DICOM keyword; nothing that names
a patient is among them.
"""

import hashlib
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.uid import UID

from dicom_node.domain import InstanceRef
from dicom_node.errors import InstanceUnreadable
from dicom_node.objects.elements import Elements, Encoding, PixelElement
from dicom_node.objects.elements import walk as walk_elements
from dicom_node.objects.source import ForwardFile, InflatedSource, Source

_IMPLICIT_LE, _EXPLICIT_LE, _EXPLICIT_BE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
# Deflated Explicit VR Little Endian; the two JPIP syntaxes that are deflated as well.
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
_NATIVE = frozenset({_IMPLICIT_LE, _EXPLICIT_LE, _EXPLICIT_BE}) | _DEFLATED
_VIDEO = "1.2.840.10008.1.2.4.10"  # MPEG2, MPEG-4 and HEVC put many frames into one fragment
_UID = re.compile(r"[0-9.]{1,64}")
_MAX_INFLATED = 4 << 30

# Tag -> keyword and how its value is recorded: text, texts (several), number or numbers of a string, ushort.
_RECORDED: dict[int, tuple[str, str]] = {
    0x00080005: ("SpecificCharacterSet", "texts"),
    0x00080008: ("ImageType", "texts"),
    0x00080016: ("SOPClassUID", "text"),
    0x00080018: ("SOPInstanceUID", "text"),
    0x00080020: ("StudyDate", "text"),
    0x00080021: ("SeriesDate", "text"),
    0x00080022: ("AcquisitionDate", "text"),
    0x0008002A: ("AcquisitionDateTime", "text"),
    0x00080031: ("SeriesTime", "text"),
    0x00080032: ("AcquisitionTime", "text"),
    0x00080060: ("Modality", "text"),
    0x00080070: ("Manufacturer", "text"),
    0x0008103E: ("SeriesDescription", "text"),
    0x00081090: ("ManufacturerModelName", "text"),
    0x00180010: ("ContrastBolusAgent", "text"),
    0x00180015: ("BodyPartExamined", "text"),
    0x00180050: ("SliceThickness", "number"),
    0x00180060: ("KVP", "number"),
    0x00180088: ("SpacingBetweenSlices", "number"),
    0x00181120: ("GantryDetectorTilt", "number"),
    0x00181210: ("ConvolutionKernel", "text"),
    0x00185100: ("PatientPosition", "text"),
    0x0020000D: ("StudyInstanceUID", "text"),
    0x0020000E: ("SeriesInstanceUID", "text"),
    0x00200011: ("SeriesNumber", "integer"),
    0x00200012: ("AcquisitionNumber", "integer"),
    0x00200013: ("InstanceNumber", "integer"),
    0x00200032: ("ImagePositionPatient", "numbers"),
    0x00200037: ("ImageOrientationPatient", "numbers"),
    0x00200052: ("FrameOfReferenceUID", "text"),
    0x00200100: ("TemporalPositionIdentifier", "integer"),
    0x00201002: ("ImagesInAcquisition", "integer"),
    0x00201041: ("SliceLocation", "number"),
    0x00201209: ("NumberOfSeriesRelatedInstances", "integer"),
    0x00280002: ("SamplesPerPixel", "ushort"),
    0x00280004: ("PhotometricInterpretation", "text"),
    0x00280008: ("NumberOfFrames", "integer"),
    0x00280010: ("Rows", "ushort"),
    0x00280011: ("Columns", "ushort"),
    0x00280030: ("PixelSpacing", "numbers"),
    0x00280100: ("BitsAllocated", "ushort"),
    0x00280101: ("BitsStored", "ushort"),
    0x00280103: ("PixelRepresentation", "ushort"),
    0x00281052: ("RescaleIntercept", "number"),
    0x00281053: ("RescaleSlope", "number"),
    0x00281054: ("RescaleType", "text"),
    0x00282110: ("LossyImageCompression", "text"),
}
KEYWORDS: tuple[str, ...] = (*(keyword for keyword, _ in _RECORDED.values()), "PixelDataVr", "pixel_bytes")


@dataclass(frozen=True)
class Walked:
    """What a walk to the end of an instance found.

    Attributes
    ----------
    header : dict
        Values by the names in ``KEYWORDS``; those absent, empty or not readable are left out. JSON types only.
        ``PixelDataVr`` and ``pixel_bytes`` (length of the pixel data) are None without pixel data.
    offset, n_bytes : int
        Where the data set begins in the file, and its length.
    n_inflated : int
        Its length before it was deflated; that is ``n_bytes`` in all other transfer syntaxes.
    """

    transfer_syntax_uid: str
    header: dict[str, object]
    offset: int
    n_bytes: int
    n_inflated: int

    @property
    def is_deflated(self) -> bool:
        """Whether the transfer syntax deflates the whole data set."""
        return self.transfer_syntax_uid in _DEFLATED


def walk(path: Path) -> Walked:
    """Walk an instance on disk, Part 10 or bare data set, to its exact end and read its header values.

    Raises
    ------
    InstanceUnreadable
        Says what is wrong and where.
    """
    with path.open("rb", buffering=0) as file:
        transfer_syntax_uid, offset = _begin(file)
        return walk_data_set(file, transfer_syntax_uid, offset, path.stat().st_size - offset)


def walk_data_set(file: ForwardFile, transfer_syntax_uid: str, offset: int, n_bytes: int) -> Walked:
    """Walk the data set of ``n_bytes`` that begins where the file stands, which is at ``offset``; raises as above."""
    found = _elements(file, transfer_syntax_uid, n_bytes)
    header = _header(found, little=transfer_syntax_uid != _EXPLICIT_BE)
    _check_pixels(header, found.pixels, transfer_syntax_uid)
    return Walked(transfer_syntax_uid, header, offset, n_bytes, found.n_bytes)


def instance_ref(path: Path) -> InstanceRef:
    """Describe any DICOM file on disk.

    Raises
    ------
    InstanceUnreadable
        Cut, damaged, not a DICOM instance, or without one of its four mandatory UIDs.
    """
    walked = walk(path)
    return ref_of(walked, path, data_set_digest(path, walked.offset))


def ref_of(walked: Walked, path: Path, digest: str) -> InstanceRef:
    """Describe what was walked; raises InstanceUnreadable where one of the four mandatory UIDs is missing."""
    return InstanceRef(
        path=path,
        study_instance_uid=_uid(walked, "StudyInstanceUID"),
        series_instance_uid=_uid(walked, "SeriesInstanceUID"),
        sop_instance_uid=_uid(walked, "SOPInstanceUID"),
        sop_class_uid=_uid(walked, "SOPClassUID"),
        transfer_syntax_uid=walked.transfer_syntax_uid,
        digest=digest,
        n_bytes=walked.n_bytes,
        header=walked.header,
    )


def media_storage_sop_instance_uid(path: Path) -> str:
    """Read the UID from the file meta information alone; raises InstanceUnreadable where there is none."""
    with path.open("rb", buffering=0) as file:
        start = file.read(144)
        return _text(_file_meta(file, start)[0].get(0x00020003, b"")) if start[128:132] == b"DICM" else ""


def data_set_digest(path: Path, offset: int) -> str:
    """Hex SHA-256 of the bytes of a data set that begins at ``offset``."""
    with path.open("rb") as file:
        file.seek(offset)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _begin(file: BinaryIO) -> tuple[str, int]:
    """Return the transfer syntax and where the data set begins; the file then stands there."""
    start = file.read(144)
    if start[128:132] != b"DICM":
        file.seek(0)
        return _guess(start), 0
    meta, offset = _file_meta(file, start)
    transfer_syntax_uid = _text(meta.get(0x00020010, b""))
    if not transfer_syntax_uid:
        raise InstanceUnreadable("the file meta information names no transfer syntax")
    return transfer_syntax_uid, offset


def _file_meta(file: BinaryIO, start: bytes) -> tuple[dict[int, bytes], int]:
    """Read what is wanted of the file meta information; returns it and where the data set begins."""
    # File Meta Information Group Length (PS3.10 section 7.1) is mandatory, and the only way to the end of the group.
    if start[132:140] != b"\x02\0\0\0UL\4\0" or len(start) < 144:
        raise InstanceUnreadable("the file meta information does not begin with its group length")
    length = struct.unpack("<L", start[140:144])[0]
    if length > 1 << 20:
        raise InstanceUnreadable(f"a file meta information of {length} bytes")
    meta = walk_elements(Source(file, length), Encoding(explicit=True, little=True), {0x00020003, 0x00020010})
    file.seek(144 + length)
    return meta.values, 144 + length


def _guess(start: bytes) -> str:
    """Tell the transfer syntax of a data set without file meta by its first element, which is of group 0008."""
    if start[:2] == b"\0\x08":
        return _EXPLICIT_BE
    if start[:2] != b"\x08\0":
        raise InstanceUnreadable(
            "not a DICOM file: neither DICM at byte 128 nor a data set that begins with group 0008"
        )
    return _EXPLICIT_LE if start[4:6].isalpha() and start[4:6].isupper() else _IMPLICIT_LE


def _elements(file: ForwardFile, transfer_syntax_uid: str, n_bytes: int) -> Elements:
    if transfer_syntax_uid in _DEFLATED:
        return walk_elements(InflatedSource(file, _MAX_INFLATED), Encoding(explicit=True, little=True), _RECORDED)
    explicit, little = transfer_syntax_uid != _IMPLICIT_LE, transfer_syntax_uid != _EXPLICIT_BE
    return walk_elements(Source(file, n_bytes), Encoding(explicit, little), _RECORDED)


def _header(found: Elements, *, little: bool) -> dict[str, object]:
    header: dict[str, object] = {}
    charsets = _texts(found.values.get(0x00080005, b""))
    for tag, (keyword, kind) in _RECORDED.items():
        raw = found.values.get(tag)
        value = _value(raw, kind, charsets, little) if raw else None
        if value not in (None, "", []):
            header[keyword] = value
    header["PixelDataVr"] = found.pixels.vr if found.pixels else None
    header["pixel_bytes"] = found.pixels.n_bytes if found.pixels else None
    return header


def _value(raw: bytes, kind: str, charsets: list[str], little: bool) -> object:
    if kind == "ushort":
        return struct.unpack("<H" if little else ">H", raw[:2])[0] if len(raw) >= 2 else None
    if kind == "text":
        # The escape sequences of ISO 2022 are of 7 bits.
        return _text(raw) if raw.isascii() and b"\x1b" not in raw else _decoded(raw, charsets)
    if kind == "texts":
        return _texts(raw)
    numbers = [_number(text) for text in _texts(raw)]
    if kind == "numbers":
        return None if None in numbers else numbers
    first = numbers[0] if numbers else None
    if kind == "integer" and first is not None:
        return int(first) if abs(first) < 1 << 31 else None
    return first


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip(" \0")


def _texts(raw: bytes) -> list[str]:
    text = _text(raw)
    return [part.strip() for part in text.split("\\")] if text else []


def _decoded(raw: bytes, charsets: list[str]) -> str:
    """Text in the data set's own character set; what cannot be decoded becomes U+FFFD, no text is worth an image."""
    known = [charset for charset in charsets if charset in python_encoding] or [""]
    try:
        return decode_bytes(raw, convert_encodings(known), {0x0D, 0x0A, 0x09, 0x0C}).strip(" \0")
    except (LookupError, ValueError):
        return _text(raw)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _uid(walked: Walked, keyword: str) -> str:
    uid = walked.header.get(keyword)
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise InstanceUnreadable(f"{keyword} is {'malformed' if uid else 'missing'}")
    return uid


def _check_pixels(header: dict[str, object], pixels: PixelElement | None, transfer_syntax_uid: str) -> None:
    """Pixel data are where an image needs them, in the form of the transfer syntax, and all there."""
    if pixels is None or not pixels.n_bytes:
        # An object cut exactly between two elements is otherwise well formed.
        if "Rows" in header or "Image Storage" in UID(str(header.get("SOPClassUID", ""))).name:
            raise InstanceUnreadable("an image without pixel data")
        return
    if (transfer_syntax_uid in _NATIVE) != (pixels.n_fragments is None):
        form = "native" if pixels.n_fragments is None else "encapsulated"
        raise InstanceUnreadable(f"{form} pixel data in transfer syntax {UID(transfer_syntax_uid).name}")
    if pixels.n_fragments is not None:
        if pixels.n_fragments < _count(header, "NumberOfFrames", 1) and not transfer_syntax_uid.startswith(_VIDEO):
            raise InstanceUnreadable(f"{header['NumberOfFrames']} frames in {pixels.n_fragments} fragments")
    elif pixels.n_bytes < _native_bytes(header):
        raise InstanceUnreadable(f"pixel data of {pixels.n_bytes} bytes where {_native_bytes(header)} are announced")


def _native_bytes(header: dict[str, object]) -> int:
    """Length of native pixel data by the Image Pixel module (PS3.5 section 8.1.1)."""
    samples: float = _count(header, "SamplesPerPixel", 1)
    if header.get("PhotometricInterpretation") in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        samples = 2  # one chrominance pair for two pixels
    n_pixels = _count(header, "Rows", 0) * _count(header, "Columns", 0) * _count(header, "NumberOfFrames", 1)
    return math.ceil(n_pixels * samples * _count(header, "BitsAllocated", 0) / 8)


def _count(header: dict[str, object], keyword: str, default: int) -> int:
    value = header.get(keyword)
    return value if isinstance(value, int) and value >= 0 else default
