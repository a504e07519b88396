"""Broken, odd and foreign files, each over the network into a running node and each by ``emerald analyse``."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_node.cli import main
from dicom_node.cli.demo_pacs import OrthancPacs
from dicom_node.domain import Outcome, Reason
from dicom_node.jobs.records import JobStatus
from tests.crash.study import make_study
from tests.support.data import data_dir, needs_data
from tests.support.programs import DCMTK, needs
from tests.support.reports import conclusion
from tests.support.running import RunningNode, storescu
from tests.support.sending import Answered, dcmsend, send_file

pytestmark = [pytest.mark.slow, needs_data]

FOLDERS = ("broken", "ct-odd", "non-ct", "ct-compressed")
# The only file that is a whole CT series of its own: 16 frames through the lungs.
SERIES_OF_ITS_OWN = "lidc0001_legacy_converted_enhanced_17frames_jpegls.dcm"


def bad_input(folder: str) -> list[Path]:
    """Every image of a folder of the shared data, whole or not."""
    files = sorted(path for path in (data_dir() / folder).rglob("*") if path.is_file())
    return [path for path in files if path.suffix not in (".png", ".json")]


# by `emerald analyse`


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_file_alone_is_refused_in_words(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, path in enumerate(bad_input(folder)):
        if path.name == SERIES_OF_ITS_OWN:
            continue
        out = tmp_path / str(number)

        assert main(["analyse", str(path), "--out", str(out)]) == 1, path

        printed = capsys.readouterr()
        reports = list(out.glob("sr-*.dcm"))
        if reports:
            assert conclusion(dcmread(reports[0])).startswith("Not analysed, because: "), path
            assert "series" in printed.out, path
        else:
            assert f"{path.name}: " in printed.err, path


@pytest.mark.parametrize(
    "folder",
    ["broken", "non-ct", "ct-compressed", "ct-odd/gantry-tilt-ge-head-18deg", "ct-odd/localizer-and-secondary-capture"],
)
def test_a_folder_of_them_ends_with_1_and_no_traceback(folder: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dicom_node", "analyse", str(data_dir() / folder), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert list(tmp_path.rglob("sr-1.dcm"))
    assert not list(tmp_path.rglob("seg-*.dcm"))


# over the network


@dataclass(frozen=True)
class Aftermath:
    """What a node has answered to everything, and what became of it."""

    answers: dict[Path, Answered]
    said_by_dcmtk: str
    jobs: list[JobStatus]
    log: str
    results: list[Dataset]

    def of_study(self, path: Path) -> tuple[JobStatus, list[Dataset]]:
        """Return the job and the results of the study that a file belongs to."""
        study = dcmread(path, stop_before_pixels=True).StudyInstanceUID
        (status,) = (status for status in self.jobs if status.job.study_instance_uid == study)
        return status, [result for result in self.results if result.StudyInstanceUID == study]


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """Send everything to one node, first with DCMTK, then file by file, and a good study at the end."""
    folder = tmp_path_factory.mktemp("bad-input")
    (folder / "pacs").mkdir()
    good = make_study(folder / "good")
    # the quiet time outlasts the sending, so that each study has one revision
    with (
        OrthancPacs(folder / "pacs") as pacs,
        RunningNode(folder / "node", [pacs.remote], settle={"quiet_s": 5.0, "incomplete_hold_s": 5.0}) as node,
    ):
        said = "".join(dcmsend(data_dir() / name, node.remote) for name in FOLDERS)
        answers = {path: send_file(path, node.remote) for name in FOLDERS for path in bad_input(name)}
        storescu(good.folder, node.remote, "-xe")
        jobs = node.wait_done(timeout_s=240)
        results = [dcmread(path) for path in pacs.fetch(folder / "fetched")]
        return Aftermath(answers, said, jobs, node.log.read_text(encoding="utf-8"), results)


foreign = [pytest.mark.foreign, needs("Orthanc", str(DCMTK / "dcmsend"), str(DCMTK / "storescu"))]


class TestSentToANode:
    """One node has met everything."""

    pytestmark = foreign

    def test_every_object_is_answered_and_every_refusal_says_why(self, aftermath: Aftermath) -> None:
        assert {answered.status for answered in aftermath.answers.values()} == {None, 0x0000, 0xC000, 0xC100}
        for path, answered in aftermath.answers.items():
            assert not answered.status or answered.comment, path

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("broken/ct_truncated_pixel_data.dcm", 0xC000),
            ("broken/GH223.dcm", 0xC000),
            ("broken/GH340.dcm", 0xC000),
            ("ct-compressed/bad_sequence.dcm", 0xC000),
            ("broken/emri_small_jpeg_2k_lossless_too_short.dcm", None),
            ("non-ct/mr_ge.dcm", None),
            ("non-ct/DICOMDIR", None),
            ("broken/ct_j2k_bad_tile_length_000300.dcm", 0),
            ("ct-odd/gantry-tilt-ge-head-18deg/dicom/0001.dcm", 0),
            ("ct-compressed/one-slice-all-syntaxes/explicit_be.dcm", 0),
            ("ct-compressed/one-slice-all-syntaxes/deflated.dcm", 0),
        ],
    )
    def test_what_is_whole_ct_is_taken_and_nothing_else(
        self, path: str, status: int | None, aftermath: Aftermath
    ) -> None:
        assert aftermath.answers[data_dir() / path].status == status

    def test_dcmtk_is_never_cut_off(self, aftermath: Aftermath) -> None:
        assert aftermath.said_by_dcmtk.count("Releasing Association") >= 3
        assert "Peer aborted" not in aftermath.said_by_dcmtk

    def test_nothing_is_logged_but_words(self, aftermath: Aftermath) -> None:
        assert "Traceback" not in aftermath.log
        assert " ERROR " not in aftermath.log

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("ct-odd/gantry-tilt-ge-head-18deg/dicom/0001.dcm", Reason.TILT),
            ("ct-odd/modality-seg-but-ct-sop-class/1-040.dcm", Reason.NOT_CT),
            ("ct-odd/enhanced-multiframe/eCT_Supplemental.dcm", Reason.DERIVED),
            ("ct-odd/ibsi-lung-phantom-rtstruct/dicom/0041.dcm", Reason.NO_LUNGS),
            ("broken/ct_j2k_bad_tile_length_000300.dcm", Reason.TOO_FEW_SLICES),
            ("ct-compressed/wg04/CT1_J2KI.dcm", Reason.TOO_FEW_SLICES),
        ],
    )
    def test_the_pacs_is_told_why_a_study_was_not_analysed(
        self, path: str, reason: Reason, aftermath: Aftermath
    ) -> None:
        status, results = aftermath.of_study(data_dir() / path)
        assert (status.job.outcome, status.job.reason) == (Outcome.NOT_ANALYSED, reason)
        (report,) = results
        assert conclusion(report).startswith(f"Not analysed, because: {reason.sentence}")

    @pytest.mark.parametrize("name", ["philips_localizer.dcm", "siemens_topogram_tcga-d1-a0zp.dcm"])
    def test_nobody_is_told_of_a_study_of_localizers(self, name: str, aftermath: Aftermath) -> None:
        status, results = aftermath.of_study(data_dir() / "ct-odd/localizer-and-secondary-capture" / name)
        assert (status.job.state, status.job.reason, results) == ("DONE", Reason.LOCALIZER, [])

    def test_a_multi_frame_ct_is_analysed(self, aftermath: Aftermath) -> None:
        status, results = aftermath.of_study(data_dir() / "ct-odd/enhanced-multiframe" / SERIES_OF_ITS_OWN)
        assert status.job.outcome == Outcome.FINDINGS
        assert {result.Modality for result in results} == {"SEG", "SR"}

    def test_a_good_study_sent_after_all_this_has_its_results_in_the_pacs(self, aftermath: Aftermath) -> None:
        status = aftermath.jobs[-1]
        assert status.job.outcome == Outcome.FINDINGS
        mine = [r.Modality for r in aftermath.results if r.StudyInstanceUID == status.job.study_instance_uid]
        assert sorted(mine) == ["SEG", "SR"]
