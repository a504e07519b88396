"""``emerald train encoder``: the smoke run, from outlines in real lungs to weights that score, through the guard."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ai_engine.clip.loading import load
from ai_engine.composites import Shards, visible_type
from ai_engine.domain import NoduleType
from ai_engine.training import journal
from ai_engine.training.encoder.places import PlaceFiles
from dicom_node.cases.lidc_database import Split, split_of
from dicom_node.cases.splits import LungUse, lung_use
from dicom_node.cli import main
from dicom_node.cli.training_material import Shown
from tests.support.data import data_dir, needs_data


def command(work: Path, *more: str) -> list[str]:
    return ["train", "encoder", "--smoke", "--work", str(work), "--data", str(data_dir()), *more]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("smoke")
    assert main(command(work)) == 0
    return work


@needs_data
@pytest.mark.slow
def test_the_smoke_run_gives_weights_that_say_where_they_were_trained(smoke: Path) -> None:
    losses = [line["loss"] for line in journal.read(smoke / "encoder") if "loss" in line]
    assert np.isfinite(losses).all()
    assert load(smoke / "encoder" / "encoder.safetensors").read(["a lung nodule"]).shape == (1, 128)
    told = json.loads((smoke / "encoder" / "encoder.json").read_text())
    assert {lung_use(lung) for lung in told["places"]["training"]} == {LungUse.TRAINING}
    assert {lung_use(lung) for lung in told["places"]["validation"]} == {LungUse.VALIDATION}
    assert set(told["curve"][-1]["thresholds"]) == {"1", "2", "4", "8"}


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("split", [Split.TRAINING, Split.VALIDATION])
def test_places_hold_patients_and_lungs_of_their_split_alone(smoke: Path, split: Split) -> None:
    places = PlaceFiles(smoke / "places" / split).read()
    assert {split_of(patient) for patient in places.patients()} == {split}
    assert places.where("nodule")
    assert places.where("candidate")


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "split", "kind", "sizes_mm"),
    [
        (".", Split.TRAINING, NoduleType.PART_SOLID, None),
        (".", Split.TRAINING, NoduleType.GROUND_GLASS, None),
        (".", Split.TRAINING, NoduleType.PART_SOLID, (6.0, 16.0)),
        ("encoder-validation", Split.VALIDATION, NoduleType.PART_SOLID, (6.0, 16.0)),
    ],
)
def test_more_nodules_of_rare_types_are_composed_that_look_so(
    smoke: Path, work: str, split: Split, kind: NoduleType, sizes_mm: tuple[float, float] | None
) -> None:
    more = Shards(smoke / work / Shown(kind, sizes_mm).folder / "composites" / split).read()
    shown = [visible_type(e.hu, e.labels == 1, e.spacing_krc_mm, e.diameter_mm, e.nodule_type) for e in more]
    assert shown == [kind]
    low, high = sizes_mm or (0, 100)
    assert all(low <= e.diameter_mm < high for e in more)
    places = PlaceFiles(smoke / "places" / split).read()
    taught = {places.series[s].values[i]["annotation_id"] for s, i in places.where("nodule")}
    assert {e.annotation_id for e in more} <= taught


@needs_data
@pytest.mark.slow
def test_a_fold_leaves_one_patient_out_and_changes_nothing_else(smoke: Path) -> None:
    held_out = PlaceFiles(smoke / "places" / "training").read().series[0].patient
    assert main(command(smoke, "--hold-out", held_out, "--steps", "2")) == 0
    names = ("encoder", f"encoder-without-{held_out}")
    whole, fold = (json.loads((smoke / name / "encoder.json").read_text()) for name in names)
    left_out = {lung for lung in whole["places"]["training"] if lung.split("/")[0] == held_out}
    assert left_out
    assert set(whole["places"]["training"]) - left_out == set(fold["places"]["training"])
    assert whole["places"]["validation"] == fold["places"]["validation"]


@needs_data
@pytest.mark.slow
def test_all_folds_are_trained_once_and_the_shipped_network_last(
    smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(smoke, tmp_path / "work", ignore=shutil.ignore_patterns("encoder", "encoder-without*"))
    words = command(tmp_path / "work", "--folds", "--steps", "2")
    patients = sorted({series.patient for series in PlaceFiles(smoke / "places" / "training").read().series})
    assert main(words) == 0
    folds = tmp_path / "work" / "folds"
    assert sorted(path.stem for path in folds.glob("*.safetensors")) == patients
    for patient in patients:
        told = json.loads((folds / f"{patient}.json").read_text())
        assert patient not in {lung.split("/")[0] for lung in told["places"]["training"]}
    whole = json.loads((tmp_path / "work" / "encoder" / "encoder.json").read_text())
    assert {lung.split("/")[0] for lung in whole["places"]["training"]} == set(patients)
    (folds / f"{patients[0]}.safetensors").unlink()
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().out.count("done before") == len(patients)
    assert (folds / f"{patients[0]}.safetensors").is_file()


@needs_data
@pytest.mark.slow
def test_a_lung_that_is_not_there_cannot_be_left_out(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(smoke, "--hold-out", "lidc-idri-0001")) == 2
    assert "none of the training lungs" in capsys.readouterr().err


def test_the_close_look_cannot_learn_alone_on_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "encoder", "--work", str(tmp_path), "--only-close"]) == 2
    assert "--only-close: needs --start-from" in capsys.readouterr().err


@needs_data
@pytest.mark.slow
def test_places_of_another_split_are_refused(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = smoke / "places" / "training"
    path = sorted(folder.glob("*.json"))[0]
    kept = path.read_text()
    told = json.loads(kept)
    nodule = next(value for value in told["places"] if value["kind"] == "nodule")
    nodule["patient_id"] = "LIDC-IDRI-0001"
    path.write_text(json.dumps(told))
    try:
        assert main(command(smoke, "--resume")) == 1
    finally:
        path.write_text(kept)
    assert "LIDC-IDRI-0001" in capsys.readouterr().err


@needs_data
@pytest.mark.slow
def test_a_finished_run_is_not_overwritten(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(smoke)) == 2
    assert "--resume" in capsys.readouterr().err


def test_nothing_is_exported_from_a_folder_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.safetensors"
    assert main(["train", "encoder", "--work", str(tmp_path), "--export", "--to", str(target)]) == 1
    assert "no checkpoint" in capsys.readouterr().err
    assert not target.exists()
