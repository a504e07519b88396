"""Studies that arrive broken, doubled or mixed: a running node waits for what is missing and says what it made of them.

All are sent to one node before the first test looks at what became of each.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless

from ai_engine.domain import CtVolume
from ai_engine.phantom import Build, thorax
from dicom_node.cases import phantom_series
from dicom_node.cases.phantom_series import SeriesIdentity
from dicom_node.cli.demo_pacs import OrthancPacs
from dicom_node.domain import Outcome, Reason, RemoteAE
from dicom_node.jobs.records import JobStatus
from tests.crash.study import NODULES, SHAPE, SPACING_KRC_MM
from tests.support.data import data_dir, needs_data
from tests.support.peers import CT_STORAGE, EXPLICIT_LE, STORE_CONTEXT, Peer
from tests.support.programs import DCMTK, needs
from tests.support.reports import conclusion, texts
from tests.support.running import RunningNode, storescu
from tests.support.sending import Instance, instance_of, store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.foreign,
    needs_data,
    needs("Orthanc", str(DCMTK / "storescu")),
]

N_SLICES = SHAPE[0]
HALF = N_SLICES // 2
JPEG_2000_CONTEXT = STORE_CONTEXT + 2
# The hold is long enough for the second half to come in time, on a busy machine.
SETTLE = {"quiet_s": 2.0, "incomplete_hold_s": 8.0}


@dataclass(frozen=True)
class Aftermath:
    """What became of the studies: by name, all revisions oldest first, and the results in the PACS."""

    jobs: list[JobStatus]
    results: list[Dataset]
    log: str

    def of(self, study_instance_uid: str) -> tuple[list[JobStatus], list[Dataset]]:
        """Return the revisions and the reports of a study."""
        jobs = [status for status in self.jobs if status.job.study_instance_uid == study_instance_uid]
        results = [result for result in self.results if result.StudyInstanceUID == study_instance_uid]
        reports = sorted((r for r in results if r.Modality == "SR"), key=lambda report: str(report.ContentTime))
        return jobs, reports

    def of_phantom(self, name: str) -> tuple[JobStatus, Dataset]:
        """Return the only revision of a phantom study and its report."""
        (status,), (report,) = self.of(SeriesIdentity(name).uid("study"))
        return status, report


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    folder = tmp_path_factory.mktemp("studies")
    (folder / "pacs").mkdir()
    volume = thorax(SHAPE, SPACING_KRC_MM, 7, NODULES, Build(ends_per_lung=0)).volume
    with (
        OrthancPacs(folder / "pacs") as pacs,
        RunningNode(folder / "node", [pacs.remote], settle=SETTLE) as node,
    ):
        n_studies = send_all(volume, node.remote, folder)
        node.wait_done(n_studies, timeout_s=240)
        # what was reported as broken off is completed after all
        send(slices(volume, "broken off")[HALF:], node.remote)
        jobs = node.wait_done(n_studies + 1, timeout_s=120)
        results = [dcmread(path) for path in pacs.fetch(folder / "fetched")]
        return Aftermath(jobs, results, node.log.read_text(encoding="utf-8"))


def send_all(volume: CtVolume, to: RemoteAE, folder: Path) -> int:
    """Send every study; returns how many there are."""
    whole = slices(volume, "broken off")
    send(whole[:HALF], to, aborts=True)
    whole = slices(volume, "resumed")
    send(whole[:HALF], to, aborts=True)
    send(whole[HALF:], to)
    whole = slices(volume, "gap")
    send(whole[:HALF] + whole[HALF + 1 :], to)
    whole = slices(volume, "twice")
    send(whole[: HALF + 1] + whole[HALF:], to)
    whole = slices(volume, "one position twice")
    send([*whole, copied(whole[HALF], SOPInstanceUID="1.2.3.4.5")], to)
    send(interleaved(slices(volume, "two series", 2), slices(volume, "two series", 3)), to)
    whole = slices(volume, "localizer")
    send([localizer_for(whole[0]), *whole], to)
    for name, option in (("big endian", "-xb"), ("deflated", "-xd")):
        phantom_series.write(volume, SeriesIdentity(name), folder / name)
        storescu(folder / name, to, option)
    send(interleaved(a0002("series-b40f"), a0002("series-b70f")), to)
    return 10


def slices(volume: CtVolume, name: str, series_number: int = 2) -> list[Dataset]:
    """Return a series of the phantom; each name is a study of its own."""
    return list(phantom_series.instances(volume, SeriesIdentity(name, series_number)))


def a0002(series: str) -> list[Dataset]:
    return [dcmread(path) for path in sorted((data_dir() / "ct-chest/lung-pet-ct-dx-a0002" / series).glob("*.dcm"))]


def copied(ds: Dataset, **values: str) -> Dataset:
    """Return a copy with other values."""
    other = copy.deepcopy(ds)
    for keyword, value in values.items():
        setattr(other, keyword, value)
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    return other


def localizer_for(ds: Dataset) -> Dataset:
    """Return a real localizer as one of this study."""
    localizer = dcmread(data_dir() / "ct-odd/localizer-and-secondary-capture/philips_localizer.dcm")
    return copied(
        localizer,
        StudyInstanceUID=ds.StudyInstanceUID,
        FrameOfReferenceUID=ds.FrameOfReferenceUID,
        PatientID=ds.PatientID,
        PatientName=ds.PatientName,
    )


def interleaved(one: Sequence[Dataset], other: Sequence[Dataset]) -> list[Dataset]:
    return [ds for pair in zip(one, other, strict=True) for ds in pair]


def send(datasets: Sequence[Dataset], to: RemoteAE, *, aborts: bool = False) -> None:
    """Send all over one association, which then ends in an orderly way, or by A-ABORT."""
    with Peer(to.port, patience_s=30) as peer:
        peer.associate(
            [
                (STORE_CONTEXT, CT_STORAGE, [EXPLICIT_LE]),
                (JPEG_2000_CONTEXT, CT_STORAGE, [JPEG2000Lossless]),
            ]
        )
        for instance in map(instance_of, datasets):
            assert store(peer, instance, context_of(instance)).status == 0
        if aborts:
            peer.abort()
        else:
            peer.release()


def context_of(instance: Instance) -> int:
    return JPEG_2000_CONTEXT if instance.transfer_syntax_uid == JPEG2000Lossless else STORE_CONTEXT


def test_a_series_that_broke_off_is_reported_as_such_and_analysed_once_it_is_complete(aftermath: Aftermath) -> None:
    (first, second), (report, replacing) = aftermath.of(SeriesIdentity("broken off").uid("study"))

    assert (first.job.outcome, first.job.reason) == (Outcome.NOT_ANALYSED, Reason.INCOMPLETE)
    assert conclusion(report).startswith("Not analysed, because: ")
    assert f"reception broke off after {HALF} images" in conclusion(report)
    assert (second.job.revision, second.job.outcome) == (2, Outcome.FINDINGS)
    assert (
        replacing.PredecessorDocumentsSequence[0]
        .ReferencedSeriesSequence[0]
        .ReferencedSOPSequence[0]
        .ReferencedSOPInstanceUID
        == report.SOPInstanceUID
    )


def test_a_series_that_broke_off_and_went_on_in_time_is_analysed_whole(aftermath: Aftermath) -> None:
    status, report = aftermath.of_phantom("resumed")

    assert status.job.outcome == Outcome.FINDINGS
    assert any(f"{N_SLICES} slices" in text for text in texts(report))
    assert any("aborted by the sender" in text for text in texts(report))


def test_a_missing_slice_is_named(aftermath: Aftermath) -> None:
    status, report = aftermath.of_phantom("gap")

    assert (status.job.outcome, status.job.reason) == (Outcome.NOT_ANALYSED, Reason.GAP)
    assert Reason.GAP.sentence in conclusion(report)
    assert any(f"instance numbers not received: {HALF + 1}" in text for text in texts(report))


@pytest.mark.parametrize("name", ["twice", "one position twice"])
def test_a_doubled_slice_spoils_nothing(name: str, aftermath: Aftermath) -> None:
    status, report = aftermath.of_phantom(name)

    assert status.job.outcome == Outcome.FINDINGS
    assert any(f"{N_SLICES} slices" in text for text in texts(report))


def test_of_two_series_sent_in_turns_one_is_analysed_and_the_other_listed(aftermath: Aftermath) -> None:
    status, report = aftermath.of_phantom("two series")

    assert status.job.outcome == Outcome.FINDINGS
    assert status.n_instances == 2 * N_SLICES
    assert [text for text in texts(report) if Reason.NOT_PREFERRED.sentence in text]


def test_two_real_series_sent_in_turns_one_of_them_compressed(aftermath: Aftermath) -> None:
    (status,), (report,) = aftermath.of(a0002("series-b40f")[0].StudyInstanceUID)

    assert status.job.outcome in (Outcome.FINDINGS, Outcome.NO_FINDING)
    assert status.n_instances == 60
    assert [text for text in texts(report) if Reason.NOT_PREFERRED.sentence in text]


def test_a_localizer_beside_the_series_is_listed_and_no_more(aftermath: Aftermath) -> None:
    status, report = aftermath.of_phantom("localizer")

    assert status.job.outcome == Outcome.FINDINGS
    assert [text for text in texts(report) if Reason.LOCALIZER.sentence in text]


@pytest.mark.parametrize("name", ["big endian", "deflated"])
def test_a_series_in_a_rare_syntax_is_analysed(name: str, aftermath: Aftermath) -> None:
    status, _ = aftermath.of_phantom(name)

    assert status.job.outcome == Outcome.FINDINGS


def test_nothing_is_logged_but_words(aftermath: Aftermath) -> None:
    assert "Traceback" not in aftermath.log
    assert " ERROR " not in aftermath.log
