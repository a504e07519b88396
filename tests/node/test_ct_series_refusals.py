"""What cannot be read as one stack is refused with the reason a radiologist would give; never with another error."""

import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from dicom_node.domain import InstanceRef, Reason
from dicom_node.errors import InstanceUnreadable, SeriesRefused
from dicom_node.objects.ct_series import to_volume
from dicom_node.objects.headers import instance_ref
from dicom_node.objects.series_choice import choose
from tests.support.ct_files import move, position, refs_in, renamed, set_pixels, shift, small_chest, write
from tests.support.data import data_dir, needs_data

pytestmark = needs_data


def _refused(tmp_path, datasets) -> SeriesRefused:
    with pytest.raises(SeriesRefused) as caught:
        to_volume(write(tmp_path, datasets))
    return caught.value


def test_a_missing_slice_is_named_by_its_place(tmp_path):
    chest = small_chest()
    error = _refused(tmp_path, chest[:8] + chest[9:])
    assert error.reason is Reason.GAP
    # LIDC-IDRI-0001: the first of these slices lies at -137.5 mm, the next every 2.5 mm
    assert error.detail == "slice missing after table position -120.0 mm: gap of 5.0 mm where 2.5 mm is usual"


def test_several_gaps_are_counted(tmp_path):
    chest = small_chest()
    error = _refused(tmp_path, chest[:6] + chest[9:15] + chest[16:])
    assert error.reason is Reason.GAP
    assert error.detail.startswith("3 slices missing after table position -125.0 mm: gap of 10.0 mm")
    assert error.detail.endswith("(2 gaps in all)")


def test_a_drift_that_no_single_step_shows(tmp_path):
    chest = small_chest(40)
    for i, ds in enumerate(chest):
        shift(ds, [0, 0, 0.003 * i * i])  # steps of 2.50 to 2.73 mm, 1.1 mm off the even grid in the middle
    error = _refused(tmp_path, chest)
    assert (error.reason, error.detail) == (Reason.UNEVEN_SPACING, "slices lie up to 1.1 mm off an even grid")


def _spread(factor):
    def change(chest):
        first = position(chest[0])
        for ds in chest:
            move(ds, first + factor * (position(ds) - first))

    return change


def _uneven(chest):
    for i, ds in enumerate(chest):
        shift(ds, [0, 0, 0.5 if i % 2 else 0])


def _two_spacings(chest):
    for i, ds in enumerate(chest[12:]):
        shift(ds, [0, 0, 2.5 * i])


def _sheared(chest):
    for i, ds in enumerate(chest):
        shift(ds, [0, 2.5 * i * np.tan(np.radians(12)), 0])


def _tilted(angle_deg, header_tilt):
    def change(chest):
        cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        first = position(chest[0])
        for i, ds in enumerate(chest):
            ds.ImageOrientationPatient = [1, 0, 0, 0, f"{cos:.7f}", f"{-sin:.7f}"]
            ds.GantryDetectorTilt = header_tilt
            move(ds, first + 2.5 * i * np.array([0, sin, cos]))

    return change


def _coronal(chest):
    for i, ds in enumerate(chest):
        ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        move(ds, [0, 2.5 * i, 0])


def _each(**values):
    def change(chest):
        for ds in chest:
            for keyword, value in values.items():
                setattr(ds, keyword, value)

    return change


def _without(keyword):
    def change(chest):
        for ds in chest:
            delattr(ds, keyword)

    return change


def _colour(chest):
    for ds in chest:
        pixels = np.repeat(ds.pixel_array[..., np.newaxis], 3, axis=-1)
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.PixelData = pixels.tobytes()


