"""One series, several stacks: the best complete one is taken and the rest is noted, or it is refused."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_node.domain import InstanceRef, Reason
from dicom_node.errors import SeriesRefused
from dicom_node.objects.ct_divide import best_stack
from dicom_node.objects.ct_frames import Frame, frames_of_header
from dicom_node.objects.ct_series import to_volume
from tests.support.ct_files import move, refs_in, renamed, set_pixels, shift, small_chest, write
from tests.support.data import data_dir, needs_data

A0002 = data_dir() / "ct-chest/lung-pet-ct-dx-a0002"


@pytest.mark.slow
@needs_data
def test_two_reconstructions_under_one_series_are_told_apart_by_their_kernel():
    soft, sharp = refs_in(A0002 / "series-b40f"), refs_in(A0002 / "series-b70f")
    mixed = [*soft, *sharp]
    random.Random(3).shuffle(mixed)
    found = to_volume(mixed)
    np.testing.assert_array_equal(found.volume.hu, to_volume(soft).volume.hu)
    assert found.notes == ("30 images with another Convolution Kernel left out",)
    assert {header.ConvolutionKernel for header in found.datasets} == {"B40f"}
    preferred = to_volume(mixed, prefer_kernels=["B70f"])
    assert {header.ConvolutionKernel for header in preferred.datasets} == {"B70f"}


def _second_phase(chest):
    others = renamed(chest, "2")
    for ds in others:
        set_pixels(ds, ds.pixel_array + 20)
    return others


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "ContrastBolusAgent", "SliceThickness", "ImageType"])
def test_phases_are_told_apart_by_whatever_value_separates_them(tmp_path, keyword):
    values = {"AcquisitionNumber": 7, "ContrastBolusAgent": "OTHER", "SliceThickness": 5, "ImageType": ["DERIVED"]}
    chest = small_chest()
    others = _second_phase(chest)
    for ds in others:
        setattr(ds, keyword, values[keyword])
    found = to_volume(write(tmp_path, [*others, *chest]))
    assert len(found.slices) == 24
    assert len({str(header.get(keyword)) for header in found.datasets}) == 1
    assert "24 images with another" in found.notes[0]


@needs_data
def test_phases_that_nothing_tells_apart_are_refused(tmp_path):
    chest = small_chest()
    with pytest.raises(SeriesRefused, match=r"different images at table position -137\.5 mm and at 23 more") as caught:
        to_volume(write(tmp_path, chest + _second_phase(chest)))
    assert caught.value.reason is Reason.MIXED_GEOMETRY


@needs_data
def test_an_incomplete_phase_beside_a_complete_one_is_not_quietly_dropped(tmp_path):
    chest = small_chest()
    others = _second_phase(chest)[:10] + _second_phase(chest)[11:]
    for ds in others:
        ds.AcquisitionNumber = 7
    with pytest.raises(SeriesRefused) as caught:
        to_volume(write(tmp_path, chest + others))
    assert caught.value.reason is Reason.MIXED_GEOMETRY


@needs_data
def test_reformats_and_scouts_in_the_series_are_left_out(tmp_path):
    chest = small_chest()
    strays = renamed(chest[:14], "7")
    for i, ds in enumerate(strays[:13]):
        ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        move(ds, [0, 3 * i, 0])
    strays[13].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    found = to_volume(write(tmp_path, [*strays, *chest]))
    assert len(found.slices) == 24
    assert found.notes == (
        "1 image left out: localizer (scout) images",
        "13 images with another image plane left out",
    )


@needs_data
def test_two_halves_of_one_scan_are_not_taken_for_two_stacks(tmp_path):
    chest = small_chest(40)
    for ds in chest[20:]:
        ds.AcquisitionNumber = 7
    with pytest.raises(SeriesRefused, match="slice missing") as caught:
        to_volume(write(tmp_path, chest[:20] + chest[21:]))
    assert caught.value.reason is Reason.GAP


@needs_data
def test_the_field_of_view_that_changes_midway_is_refused(tmp_path):
    chest = small_chest(40)
    for ds in chest[20:]:
        ds.PixelSpacing = [6, 6]
    with pytest.raises(SeriesRefused, match="two stacks of 20 and 20 images continue one another") as caught:
        to_volume(write(tmp_path, chest))
    assert caught.value.reason is Reason.MIXED_GEOMETRY


@needs_data
def test_a_second_stack_far_away_is_left_out(tmp_path):
    chest = small_chest(40)
    for ds in chest[26:]:
        shift(ds, [0, 0, 300])
        ds.AcquisitionNumber = 7
    found = to_volume(write(tmp_path, chest))
    assert len(found.slices) == 26
    assert found.notes == ("14 images with another Acquisition Number left out",)


@needs_data
def test_two_targets_of_one_reconstruction_are_told_apart_by_their_origin(tmp_path):
    chest = small_chest()
    others = renamed(chest, "2")
    for ds in others:
        shift(ds, [40, 0, 0])
    found = to_volume(write(tmp_path, chest + others))
    assert len(found.slices) == 24
    assert found.notes == ("24 images with another position in the plane left out",)


def _frame(i: int, height_mm: float) -> Frame:
    header = {
        "Modality": "CT",
        "FrameOfReferenceUID": "1.2.3",
        "ImagePositionPatient": [-100.0, -120.0, height_mm],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "PixelSpacing": [0.7, 0.7],
        "Rows": 512,
        "Columns": 512,
    }
    ref = InstanceRef(f"{i}", "1", "2", f"3.{i}", "1.2.840.10008.5.1.4.1.1.2", "", "", 0, header)
    return frames_of_header(ref)[0]


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(12, 60),
    spacing_mm=st.floats(0.5, 8),
    first_mm=st.floats(-2000, 2000),
    missing=st.integers(1, 58),
    order=st.randoms(use_true_random=False),
)
def test_any_regular_stack_is_found_in_any_order_and_any_hole_is_seen(n, spacing_mm, first_mm, missing, order):
    frames = [_frame(i, first_mm + i * spacing_mm) for i in range(n)]
    shuffled = order.sample(frames, n)
    if n * spacing_mm < 30:
        with pytest.raises(SeriesRefused) as caught:
            best_stack(shuffled, lambda one, other: False)
        assert caught.value.reason is Reason.TOO_SHORT
        return
    stack = best_stack(shuffled, lambda one, other: False)
    assert stack.frames == tuple(frames)
    heights = (stack.affine @ np.array([np.arange(n), *np.zeros((2, n)), np.ones(n)]))[2]
    np.testing.assert_allclose(heights, [frame.position_lps_mm[2] for frame in frames], atol=1e-6)
    if n > 12:
        del frames[1 + missing % (n - 2)]
        with pytest.raises(SeriesRefused) as caught:
            best_stack(frames, lambda one, other: False)
        assert caught.value.reason is Reason.GAP
