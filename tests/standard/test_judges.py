"""Outside judges on every object of every case: no error, no warning, but for what is inherent in the judge."""

import json
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK

from ai_engine.geometry import krc_to_lps_mm
from tests.standard.conftest import WITH_FINDINGS, WITH_PARTS, Judged
from tests.support import judges
from tests.support.programs import needs

pytestmark = [pytest.mark.foreign, pytest.mark.slow]
with_findings = pytest.mark.parametrize("judged", WITH_FINDINGS, indirect=True)
needs_pixelmed = needs("java", "/usr/bin/DicomSRValidator")


def test_dciodvfy_finds_nothing(judged: Judged) -> None:
    for _, path in judged.files:
        assert judges.dciodvfy(path, judged.source) == [], path.name


def test_dcentvfy_finds_nothing_that_the_source_alone_does_not_show(judged: Judged) -> None:
    alone = judges.dcentvfy(judged.case.sources)
    together = judges.dcentvfy([*judged.case.sources, *(path for _, path in judged.files)])
    assert sorted(together) == sorted(alone)


def test_dcentvfy_would_see_another_patient(judged: Judged, tmp_path: Path) -> None:
    _, path = judged.files[-1]
    other = pydicom.dcmread(path)
    other.PatientAge = "099Y"
    other.save_as(tmp_path / "other.dcm")
    assert any("PatientAge" in line for line in judges.dcentvfy([*judged.case.sources, tmp_path / "other.dcm"]))


def test_dicom_validator_finds_nothing(judged: Judged) -> None:
    for _, path in judged.files:
        assert judges.dicom_validator(path, judged.source) == [], path.name


@needs_pixelmed
def test_pixelmed_finds_nothing_in_a_report(judged: Judged) -> None:
    n_nodules = len(judged.case.analysis.findings) if judged.case.analysis else 0
    inherent = [judges.QUALITATIVE] + ([judges.ONE_PAIR] if n_nodules == 1 else [])
    for path in judged.of_kind("sr"):
        assert judges.pixelmed_sr(path, *inherent) == []


@needs_pixelmed
@pytest.mark.parametrize("judged", [*WITH_FINDINGS, WITH_PARTS], indirect=True)
def test_pixelmed_finds_nothing_in_a_segmentation(judged: Judged) -> None:
    for path in judged.of_kind("seg"):
        assert judges.pixelmed_instance(path) == []


@needs("/usr/bin/dsrdump")
def test_dcmtk_prints_the_report_in_words_that_need_no_code_book(judged: Judged) -> None:
    (path,) = judged.of_kind("sr")
    printed = judges.dsrdump(path)
    assert "Research use only. Not for diagnosis or treatment decisions." in printed
    assert "Not analysed: series 1 (CT, Topogram), 2 images: localizer (scout) images" in printed
    if judged.case.analysis is None:
        assert "Not analysed, because: no lungs in the images" in printed
    elif judged.case.analysis.others:
        assert "Other findings above threshold, not asked for and not listed" in printed
    elif not judged.case.analysis.findings:
        assert "The analysis ran; no lung nodule was found." in printed
    else:
        assert "mean diameter" in printed
        assert f"slice spacing {judged.case.series.volume.spacing_krc_mm[0]:.4g} mm" in printed


@with_findings
def test_dcmqi_reads_the_masks_that_were_written(judged: Judged, tmp_path: Path) -> None:
    (path,) = judged.of_kind("seg")
    judges.program("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", tmp_path, "-t", "nii")
    for number, finding in enumerate(judged.case.analysis.findings, start=1):
        theirs_mm = _voxel_centres_lps_mm(SimpleITK.ReadImage(str(tmp_path / f"{number}.nii.gz")))
        ours_krc = np.argwhere(finding.segment.mask) + finding.segment.origin_krc
        ours_mm = krc_to_lps_mm(judged.case.series.volume.affine, ours_krc)
        np.testing.assert_allclose(_sorted(theirs_mm), _sorted(ours_mm), atol=0.01)


@pytest.mark.parametrize("judged", [WITH_PARTS], indirect=True)
def test_dcmqi_and_highdicom_read_the_parts_that_were_asked_for(judged: Judged, tmp_path: Path) -> None:
    nodules, parts = judged.of_kind("seg")
    judges.program("segimage2itkimage", "--inputDICOM", parts, "--outputDirectory", tmp_path, "-t", "nii")
    segmentation = hd.seg.segread(parts)
    assert segmentation.number_of_segments == hd.seg.segread(nodules).number_of_segments == 2
    for number, finding in enumerate(judged.case.analysis.findings, start=1):
        theirs_mm = _voxel_centres_lps_mm(SimpleITK.ReadImage(str(tmp_path / f"{number}.nii.gz")))
        part = finding.part.segment
        ours_mm = krc_to_lps_mm(judged.case.series.volume.affine, np.argwhere(part.mask) + part.origin_krc)
        np.testing.assert_allclose(_sorted(theirs_mm), _sorted(ours_mm), atol=0.01)
        said = segmentation.get_segment_description(number)
        assert said.segment_label == said.tracking_id == f"Nodule {number}, solid component"
        assert said.segmented_property_type == hd.sr.CodedConcept(
            "RID50154", "RADLEX", "solid component of part-solid pulmonary nodule"
        )
    assert segmentation.SegmentsOverlap == "NO"


def _voxel_centres_lps_mm(image: SimpleITK.Image) -> np.ndarray:
    indices = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)[:, ::-1]
    directions = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    return indices @ directions.T + image.GetOrigin()


def _sorted(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(np.rint(points * 10).astype(int).T)]


@with_findings
def test_dcmqi_reads_the_volumes_that_were_measured(judged: Judged, tmp_path: Path) -> None:
    (path,) = judged.of_kind("sr")
    judges.program("tid1500reader", "--inputDICOM", path, "--outputMetadata", tmp_path / "sr.json")
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    volumes = {
        group["TrackingIdentifier"]: float(item["value"])
        for group in groups
        for item in group["measurementItems"]
        if item["quantity"]["CodeMeaning"] == "Volume"
    }
    measured = {f"Nodule {f.number}": f.measurements.volume_mm3 for f in judged.case.analysis.findings}
    assert volumes == pytest.approx(measured, abs=0.01)


@with_findings
def test_highdicom_reads_the_same_volumes_from_both_objects(judged: Judged) -> None:
    (seg_path,), (sr_path,) = judged.of_kind("seg"), judged.of_kind("sr")
    segmentation, sr = hd.seg.segread(seg_path), hd.sr.srread(sr_path)
    volume = segmentation.get_volume(combine_segments=False)
    voxels = volume.array.reshape(-1, segmentation.number_of_segments).sum(axis=0)
    by_uid = {segmentation.get_segment_description(i + 1).tracking_uid: n for i, n in enumerate(voxels)}
    groups = sr.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(by_uid)
    for group in groups:
        volume_mm3 = hd.sr.CodedConcept("118565006", "SCT", "Volume")
        (said,) = [measurement.value for measurement in group.get_measurements(name=volume_mm3)]
        assert said == pytest.approx(by_uid[group.tracking_uid] * np.prod(volume.spacing), rel=1e-4)
    planar = sr.content.get_planar_roi_measurement_groups()
    assert {group.tracking_uid for group in planar} == set(by_uid)
