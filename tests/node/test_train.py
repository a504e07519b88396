"""``emerald train segmenter``: the smoke run, from real outlines in real lungs to weights that outline."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from ai_engine.composites import Shards
from ai_engine.sam2 import network as sam2
from ai_engine.sam2.loading import load
from ai_engine.training import journal
from ai_engine.training.validation import jittered_box, segmented
from dicom_node.cases.lidc_database import Split, split_of
from dicom_node.cases.splits import LungUse, lung_use
from dicom_node.cli import main
from tests.support.data import data_dir, needs_data


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("smoke")
    assert main(["train", "segmenter", "--smoke", "--work", str(work), "--data", str(data_dir())]) == 0
    return work


@needs_data
@pytest.mark.slow
def test_the_smoke_run_learns_and_its_weights_outline(smoke: Path) -> None:
    losses = [line["loss"] for line in journal.read(smoke) if "loss" in line]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    loaded = load(smoke / "compact.safetensors", "compact", 128, "cpu")
    composite = Shards(smoke / "composites" / "validation").read()[0]
    truth = composite.labels == 1
    mask = segmented(loaded, composite, jittered_box(truth, np.random.default_rng(0)))
    assert (mask & truth).sum() > 0.1 * truth.sum()


@needs_data
@pytest.mark.slow
def test_each_split_of_the_smoke_run_holds_its_own_patients_and_lungs_alone(smoke: Path) -> None:
    for split, use in ((Split.TRAINING, LungUse.TRAINING), (Split.VALIDATION, LungUse.VALIDATION)):
        composites = list(Shards(smoke / "composites" / split).read())
        assert composites
        assert {split_of(composite.patient_id) for composite in composites} == {split}
        assert {lung_use(composite.lung) for composite in composites} == {use}


@needs_data
@pytest.mark.slow
def test_its_first_steps_can_be_repeated(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metadata = smoke / "compact.json"
    again = ["train", "segmenter", "--smoke", "--work", str(smoke), "--data", str(data_dir())]
    assert main([*again, "--replay", "5", "--against", str(metadata)]) == 0
    assert "largest difference of 5 losses" in capsys.readouterr().out
    told = json.loads(metadata.read_text())
    told["first_losses"][3] += 0.01
    other = smoke / "other.json"
    other.write_text(json.dumps(told))
    assert main([*again, "--replay", "5", "--against", str(other)]) == 1


@needs_data
@pytest.mark.slow
def test_confidence_is_not_learnt_from_a_few_outlines(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = smoke / "compact.safetensors"
    before = weights.with_suffix(".json").read_text()
    words = ["train", "confidence", "--data", str(data_dir()), "--composites", "2", "--weights", str(weights)]
    assert main(words) == 1
    assert "too few to calibrate" in capsys.readouterr().err
    assert weights.with_suffix(".json").read_text() == before


@needs_data
@pytest.mark.slow
def test_weights_are_replaced_by_better_ones_only(
    smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "compact.safetensors"
    export = ["train", "segmenter", "--work", str(smoke), "--data", str(data_dir()), "--export", "--judges", "4"]
    export += ["--to", str(target)]
    safetensors.torch.save_file(sam2.build("compact", seed=3).state_dict(), str(target))
    assert main(export) == 0
    assert target.stat().st_mode & 0o444 == 0o444
    told = json.loads((tmp_path / "compact.json").read_text())["validation"]
    assert told["composites"] == 4
    assert 0 < told["dice_3d"] < 1
    written = target.stat().st_mtime_ns
    assert main(export) == 1
    assert "nothing was written" in capsys.readouterr().out
    assert target.stat().st_mtime_ns == written


@needs_data
@pytest.mark.slow
def test_a_finished_run_is_not_overwritten(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "segmenter", "--smoke", "--work", str(smoke), "--data", str(data_dir())]) == 2
    assert "--resume" in capsys.readouterr().err


@needs_data
@pytest.mark.slow
def test_composites_of_another_split_are_refused(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = smoke / "composites" / "training" / "made_from.json"
    told = json.loads(made.read_text())
    made.write_text(json.dumps({**told, "lungs": [*told["lungs"], "lidc-idri-0001"]}))
    try:
        assert main(["train", "segmenter", "--smoke", "--resume", "--work", str(smoke), "--data", str(data_dir())]) == 1
    finally:
        made.write_text(json.dumps(told))
    assert "lidc-idri-0001 is kept for tests, not for training" in capsys.readouterr().err


@needs_data
@pytest.mark.slow
def test_composites_of_an_older_recipe_are_refused(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = smoke / "composites" / "training" / "made_from.json"
    kept = made.read_text()
    told = json.loads(kept)
    del told["recipe"]
    made.write_text(json.dumps(told))
    try:
        assert main(["train", "segmenter", "--smoke", "--resume", "--work", str(smoke), "--data", str(data_dir())]) == 2
    finally:
        made.write_text(kept)
    assert "was composed otherwise" in capsys.readouterr().err


def test_without_lungs_the_command_says_where_it_looks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMERALD_TEST_DATA", raising=False)
    assert main(["train", "segmenter", "--smoke", "--work", str(tmp_path / "work")]) == 1
    assert "EMERALD_TEST_DATA" in capsys.readouterr().err


def test_a_comparison_needs_both_its_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "segmenter", "--work", str(tmp_path), "--replay", "5"]) == 2
    assert "--against" in capsys.readouterr().err


def test_nothing_is_exported_from_a_folder_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.safetensors"
    assert main(["train", "segmenter", "--work", str(tmp_path), "--export", "--to", str(target)]) == 1
    assert "no run" in capsys.readouterr().err
    assert not target.exists()
