"""Real chest CT, sent by DCMTK, analysed by a running node, judged in what a real Orthanc holds."""

from pathlib import Path

import pytest
from pydicom import dcmread

from tests.support import judges
from tests.support.chest import SOLID_CASES
from tests.support.chest_journey import STUDIES, Returned, run_all
from tests.support.data import needs_data
from tests.support.programs import DCMTK, needs

pytestmark = [pytest.mark.slow, pytest.mark.foreign, needs_data, needs(str(DCMTK / "storescu"), "Orthanc")]


@pytest.fixture(scope="module")
def returned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Returned]:
    return {one.name: one for one in run_all(tmp_path_factory.mktemp("chest"))}


@pytest.fixture(params=STUDIES)
def study(request: pytest.FixtureRequest, returned: dict[str, Returned]) -> Returned:
    return returned[request.param]


def test_the_results_stand_in_the_pacs_under_the_study_and_patient_that_were_sent(study: Returned) -> None:
    source = dcmread(study.sources[0], stop_before_pixels=True)
    results = [dcmread(path, stop_before_pixels=True) for path in study.files]
    modalities = [result.Modality for result in results]
    assert sorted(set(modalities)) == ["OT", "SEG", "SR"]
    assert modalities.count("OT") == len(study.findings)  # a key image of each
    assert {result.StudyInstanceUID for result in results} == {source.StudyInstanceUID}
    assert {result.PatientID for result in results} == {source.PatientID}


def test_no_study_has_more_than_ten_findings(study: Returned) -> None:
    assert len(study.findings) <= 10


def test_three_of_the_four_solid_lesions_are_outlined_with_a_dice_of_at_least_0_6(
    returned: dict[str, Returned],
) -> None:
    dice = {name: returned[name].best_dice() or 0.0 for name in SOLID_CASES}
    assert sum(value >= 0.6 for value in dice.values()) >= 3, dice


def test_dciodvfy_finds_nothing(study: Returned) -> None:
    for path in study.files:
        assert judges.dciodvfy(path, study.sources[0]) == []


def test_dcentvfy_finds_nothing_that_the_source_alone_does_not_show(study: Returned) -> None:
    assert sorted(judges.dcentvfy([*study.sources, *study.files])) == sorted(judges.dcentvfy(study.sources))


@needs("java", "/usr/bin/DicomSRValidator")
def test_pixelmed_finds_nothing(study: Returned) -> None:
    inherent = [judges.QUALITATIVE] + ([judges.ONE_PAIR] if len(study.findings) == 1 else [])
    for path in study.results("SR"):
        assert judges.pixelmed_sr(path, *inherent) == []
    for path in study.results("SEG"):
        assert judges.pixelmed_instance(path) == []


def test_dicom_validator_finds_nothing(study: Returned) -> None:
    for path in study.files:
        assert judges.dicom_validator(path, study.sources[0]) == []


def test_dcmqi_reads_the_volumes_that_the_ledger_holds(study: Returned, tmp_path: Path) -> None:
    (path,) = study.results("SR")
    assert sorted(judges.volumes_in_report(path, tmp_path)) == pytest.approx(
        sorted(finding["volume_mm3"] for finding in study.findings), abs=0.1
    )
