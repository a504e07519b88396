"""Header values are those that pydicom reads, and what is whole is told from what is not."""

import itertools
import json
import struct
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.multival import MultiValue

from dicom_node.errors import InstanceUnreadable
from dicom_node.objects import elements, headers
from dicom_node.objects.source import InflatedSource
from tests.support.data import data_dir, needs_data
from tests.support.instances import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, JPEG_LS, as_file, ct, encapsulated

RLE = "1.2.840.10008.1.2.5"
SYNTAXES = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED, JPEG_LS)
FOLDERS = ("broken", "ct-odd", "non-ct", "ct-compressed", "ct-chest", "seg-sr")
# What is wrong with the files that must be refused; every other one must be read.
REFUSED = {
    "broken/GH220.dcm": "StudyInstanceUID is missing",
    "broken/GH223.dcm": "without pixel data",
    "broken/GH340.dcm": "StudyInstanceUID is missing",
    "broken/GH487.dcm": "without pixel data",
    "broken/JLSL_RGB_ILV0.dcm": "not a DICOM file",
    "broken/ct_truncated_pixel_data.dcm": r"\(7FE0,0010\) ends 326464 bytes behind the end",
    "broken/emri_small_jpeg_2k_lossless_too_short.dcm": "end inside an element",
    "non-ct/DICOMDIR": "StudyInstanceUID is missing",
    "non-ct/charset/chrJapMultiExplicitIR6.dcm": "without pixel data",
    "non-ct/charset/chrKoreanMulti.dcm": "without pixel data",
    "non-ct/charset/chrSQEncoding.dcm": "StudyInstanceUID is missing",
    "non-ct/charset/chrSQEncoding1.dcm": "StudyInstanceUID is missing",
    "ct-compressed/bad_sequence.dcm": "StudyInstanceUID is malformed",
}


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "instance.dcm"
    path.write_bytes(data)
    return path


def file_of(syntax: str) -> bytes:
    return as_file(encapsulated(ct()) if syntax == JPEG_LS else ct(), syntax)


def shared_files() -> list[Path]:
    """Every DICOM file of the shared data, but only five of each chest series."""
    found = []
    for folder in FOLDERS:
        by_parent = itertools.groupby(sorted((data_dir() / folder).rglob("*")), key=lambda path: path.parent)
        for _, files in by_parent:
            dicom = [path for path in files if path.is_file() and path.suffix not in (".json", ".png", ".gz")]
            found += dicom[:5] if folder == "ct-chest" else dicom
    return found


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_values_of_a_whole_instance_are_recorded(syntax: str, tmp_path: Path) -> None:
    ref = headers.instance_ref(written(tmp_path, file_of(syntax)))

    assert ref.transfer_syntax_uid == syntax
    assert (ref.sop_instance_uid, ref.study_instance_uid) == (ct().SOPInstanceUID, ct().StudyInstanceUID)
    assert ref.header["ImageType"] == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert ref.header["ImagePositionPatient"] == [-100.5, -100.0, 2.5]
    assert ref.header["SliceThickness"] == 2.5
    assert ref.header["InstanceNumber"] == 1
    assert ref.header["Rows"] == 8
    assert ref.header["ConvolutionKernel"] == "B30f"
    assert ref.header["SeriesDescription"] == "Lunge Übersicht"
    assert ref.header["pixel_bytes"] == 128
    assert json.loads(json.dumps(ref.header)) == ref.header


def test_no_value_that_names_the_patient_is_recorded(tmp_path: Path) -> None:
    recorded = json.dumps(headers.instance_ref(written(tmp_path, file_of(EXPLICIT_LE))).header)

    assert "Emerald" not in recorded
    assert "EM-1" not in recorded
    assert not [keyword for keyword in headers.KEYWORDS if keyword.startswith(("PatientN", "PatientI", "PatientB"))]


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
def test_a_bare_data_set_is_read_too(syntax: str, tmp_path: Path) -> None:
    file = file_of(syntax)
    bare = file[144 + int.from_bytes(file[140:144], "little") :]

    ref = headers.instance_ref(written(tmp_path, bare))

    assert ref.transfer_syntax_uid == syntax
    assert ref.n_bytes == len(bare)


def test_the_digest_leaves_the_file_meta_out(tmp_path: Path) -> None:
    file = file_of(EXPLICIT_LE)
    bare = file[144 + int.from_bytes(file[140:144], "little") :]

    assert headers.instance_ref(written(tmp_path, file)).digest == headers.instance_ref(written(tmp_path, bare)).digest


@needs_data
@pytest.mark.parametrize("path", shared_files(), ids=lambda path: str(path.relative_to(data_dir())))
def test_shared_data_are_read_as_pydicom_reads_them_or_refused_in_words(path: Path) -> None:
    why = REFUSED.get(str(path.relative_to(data_dir())))
    if why:
        with pytest.raises(InstanceUnreadable, match=why):
            headers.instance_ref(path)
        return

    ref = headers.instance_ref(path)

    assert_agrees(ref.header, pydicom.dcmread(path, force=True))


