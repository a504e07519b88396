"""The judge of the crash tests sees what it is there to see."""

import shutil
from copy import deepcopy
from pathlib import Path

import pytest
from pydicom import Dataset

from tests.crash.judge import differences, lost
from tests.crash.moments import moments
from tests.crash.study import Study, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def data_dir(tmp_path: Path, study: Study) -> Path:
    shutil.copytree(study.folder, tmp_path / "spool" / "received" / "EMERALD" / "study")
    return tmp_path


def report(text: str = "a finding", time: str = "101500", said: str = "40 images") -> Dataset:
    item, reception = Dataset(), Dataset()
    item.TextValue, reception.TextValue = text, f"Completeness of the study: {said}"
    dataset = Dataset()
    dataset.SOPInstanceUID, dataset.Modality, dataset.ContentTime = "2.25.1", "SR", time
    dataset.ContentSequence = [item, reception]
    return dataset


def test_what_is_held_is_not_lost(study: Study, data_dir: Path) -> None:
    assert lost(study.files.values(), study, data_dir) == []


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\1")])
def test_a_missing_or_changed_image_is_lost(study: Study, data_dir: Path, harm) -> None:
    harm(data_dir / "spool" / "received" / "EMERALD" / "study" / "CT0007.dcm")
    assert lost(study.files.values(), study, data_dir) == [study.folder / "CT0007.dcm"]


def test_times_and_the_story_of_the_reception_may_differ() -> None:
    other = report(time="111500", said="20 images; 1 association from STORESCU: cut by a restart of this node")
    assert list(differences({"2.25.1": report()}, {"2.25.1": other})) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "missing: SR"),
        ({"2.25.1": report(), "2.25.2": report()}, "one too many: SR"),
        ({"2.25.1": report("another finding")}, "another content: SR"),
    ],
)
def test_other_results_are_told(found: dict[str, Dataset], words: str) -> None:
    wanted = {"2.25.1": report()}
    before = deepcopy(wanted)
    (said,) = differences(wanted, found)
    assert said.startswith(words)
    assert wanted == before


@pytest.mark.parametrize("launcher", ["embedded", "celery"])
def test_the_moments_are_the_same_in_every_run_and_the_first_five_are_of_all_phases(launcher) -> None:
    first = list(moments(5, launcher))
    assert first == list(moments(40, launcher))[:5]
    assert {moment.phase for moment in first} == {"reception", "settling", "analysis", "delivery"}
    assert len(set(moments(40, launcher))) == 40
