"""Which series of a study is analysed, judged from headers; the others each get a reason."""

import random
from dataclasses import replace

import pytest

from dicom_node.domain import InstanceRef, Reason
from dicom_node.objects import ct_rank
from dicom_node.objects.headers import instance_ref
from dicom_node.objects.series_choice import choose
from tests.support.ct_files import refs_in
from tests.support.data import data_dir, needs_data

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.34"


def _series(uid, n=120, spacing_mm=2.5, sop_class_uid=CT, **changes) -> list[InstanceRef]:
    """Instances that exist as headers only: whoever opens a file fails."""
    header = {
        "Modality": "CT",
        "SeriesNumber": 2,
        "SeriesDescription": f"series {uid}",
        "FrameOfReferenceUID": "1.2.3",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "PixelSpacing": [0.7, 0.7],
        "SliceThickness": spacing_mm,
        "ConvolutionKernel": "B30f",
        "Rows": 512,
        "Columns": 512,
        "RescaleSlope": 1.0,
        "RescaleIntercept": -1024.0,
        "pixel_bytes": 524288,
        **changes,
    }
    plain = InstanceRef("/nowhere", "1", f"2.{uid}", "", sop_class_uid, "1.2.840.10008.1.2.1", "", 0)
    return [
        replace(
            plain,
            sop_instance_uid=f"3.{uid}.{i}",
            header={**header, "ImagePositionPatient": [-170.0, -170.0, -300.0 + i * spacing_mm]},
        )
        for i in range(n)
    ]


def _ranking(*series, prefer_kernels=()):
    refs = [ref for one in series for ref in one]
    random.Random(1).shuffle(refs)
    choice = choose(refs, prefer_kernels)
    return [[ranked.series_instance_uid.removeprefix("2.") for ranked in group] for group in choice.ranked]


def test_thinner_slices_come_first():
    assert _ranking(_series("thick", n=60, spacing_mm=5), _series("thin", n=240, spacing_mm=1.25)) == [
        ["thin", "thick"]
    ]


def test_thin_positions_of_thick_slices_are_thick():
    overlapping = _series("overlapping", n=300, spacing_mm=1, SliceThickness=5.0)
    assert _ranking(overlapping, _series("thin", n=150, spacing_mm=2)) == [["thin", "overlapping"]]


def test_below_one_millimetre_the_quieter_kernel_comes_first():
    noisy = _series("noisy", n=500, spacing_mm=0.6, ConvolutionKernel="B70f")
    assert _ranking(noisy, _series("quiet", n=300, spacing_mm=1)) == [["quiet", "noisy"]]


@pytest.mark.parametrize("kernel", ["B70f", "B80s", "LUNG", "BONEPLUS", "FC51", "FC86", "Br64d\\3", "YC"])
def test_a_kernel_made_for_edges_comes_after_a_body_kernel(kernel):
    assert _ranking(_series("1", ConvolutionKernel=kernel), _series("2")) == [["2", "1"]]


@pytest.mark.parametrize("kernel", ["B30f", "B40f", "STANDARD", "SOFT", "FC01", "Br40d\\3", "B", "C", "", "CHST"])
def test_body_kernels_are_equal_and_the_series_number_decides(kernel):
    assert _ranking(_series("1", ConvolutionKernel=kernel, SeriesNumber=9), _series("2")) == [["2", "1"]]
    assert _ranking(_series("1", ConvolutionKernel=kernel), _series("2", SeriesNumber=9)) == [["1", "2"]]


def test_a_preferred_kernel_comes_first_whatever_it_is():
    series = _series("soft"), _series("lung", ConvolutionKernel="LUNG"), _series("bone", ConvolutionKernel="BONE")
    assert _ranking(*series, prefer_kernels=["bone", "LUNG"]) == [["bone", "lung", "soft"]]


def test_a_thin_piece_comes_after_the_whole_chest():
    piece = _series("piece", n=100, spacing_mm=1)
    assert _ranking(piece, _series("whole", n=120, spacing_mm=2.5)) == [["whole", "piece"]]


