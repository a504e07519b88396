"""Every transfer syntax and every odd way to store a slice give the same Hounsfield units."""

import copy

import numpy as np
import pydicom
import pytest

from dicom_node.objects.ct_pixels import AIR_HU
from dicom_node.objects.ct_series import to_volume
from dicom_node.objects.headers import instance_ref
from tests.support.ct_files import position, set_pixels, shift, small_chest, write
from tests.support.data import data_dir, needs_data

pytestmark = needs_data

# Largest error in HU against the original, as the data set's README states it for the lossy ones.
_SYNTAXES = {
    "explicit_le_original": 0,
    "implicit_le": 0,
    "explicit_be": 0,
    "deflated": 0,
    "rle": 0,
    "jpeg_lossless_sv1": 0,
    "jpegls_lossless": 0,
    "jpegls_near_lossless_err3": 3,
    "j2k_lossless": 0,
    "j2k_lossy_12to1": 52,
    "htj2k_lossless": 0,
}


def _twelve_of(name):
    """One slice twelve times, each in its own place: the least that makes a volume."""
    original = pydicom.dcmread(data_dir() / "ct-compressed/one-slice-all-syntaxes" / f"{name}.dcm")
    first = position(original)
    for i in range(12):
        ds = copy.deepcopy(original)
        ds.SOPInstanceUID = f"2.25.{i + 1}"
        ds.ImagePositionPatient = [*first[:2], first[2] + 2.5 * i]
        yield ds


@pytest.mark.slow
@pytest.mark.parametrize("name", _SYNTAXES)
def test_all_syntaxes_decode_to_the_same_slice(tmp_path, name):
    original = pydicom.dcmread(data_dir() / "ct-compressed/one-slice-all-syntaxes/explicit_le_original.dcm")
    expected = np.clip(original.pixel_array.astype(int) - 1024, -1024, None)
    found = to_volume(write(tmp_path, _twelve_of(name)))
    for hu in found.volume.hu:
        assert np.abs(hu - expected).max() <= _SYNTAXES[name]


def test_a_bare_data_set_without_file_meta_reads_the_same(tmp_path):
    chest = small_chest(12)
    expected = to_volume(write(tmp_path / "part10", chest))
    for ds in chest:
        del ds.file_meta
        ds.preamble = None
        ds.save_as(tmp_path / f"{ds.InstanceNumber}", implicit_vr=True, little_endian=True)
    found = to_volume([instance_ref(tmp_path / f"{ds.InstanceNumber}") for ds in chest])
    np.testing.assert_array_equal(found.volume.hu, expected.volume.hu)
    assert found.datasets[0].file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"


def test_each_slice_has_its_own_rescale(tmp_path):
    chest = small_chest(12)
    expected = to_volume(write(tmp_path / "plain", chest)).volume.hu
    for i, ds in enumerate(chest):
        stored = np.clip(ds.pixel_array, -1024 + 1024, None)  # air at the least, so that nothing is cut off
        set_pixels(ds, ((stored - 10 * i) // 2).astype(np.int16))
        ds.RescaleSlope, ds.RescaleIntercept = 2, -1024 + 10 * i
    found = to_volume(write(tmp_path / "rescaled", chest)).volume.hu
    assert np.abs(found - expected).max() <= 1, "halving the stored values costs one unit at most"


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, -1000.25), (1.0, -999.6)])
def test_fractions_are_rounded_not_cut(tmp_path, slope, intercept):
    chest = small_chest(12)
    stored = [np.clip(ds.pixel_array, 0, None) for ds in chest]
    for ds, values in zip(chest, stored, strict=True):
        set_pixels(ds, values)
        ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
    found = to_volume(write(tmp_path, chest)).volume.hu
    assert np.abs(found - (np.stack(stored) * slope + intercept)).max() <= 0.5


def test_padding_is_air_where_it_cannot_be_tissue(tmp_path):
    chest = small_chest(12)
    for ds in chest:
        stored = ds.pixel_array
        stored[:4], stored[4:8] = 32000, 31990
        set_pixels(ds, stored)
        ds.add_new("PixelPaddingValue", "SS", 32000)
        ds.add_new("PixelPaddingRangeLimit", "SS", 31985)
    hu = to_volume(write(tmp_path, chest)).volume.hu
    assert (hu[:, :8] == AIR_HU).all()
    assert hu.max() < 4000


def test_padding_that_is_also_tissue_digs_no_holes(tmp_path):
    plain = to_volume(write(tmp_path / "plain", small_chest(12))).volume.hu
    chest = small_chest(12)
    for ds in chest:
        ds.add_new("PixelPaddingValue", "SS", 1064)  # 40 HU: muscle
    np.testing.assert_array_equal(to_volume(write(tmp_path / "padded", chest)).volume.hu, plain)
    assert (plain == 40).any()


def test_padding_written_unsigned_into_signed_pixels_is_understood(tmp_path):
    chest = small_chest(12)
    for ds in chest:
        stored = ds.pixel_array
        stored[:4] = -30000
        set_pixels(ds, stored)
        ds.add_new("PixelPaddingValue", "US", 65536 - 30000)
    hu = to_volume(write(tmp_path, chest)).volume.hu
    assert (hu[:, :4] == AIR_HU).all()


def test_values_beyond_int16_are_cut_off_not_wrapped(tmp_path):
    chest = small_chest(12)
    for ds in chest:
        stored = ds.pixel_array.astype(np.uint16)
        stored[:] = 40
        stored[10, 10] = 60000
        set_pixels(ds, stored)
        ds.PixelRepresentation = 0
    hu = to_volume(write(tmp_path, chest)).volume.hu
    assert (hu[:, 10, 10] == 32767).all()


def test_overlay_bits_above_the_stored_ones_are_not_pixels(tmp_path):
    chest = small_chest(12)
    expected = []
    for ds in chest:
        stored = np.clip(ds.pixel_array, 0, 4095).astype(np.uint16)
        expected.append(stored.astype(int) - 1024)
        stored[::2] |= 0x8000
        set_pixels(ds, stored)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    np.testing.assert_array_equal(to_volume(write(tmp_path, chest)).volume.hu, np.stack(expected))


def test_a_stack_moved_in_the_plane_by_rounding_is_still_straight(tmp_path):
    chest = small_chest(12)
    for i, ds in enumerate(chest):
        shift(ds, [0.04 * (i % 2), -0.03 * (i % 3), 0])
    assert len(to_volume(write(tmp_path, chest)).slices) == 12