def assert_agrees(header: dict[str, object], ds: Dataset) -> None:
    for keyword in headers.KEYWORDS:
        if keyword in ("PixelDataVr", "pixel_bytes"):
            continue
        value = ds.get(keyword)
        if isinstance(value, MultiValue):
            value = list(value) if isinstance(header.get(keyword), list) else "\\".join(map(str, value))
        recorded = header.get(keyword)
        recorded = recorded[0] if isinstance(recorded, list) and not isinstance(value, list) else recorded
        assert recorded == (None if value in ("", [], None) else value), keyword
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in ds and not ds[keyword].is_undefined_length:
            assert header["pixel_bytes"] == len(ds[keyword].value)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_cut_at_any_byte_is_noticed(syntax: str, tmp_path: Path) -> None:
    file = file_of(syntax)
    path = tmp_path / "cut.dcm"
    path.write_bytes(file)
    with path.open("r+b") as cut:
        for length in range(len(file) - 1, 0, -1):
            cut.truncate(length)
            with pytest.raises(InstanceUnreadable):
                headers.instance_ref(path)


@pytest.mark.slow
@pytest.mark.parametrize("syntax", SYNTAXES)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_flipped_bytes_are_read_or_refused_but_nothing_else(syntax: str, tmp_path: Path, data: st.DataObject) -> None:
    file = bytearray(file_of(syntax))
    for at in data.draw(st.lists(st.integers(132, len(file) - 1), min_size=1, max_size=4)):
        file[at] = data.draw(st.integers(0, 255))
    path = written(tmp_path, bytes(file))

    try:
        header = headers.instance_ref(path).header
    except InstanceUnreadable:
        return
    assert set(header) <= set(headers.KEYWORDS)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    junk=st.binary(max_size=400), start=st.sampled_from([b"", b"\x08\0\x05\0CS", b"\x08\0\x16\0", b"\0\x08\0\x05CS"])
)
def test_random_bytes_are_refused_in_words(tmp_path: Path, junk: bytes, start: bytes) -> None:
    with pytest.raises(InstanceUnreadable):
        headers.instance_ref(written(tmp_path, start + junk))


def test_an_image_without_its_last_row_is_refused(tmp_path: Path) -> None:
    ds = ct()
    ds.PixelData = ds.PixelData[:-16]

    with pytest.raises(InstanceUnreadable, match="pixel data of 112 bytes where 128 are announced"):
        headers.walk(written(tmp_path, as_file(ds)))


def test_an_image_of_more_frames_than_fragments_is_refused(tmp_path: Path) -> None:
    ds = encapsulated(ct())
    ds.NumberOfFrames = 2

    with pytest.raises(InstanceUnreadable, match="2 frames in 1 fragments"):
        headers.walk(written(tmp_path, as_file(ds, JPEG_LS)))


def test_native_pixel_data_in_a_compressed_syntax_are_refused(tmp_path: Path) -> None:
    assert len(RLE) == len(EXPLICIT_LE)
    file = file_of(EXPLICIT_LE).replace(EXPLICIT_LE.encode(), RLE.encode())

    with pytest.raises(InstanceUnreadable, match="native pixel data in transfer syntax RLE Lossless"):
        headers.walk(written(tmp_path, file))


def test_encapsulated_pixel_data_in_a_native_syntax_are_refused(tmp_path: Path) -> None:
    file = as_file(encapsulated(ct()), RLE).replace(RLE.encode(), EXPLICIT_LE.encode())

    with pytest.raises(InstanceUnreadable, match="encapsulated pixel data in transfer syntax Explicit VR Little"):
        headers.walk(written(tmp_path, file))


def test_bytes_behind_a_deflated_stream_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InstanceUnreadable, match="other bytes follow"):
        headers.walk(written(tmp_path, file_of(DEFLATED) + b"\0\0\0\0"))


def test_a_deflated_bomb_is_refused_and_costs_no_memory() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 64 << 20)
    bomb = packer.compress(head) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    source = InflatedSource(BytesIO(bomb), max_bytes=32 << 20)

    tracemalloc.start()
    with pytest.raises(InstanceUnreadable, match="grow beyond"):
        elements.walk(source, elements.Encoding(explicit=True, little=True), ())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 << 20


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    opened = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )

    with pytest.raises(InstanceUnreadable, match="nested deeper than"):
        headers.walk(written(tmp_path, opened * 10000))


@pytest.mark.parametrize("length", [0xFFFFFFFE, 0x7FFFFFFF, 1000])
def test_a_length_beyond_the_end_is_refused_without_reading_on(length: int, tmp_path: Path) -> None:
    element = struct.pack("<HH2sHL", 0x0008, 0x0005, b"UN", 0, length)

    with pytest.raises(InstanceUnreadable, match=r"\(0008,0005\) ends \d+ bytes behind the end"):
        headers.walk(written(tmp_path, element))


def test_an_item_that_reaches_over_its_sequence_is_refused(tmp_path: Path) -> None:
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 100)
    sequence = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, len(item)) + item

    with pytest.raises(InstanceUnreadable, match=r"\(FFFE,E000\) ends 100 bytes behind the end"):
        headers.walk(written(tmp_path, sequence + bytes(200)))
