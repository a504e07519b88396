"""Real chest CT, sent by DCMTK, analysed by a running node, judged in a real Orthanc."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.cli.demo_pacs import OrthancPacs
from tests.support.data import data_dir, needs_data
from tests.support.programs import DCMTK, needs
from tests.support.running import RunningNode, storescu

pytestmark = [pytest.mark.slow, pytest.mark.foreign, needs_data, needs(str(DCMTK / "storescu"), "Orthanc")]

# folder -> how DCMTK proposes the transfer syntax the files are stored in
CASES = {
    "lidc-idri-0001/dicom": "-xt",
    "lidc-idri-0002/dicom": "-xt",
    "qin-lsc-0028/dicom": "-xt",
    "qin-lsc-0049/dicom": "-xv",
    "qin-lsc-0088/dicom": "-xt",
}


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[OrthancPacs]:
    (tmp_path / "pacs").mkdir()
    with OrthancPacs(tmp_path / "pacs") as running:
        yield running


@pytest.mark.parametrize("case", CASES)
def test_results_stand_in_the_pacs_under_the_study_that_was_sent(case: str, tmp_path: Path, pacs: OrthancPacs) -> None:
    folder = data_dir() / "ct-chest" / case
    with RunningNode(tmp_path / "node", [pacs.remote]) as running:
        storescu(folder, running.remote, CASES[case])
        (status,) = running.wait_done()
    results = [dcmread(path) for path in pacs.fetch(tmp_path / "fetched")]
    assert {result.Modality for result in results} == {"SEG", "SR"}
    assert {result.StudyInstanceUID for result in results} == {status.job.study_instance_uid}
    source = dcmread(next(folder.iterdir()), stop_before_pixels=True)
    assert {result.PatientID for result in results} == {source.PatientID}