def test_one_ranking_for_each_frame_of_reference():
    second = (
        _series("second", FrameOfReferenceUID="1.2.4"),
        _series("again", n=40, spacing_mm=7, FrameOfReferenceUID="1.2.4"),
    )
    assert _ranking(_series("first", n=240, spacing_mm=1), *second) == [["first"], ["second", "again"]]


def test_every_other_series_gets_its_reason_in_words():
    tilted = _series("tilted", SeriesNumber=6)
    for i, ref in enumerate(tilted):
        ref.header["ImagePositionPatient"] = [-170.0, -170.0 + 0.5 * i, -300.0 + 2.5 * i]
    choice = choose(
        [
            *_series("scout", n=2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesNumber=1),
            *_series("chest"),
            *_series("gap", SeriesNumber=3)[:50],
            *_series("gap", SeriesNumber=3)[51:],
            *_series("few", n=5, SeriesNumber=4),
            *_series("report", n=1, sop_class_uid=SR, Modality="SR", SeriesNumber=5),
            *tilted,
        ]
    )
    assert [series.series_instance_uid for group in choice.ranked for series in group] == ["2.chest"]
    found = [(v.series_number, v.reason, v.n_instances) for v in choice.refused]
    assert found == [
        (1, Reason.LOCALIZER, 2),
        (3, Reason.GAP, 119),
        (4, Reason.TOO_FEW_SLICES, 5),
        (5, Reason.NOT_CT, 1),
        (6, Reason.TILT, 120),
    ]
    assert choice.refused[1].words.startswith("slices are missing: slice missing after table position -177.5 mm")
    assert not choice.localizers_only


def test_a_study_of_localizers_is_recognised():
    scout = _series("scout", n=2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    dose = _series("dose", n=1, sop_class_uid=SR, Modality="SR")
    assert choose(scout + dose).localizers_only
    assert not choose(dose).localizers_only
    assert not choose(scout + _series("few", n=5)).localizers_only
    assert not choose(scout + _series("chest")).localizers_only
    assert not choose([]).localizers_only


def test_a_verdict_says_what_the_series_was():
    verdict = choose(_series("7")).ranked[0][0].verdict(Reason.NO_LUNGS)
    assert (verdict.series_instance_uid, verdict.series_number, verdict.modality) == ("2.7", 2, "CT")
    assert (verdict.description, verdict.n_instances, verdict.words) == ("series 7", 120, "no lungs in the images")


@needs_data
def test_the_two_reconstructions_of_a_real_acquisition():
    folder = data_dir() / "ct-chest/lung-pet-ct-dx-a0002"
    refs = refs_in(folder / "series-b70f") + refs_in(folder / "series-b40f")
    kernels = [series.refs[0].header["ConvolutionKernel"] for series in choose(refs).ranked[0]]
    assert kernels == ["B40f", "B70f"]
    preferred = [series.refs[0].header["ConvolutionKernel"] for series in choose(refs, ["B70f"]).ranked[0]]
    assert preferred == ["B70f", "B40f"]


@needs_data
def test_odd_objects_beside_a_real_chest():
    odd = data_dir() / "ct-odd"
    files = [*(odd / "localizer-and-secondary-capture").iterdir(), odd / "modality-seg-but-ct-sop-class/1-040.dcm"]
    chest = refs_in(data_dir() / "ct-chest/lidc-idri-0001/dicom")
    choice = choose([*map(instance_ref, files), *refs_in(odd / "gantry-tilt-ge-head-18deg/dicom"), *chest])
    (series,) = [series for group in choice.ranked for series in group]
    assert (series.n_slices, series.spacing_mm, series.length_mm) == (133, 2.5, 332.5)
    reasons = sorted(verdict.reason for verdict in choice.refused)
    assert reasons == [Reason.LOCALIZER, Reason.LOCALIZER, Reason.NOT_CT, Reason.NOT_CT, Reason.TILT]


def test_the_key_prefers_whole_thin_quiet_and_many_in_this_order():
    keys = [
        ct_rank.key(300, 1.0, "B30f", 300),
        ct_rank.key(200, 1.0, "B30f", 200),
        ct_rank.key(300, 1.0, "B70f", 300),
        ct_rank.key(300, 1.25, "B30f", 240),
        ct_rank.key(150, 1.0, "B30f", 150),
    ]
    assert keys == sorted(keys)
