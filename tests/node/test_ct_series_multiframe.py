"""Enhanced and legacy converted CT read the same as the single slices they were made from."""

import copy
import tracemalloc

import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian

from ai_engine.geometry import krc_to_lps_mm
from dicom_node.domain import Reason
from dicom_node.errors import SeriesRefused
from dicom_node.objects.ct_series import to_volume
from dicom_node.objects.headers import instance_ref
from dicom_node.objects.series_choice import choose
from tests.support.ct_files import refs_in, write
from tests.support.data import data_dir, needs_data

pytestmark = needs_data

FOLDER = data_dir() / "ct-odd/enhanced-multiframe"
LEGACY = FOLDER / "lidc0001_legacy_converted_enhanced_17frames_jpegls.dcm"


def _single():
    """Return the slices of the single-frame series that the multi-frame instance was converted from."""
    wanted = {
        str(item.ReferencedSOPInstanceUID)
        for item in pydicom.dcmread(LEGACY, stop_before_pixels=True)
        .ReferencedSeriesSequence[0]
        .ReferencedInstanceSequence
    }
    return [ref for ref in refs_in(data_dir() / "ct-chest/lidc-idri-0001/dicom") if ref.sop_instance_uid in wanted]


def _parts(n_parts, storage=None):
    """Return the frames of the legacy converted instance, uncompressed, in several instances as in a concatenation."""
    whole = pydicom.dcmread(LEGACY)
    pixels, groups = whole.pixel_array, list(whole.PerFrameFunctionalGroupsSequence)
    for i, indices in enumerate(np.array_split(np.arange(16), n_parts)):
        part = copy.deepcopy(whole)
        part.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        part.SOPInstanceUID = f"2.25.{100 + i}"
        part.SOPClassUID = part.file_meta.MediaStorageSOPClassUID = storage or whole.SOPClassUID
        part.ConcatenationUID, part.InConcatenationNumber = "2.25.99", i + 1
        part.NumberOfFrames = len(indices)
        part.PerFrameFunctionalGroupsSequence = Sequence([copy.deepcopy(groups[j]) for j in indices])
        part.PixelData = pixels[indices].tobytes()
        part["PixelData"].VR = "OW"
        part["PixelData"].is_undefined_length = False
        yield part


def test_legacy_converted_frames_equal_the_single_slices():
    single, multi = to_volume(_single()), to_volume([instance_ref(LEGACY)])
    np.testing.assert_array_equal(multi.volume.hu, single.volume.hu)
    np.testing.assert_allclose(multi.volume.affine, single.volume.affine, atol=1e-6)
    assert multi.frame_of_reference_uid == single.frame_of_reference_uid
    assert multi.volume.contrast == single.volume.contrast
    assert len(multi.datasets) == 1


def test_each_slice_names_its_frame():
    found = to_volume([instance_ref(LEGACY)])
    groups = found.datasets[0].PerFrameFunctionalGroupsSequence
    assert sorted(source.frame_number for source in found.slices) == list(range(1, 17))
    for k, source in enumerate(found.slices):
        there = groups[source.frame_number - 1].PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(krc_to_lps_mm(found.volume.affine, (k, 0, 0)), there, atol=1e-6)


@pytest.mark.parametrize("storage", [None, EnhancedCTImageStorage])
def test_the_instances_of_a_concatenation_are_one_volume(tmp_path, storage):
    refs = write(tmp_path, _parts(3, storage))
    found = to_volume(refs[::-1])
    np.testing.assert_array_equal(found.volume.hu, to_volume(_single()).volume.hu)
    assert len(found.datasets) == 3
    assert {source.sop_instance_uid for source in found.slices} == {ref.sop_instance_uid for ref in refs}


def test_a_missing_part_of_a_concatenation_is_a_gap(tmp_path):
    parts = list(_parts(16))
    with pytest.raises(SeriesRefused, match="slice missing") as caught:
        to_volume(write(tmp_path, parts[:5] + parts[6:]))
    assert caught.value.reason is Reason.GAP


def test_native_frames_are_read_one_at_a_time(tmp_path):
    refs = write(tmp_path, _parts(1))
    tracemalloc.start()
    try:
        found = to_volume(refs)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < found.volume.hu.nbytes * 1.6, "not the volume and all its pixel data"


def test_choice_reads_multi_frame_geometry_from_the_file():
    choice = choose([instance_ref(LEGACY), instance_ref(FOLDER / "eCT_Supplemental.dcm")])
    assert [(series.n_slices, series.spacing_mm) for series in choice.ranked[0]] == [(16, 2.5)]
    assert [verdict.reason for verdict in choice.refused] == [Reason.DERIVED]