_REFUSED = {
    "uneven": (_uneven, Reason.UNEVEN_SPACING, "2.0 to 3.0 mm"),
    "two spacings": (_two_spacings, Reason.UNEVEN_SPACING, "2.5 to 5.0 mm"),
    "too wide": (_spread(3.3), Reason.SPACING_TOO_WIDE, "8.2 mm, at most 8 mm"),
    "too short": (_spread(0.4), Reason.TOO_SHORT, "24 mm, at least 30 mm"),
    "sheared": (_sheared, Reason.TILT, "by 12.0 degrees"),
    "oblique with a tilted gantry": (_tilted(15, 15), Reason.TILT, "15.0 degrees from axial"),
    "oblique reformat": (_tilted(15, 0), Reason.NOT_AXIAL, "15.0 degrees from axial"),
    "coronal": (_coronal, Reason.NOT_AXIAL, "24 coronal images"),
    "localizer": (_each(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), Reason.LOCALIZER, "LOCALIZER"),
    "Siemens topogram": (_each(ImageType=["ORIGINAL", "PRIMARY", "OTHER", "CT_SOM5 TOP"]), Reason.LOCALIZER, "TOP"),
    "reformat": (_each(ImageType=["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MPR"]), Reason.DERIVED, "MPR"),
    "projection": (_each(ImageType=["DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIP"]), Reason.DERIVED, "MIP"),
    "MinIP": (_each(ImageType=["DERIVED", "PRIMARY", "VOLUME", "MIN_IP"]), Reason.DERIVED, "MIN_IP"),
    "mask as CT": (_each(Modality="SEG"), Reason.NOT_CT, "Modality is SEG"),
    "no modality": (_without("Modality"), Reason.NOT_CT, "Modality is missing"),
    "effective atomic number": (_each(RescaleType="Z_EFF"), Reason.NOT_HOUNSFIELD, "Rescale Type is Z_EFF"),
    "no rescale": (_without("RescaleIntercept"), Reason.NOT_HOUNSFIELD, "Rescale Intercept is missing"),
    "unspecified, no air": (_each(RescaleType="US", RescaleIntercept=0), Reason.NOT_HOUNSFIELD, "no air"),
    "slope of zero": (_each(RescaleSlope=0), Reason.NOT_HOUNSFIELD, "Rescale Slope"),
    "colour": (_colour, Reason.NOT_HOUNSFIELD, "colour"),
    "no position": (_without("ImagePositionPatient"), Reason.NO_GEOMETRY, "Image Position (Patient)"),
    "no orientation": (_each(ImageOrientationPatient=None), Reason.NO_GEOMETRY, "Image Orientation (Patient)"),
    "no frame of reference": (_without("FrameOfReferenceUID"), Reason.NO_GEOMETRY, "Frame of Reference UID"),
    "nonsense orientation": (_each(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), Reason.NO_GEOMETRY, "perpendicular"),
    "no pixel size": (_each(PixelSpacing=[0, 0]), Reason.NO_GEOMETRY, "Pixel Spacing is 0 x 0 mm"),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_refused_with_reason_and_words(tmp_path, name):
    change, reason, words = _REFUSED[name]
    chest = small_chest()
    change(chest)
    error = _refused(tmp_path, chest)
    assert error.reason is reason
    assert words in error.detail
    assert str(error).startswith(reason.sentence)


@pytest.mark.parametrize("name", ["plain", "US", "SECONDARY", "rounded to 0.1 mm", "tilt in the header only", "8 mm"])
def test_accepted_all_the_same(tmp_path, name):
    chest = small_chest()
    changes = {
        "plain": _each(),
        "US": _each(RescaleType="US"),
        "SECONDARY": _each(ImageType=["DERIVED", "SECONDARY", "AXIAL"]),
        "rounded to 0.1 mm": lambda chest: [move(ds, np.round(position(ds) * 0.51, 1)) for ds in chest],
        "tilt in the header only": _each(GantryDetectorTilt=4),
        "8 mm": _spread(3.2),
    }
    changes[name](chest)
    found = to_volume(write(tmp_path, chest))
    assert len(found.slices) == len(chest)
    words = {"US": "because the images hold air", "tilt in the header only": "Gantry/Detector Tilt says 4.0 degrees"}
    assert any(words[name] in note for note in found.notes) if name in words else not found.notes


def test_eleven_slices_are_too_few(tmp_path):
    error = _refused(tmp_path, small_chest(11))
    assert (error.reason, error.detail) == (Reason.TOO_FEW_SLICES, "11, at least 12 are needed")


def test_a_real_tilted_gantry():
    with pytest.raises(SeriesRefused, match=r"the gantry was tilted: by 18\.5 degrees"):
        to_volume(refs_in(data_dir() / "ct-odd/gantry-tilt-ge-head-18deg/dicom"))


def test_different_images_at_one_place_are_refused_with_the_place(tmp_path):
    chest = small_chest()
    others = renamed(chest[4:7], "8")
    for ds in others:
        set_pixels(ds, ds.pixel_array + 1)
    error = _refused(tmp_path, chest + others)
    assert error.reason is Reason.MIXED_GEOMETRY
    assert error.detail.startswith("different images at table position -127.5 mm and at 2 more")


def test_pixel_data_that_no_decoder_takes(tmp_path):
    chest = small_chest(12)
    for ds in chest:
        ds.compress("1.2.840.10008.1.2.4.80", generate_instance_uid=False)
    refs = write(tmp_path, chest)
    data = refs[3].path.read_bytes()
    assert data.count(b"\xff\xd8\xff\xf7") == 1, "the start of the JPEG-LS code stream"
    refs[3].path.write_bytes(data.replace(b"\xff\xd8\xff\xf7", bytes(4)))
    with pytest.raises(SeriesRefused) as caught:
        to_volume(refs)
    assert caught.value.reason is Reason.UNDECODABLE
    assert refs[3].sop_instance_uid[-8:] in caught.value.detail


def test_pixel_data_cut_off_after_reception(tmp_path):
    refs = write(tmp_path, small_chest(12))
    refs[5].path.write_bytes(refs[5].path.read_bytes()[:-1000])
    with pytest.raises(SeriesRefused) as caught:
        to_volume(refs)
    assert caught.value.reason is Reason.UNDECODABLE


@pytest.mark.slow
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_damaged_bytes_are_refused_or_read_never_an_error(tmp_path, syntax):
    chest, rng = small_chest(14), random.Random(7)
    for ds in chest:
        if UID(syntax).is_compressed:
            ds.compress(syntax, generate_instance_uid=False)
    refs = write(tmp_path, chest)
    for _ in range(40):
        ref = rng.choice(refs)
        whole = ref.path.read_bytes()
        damaged = bytearray(whole)
        for _ in range(10):
            damaged[rng.randrange(144, len(whole))] = rng.randrange(256)
        ref.path.write_bytes(damaged)
        with suppress(SeriesRefused):
            assert len(to_volume(refs).slices) in (13, 14)
        ref.path.write_bytes(whole)


def test_a_file_that_vanished(tmp_path):
    refs = write(tmp_path, small_chest(12))
    refs[5].path.unlink()
    with pytest.raises(SeriesRefused, match="cannot be read"):
        to_volume(refs)


def _loose(path: Path) -> InstanceRef:
    """Refer to a file that reception would have refused."""
    ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    uids = [str(ds.get(f"{what}UID") or "") for what in ("StudyInstance", "SeriesInstance", "SOPInstance", "SOPClass")]
    syntax = str(getattr(ds, "file_meta", {}).get("TransferSyntaxUID", "1.2.840.10008.1.2"))
    return InstanceRef(path, *uids, syntax, "", 0)


_FOLDERS = ("broken", "ct-odd", "non-ct", "ct-compressed")
_OTHERS = [path for folder in _FOLDERS for path in sorted((data_dir() / folder).rglob("*"))]
_FILES = [path for path in _OTHERS if path.is_file() and path.suffix not in (".json", ".png")]


@pytest.mark.parametrize("folder", _FOLDERS)
def test_every_odd_file_alone_is_refused_by_reason_or_read(folder):
    files = [path for path in _FILES if path.is_relative_to(data_dir() / folder)]
    assert files
    for path in files:
        try:
            ref = instance_ref(path)
        except InstanceUnreadable:
            ref = _loose(path)
        if "legacy_converted" in path.name:
            assert len(to_volume([ref]).slices) == len(choose([ref]).ranked[0][0].refs) * 16
            continue
        with pytest.raises(SeriesRefused) as caught:
            to_volume([ref])
        assert isinstance(caught.value.reason, Reason)
        choice = choose([ref])
        assert not choice.ranked, path.name
        assert [verdict.reason for verdict in choice.refused] == [caught.value.reason]
