"""Header values that no standard allows: what is analysed or refused then is said in words, and nothing raises.

The engine is replaced by one that finds a ball at once; all that reads headers or repeats them in results is real.
"""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from ai_engine.domain import Analysis, ClinicalContext, CtVolume
from dicom_node import engines
from dicom_node.cli import main
from dicom_node.domain import Reason
from dicom_node.errors import ResultInvalid
from tests.support.findings import ALGORITHM, analysis_of, ball
from tests.support.instances import as_file, ct

# keyword, VR and bytes as they stand in the file
Change = tuple[str, str, bytes]

N_SLICES = 13
KEYWORDS = (
    *("SpecificCharacterSet", "ImageType", "StudyDate", "StudyTime", "AccessionNumber", "Modality", "StudyID"),
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight"),
    *("TimezoneOffsetFromUTC", "OtherPatientIDsSequence", "ProcedureCodeSequence", "ReferringPhysicianName"),
    *("BodyPartExamined", "SliceThickness", "GantryDetectorTilt", "ConvolutionKernel", "ContrastBolusAgent"),
    *("SeriesNumber", "SeriesDescription", "InstanceNumber", "AcquisitionNumber", "FrameOfReferenceUID"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PositionReferenceIndicator", "PixelSpacing"),
    *("RescaleIntercept", "RescaleSlope", "RescaleType", "LossyImageCompression", "LossyImageCompressionRatio"),
    *("BitsStored", "PixelRepresentation", "PhotometricInterpretation", "SamplesPerPixel", "SOPInstanceUID"),
    *("NumberOfFrames", "PixelPaddingValue"),
)
VALUES = (
    *(b"", b"  ", b"\0\0", b"NaN ", b"-inf", b"1E400 ", b"-1E9", b"1E-300", b"99999999999999999999", b"abc "),
    *(b"1\\2\\3\\4\\5\\6", b"\\\\\\\\", b"0\\0\\0\\0\\0\\0 ", b"1\\0\\0\\1\\0\\0", b"[/red] ", b"\xff\xfe\xfd\xfc"),
    *(b"\xc3\xa4", b"\x1b$B\x30\x21", b"20261399", b"=^=^", b"+9999 ", b"A" * 70, b"A" * 5000, b"ISO 2022 IR 87\\x "),
)
WRONG_VRS = ("AT", "FL", "FD", "LO", "OB", "PN", "SQ", "UL", "UN", "US")
# Each of these broke the results once.
KNOWN: tuple[Change, ...] = (
    ("StudyTime", "FL", b"1E-300"),  # six bytes are no float
    ("StudyID", "UL", b"\0\0"),
    ("PositionReferenceIndicator", "UL", b"\1\0"),
    ("BodyPartExamined", "PN", b"1E-9"),
    ("SliceThickness", "DS", b"0\\0\\1 "),
    ("SliceThickness", "DS", b"NaN "),
    ("TimezoneOffsetFromUTC", "SH", b"+9999 "),
)


class QuickEngine:
    """Finds one ball in the middle of every volume."""

    algorithm = ALGORITHM

    def analyse(self, volume: CtVolume, context: ClinicalContext, progress: object) -> Analysis:
        k, r, c = (n // 2 for n in volume.hu.shape)
        return analysis_of(volume, [ball(volume, (k, r, c), 6 * max(volume.spacing_krc_mm))])


@pytest.fixture(scope="module")
def slices() -> list[Dataset]:
    return series("1.2.3.1")


def series(study_instance_uid: str) -> list[Dataset]:
    """Return a series that can be analysed, as Part 10 instances."""
    files = (as_file(ct(number, study_instance_uid, side=32)) for number in range(1, N_SLICES + 1))
    return [dcmread(BytesIO(file)) for file in files]


def changed(slices: list[Dataset], *changes: Change) -> list[Dataset]:
    """Put VRs and bytes into every slice, as they would stand in its file."""
    slices = copy.deepcopy(slices)
    for keyword, vr, value in changes:
        tag = Tag(tag_for_keyword(keyword))
        for ds in slices:
            ds[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return slices


def write(slices: list[Dataset], folder: Path) -> None:
    folder.mkdir(parents=True)
    for i, ds in enumerate(slices):
        ds.save_as(folder / f"{i:02d}.dcm")


def analyse(slices: list[Dataset], folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Write the slices and analyse them; returns the exit code and all that was printed."""
    write(slices, folder / "in")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "engine_for", lambda settings, models_dir: QuickEngine())
        code = main(["analyse", str(folder / "in"), "--out", str(folder / "out")])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.mark.parametrize("change", KNOWN)
def test_a_malformed_value_costs_itself_and_no_more(
    change: Change, slices: list[Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = analyse(changed(slices, change), tmp_path, capsys)

    assert code == 0, printed
    for kind in ("sr", "seg"):
        (result,) = tmp_path.glob(f"out/{kind}-*.dcm")
        assert dcmread(result).PatientID == "EM-1"


def test_what_a_header_says_in_brackets_is_printed_as_it_is(
    slices: list[Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = analyse(changed(slices, ("PhotometricInterpretation", "CS", b"[/red] ")), tmp_path, capsys)

    assert code == 1
    assert "[/red]" in printed


def raw(change: tuple[str, bytes, str]) -> Change:
    """Return a drawn change with the VR of the standard, unless it is to be wrong, and of even length."""
    keyword, value, wrong_vr = change
    vr = wrong_vr or dictionary_VR(keyword).split(" or ")[0]
    return keyword, vr, b"" if vr == "SQ" else value + b" " * (len(value) % 2)


@pytest.mark.slow
# each example asks capsys for what it printed itself
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(KEYWORDS), st.sampled_from(VALUES), st.sampled_from(("", "", "", *WRONG_VRS))),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_a_header_holds_the_answer_is_in_words(
    changes: list[tuple[str, bytes, str]],
    slices: list[Dataset],
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path_factory.mktemp("headers")

    code, printed = analyse(changed(slices, *map(raw, changes)), folder, capsys)

    assert code in (0, 1)
    assert "Traceback" not in printed
    assert "series" in printed or "no readable DICOM instance" in printed, printed
    for findings in folder.glob("out/**/findings.json"):
        assert json.loads(findings.read_text())["series_verdicts"]


def test_one_study_that_fails_does_not_keep_the_next_from_its_results(
    slices: list[Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([ResultInvalid("it does not fit its source")])
    monkeypatch.setattr("dicom_node.pipeline.check", lambda *_: raise_next(failures))

    code, printed = analyse([*slices, *series("1.2.3.2")], tmp_path, capsys)

    assert code == 1
    assert "it does not fit its source" in printed
    assert len(list(tmp_path.glob("out/study-*/sr-1.dcm"))) == 1


def raise_next(errors: Iterator[Exception]) -> None:
    for error in errors:
        raise error


def test_an_output_folder_that_cannot_be_made_is_named(
    slices: list[Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file of this name")
    code, printed = analyse(slices, tmp_path, capsys)
    assert code == 1
    assert str(tmp_path / "out") in printed


@pytest.mark.slow
def test_no_whole_uid_gets_into_the_log(slices: list[Dataset], tmp_path: Path) -> None:
    write(changed(slices[:5], ("FrameOfReferenceUID", "UI", b"1.02.3456789012 ")), tmp_path / "in")
    command = [sys.executable, "-m", "dicom_node", "analyse", str(tmp_path / "in"), "--out", str(tmp_path / "out")]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 1, done
    assert Reason.TOO_FEW_SLICES.sentence in done.stdout
    assert "1.02.3456789012" not in done.stderr
    assert "Traceback" not in done.stderr
