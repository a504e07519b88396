"""One image in two syntaxes is one image; other pixels or another place under its UID are not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_node.objects import identity
from dicom_node.objects.identity import Sameness
from tests.support.data import data_dir, needs_data
from tests.support.instances import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, JPEG_LS, as_file, ct, encapsulated

LOSSLESS = ("implicit_le", "explicit_be", "deflated", "rle", "jpeg_lossless_sv1", "jpegls_lossless", "htj2k_lossless")
LOSSY = ("jpegls_near_lossless_err3", "j2k_lossy_12to1")


def written(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def compared(tmp_path: Path, one: bytes, other: bytes) -> Sameness:
    return identity.compare(written(tmp_path, "held.dcm", one), written(tmp_path, "arrived.dcm", other))


def rename_patient(ds: Dataset) -> None:
    ds.PatientName = "Renamed^Test"


def describe(ds: Dataset) -> None:
    ds.SeriesDescription = "corrected"


def write_numbers_otherwise(ds: Dataset) -> None:
    ds.ImagePositionPatient = ["-100.50", "-100.0", "2.500"]


def change_one_pixel(ds: Dataset) -> None:
    ds.PixelData = b"\x63" + ds.PixelData[1:]


def shift(ds: Dataset) -> None:
    ds.ImagePositionPatient = [-100.5, -100, 3]


def rescale(ds: Dataset) -> None:
    ds.RescaleIntercept = 0


def lose_position(ds: Dataset) -> None:
    del ds.ImagePositionPatient


def move_to_another_study(ds: Dataset) -> None:
    ds.StudyInstanceUID = "1.2.3"


def test_the_same_data_set_with_another_file_meta_is_the_same(tmp_path: Path) -> None:
    file = as_file(ct())

    assert compared(tmp_path, file, file.replace(b"PYDICOM", b"ANOTHER")) == Sameness.SAME_BYTES


@pytest.mark.parametrize("change", [rename_patient, describe, write_numbers_otherwise])
def test_a_corrected_header_is_the_same_image(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    ds = ct()
    change(ds)

    assert compared(tmp_path, as_file(ct()), as_file(ds)) == Sameness.SAME_PIXELS


@pytest.mark.parametrize("change", [change_one_pixel, shift, rescale, lose_position, move_to_another_study])
def test_other_pixels_or_another_place_are_different(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    ds = ct()
    change(ds)

    assert compared(tmp_path, as_file(ct()), as_file(ds)) == Sameness.DIFFERENT


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_BE, DEFLATED])
def test_another_encoding_is_the_same_image(syntax: str, tmp_path: Path) -> None:
    assert compared(tmp_path, as_file(ct(), EXPLICIT_LE), as_file(ct(), syntax)) == Sameness.SAME_PIXELS


def test_pixels_that_cannot_be_decoded_are_not_known_to_be_the_same(tmp_path: Path) -> None:
    assert compared(tmp_path, as_file(ct()), as_file(encapsulated(ct()), JPEG_LS)) == Sameness.DIFFERENT


@needs_data
@pytest.mark.parametrize("name", LOSSLESS)
def test_a_real_slice_compressed_without_loss_is_the_same(name: str) -> None:
    folder = data_dir() / "ct-compressed/one-slice-all-syntaxes"

    assert identity.compare(folder / "explicit_le_original.dcm", folder / f"{name}.dcm") == Sameness.SAME_PIXELS


@needs_data
@pytest.mark.parametrize("name", LOSSY)
def test_a_real_slice_compressed_with_loss_is_different(name: str) -> None:
    folder = data_dir() / "ct-compressed/one-slice-all-syntaxes"

    assert identity.compare(folder / "explicit_le_original.dcm", folder / f"{name}.dcm") == Sameness.DIFFERENT


@needs_data
def test_frames_of_a_multiframe_image_have_places_too(tmp_path: Path) -> None:
    source = data_dir() / "ct-odd/enhanced-multiframe/eCT_Supplemental.dcm"
    held = Path(shutil.copy(source, tmp_path / "held.dcm"))
    ds = dcmread(source)
    position = ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient
    ds.PatientName = "Renamed^Test"
    ds.save_as(tmp_path / "renamed.dcm")
    position[2] = float(position[2]) + 1
    ds.save_as(tmp_path / "shifted.dcm")

    assert identity.compare(held, tmp_path / "renamed.dcm") == Sameness.SAME_PIXELS
    assert identity.compare(held, tmp_path / "shifted.dcm") == Sameness.DIFFERENT


def test_what_does_not_fit_the_memory_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_MAX_BYTES", 8 * 8 * 2 - 1)

    assert compared(tmp_path, as_file(ct(), EXPLICIT_LE), as_file(ct(), IMPLICIT_LE)) == Sameness.DIFFERENT
