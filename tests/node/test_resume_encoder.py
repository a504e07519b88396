"""A run of the encoder that was cut off goes on only as the run that it was."""

import argparse
import json
import shutil
from pathlib import Path

import pytest
import torch

from ai_engine.clip.vocabulary import of_wordings
from ai_engine.errors import TrainingError
from ai_engine.training import checkpoints
from ai_engine.training.encoder import run as runs
from ai_engine.training.encoder.places import Places
from dicom_node.cli.encoder_training import plan_of, train_one
from dicom_node.errors import SettingsError
from tests.support.places import some_places


def arguments(work: Path, **other: object) -> argparse.Namespace:
    asked = {"work": work, "text": "true", "seed": 1, "smoke": True, "steps": 2, "hours": None}
    return argparse.Namespace(only_close=False, **(asked | other))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return some_places(tmp_path_factory.mktemp("places"), ("site-a", "site-b"))


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory: pytest.TempPathFactory, places: Places) -> Path:
    """Leave a run of two steps in a folder."""
    folder = tmp_path_factory.mktemp("two-steps")
    train_one(arguments(folder), places, places)
    return folder


@pytest.fixture
def work(tmp_path: Path, two_steps: Path) -> Path:
    """Give a copy of that folder."""
    return Path(shutil.copytree(two_steps, tmp_path / "work"))


def test_a_run_goes_on_from_the_places_that_it_began_with(work: Path, places: Places) -> None:
    assert train_one(arguments(work, steps=3), places, places).step == 3


def test_a_run_whose_places_changed_is_another_run(work: Path, places: Places) -> None:
    fewer = Places(places.series[:1])
    with pytest.raises(TrainingError, match=r"other places for training, in site-b"):
        train_one(arguments(work, steps=3), fewer, places)
    with pytest.raises(TrainingError, match=r"other places for validation, in site-b"):
        train_one(arguments(work, steps=3), places, fewer)


@pytest.mark.parametrize(
    ("other", "refused"),
    [({"seed": 2}, "seed 1, not 2"), ({"smoke": False}, "batch 16, not 48")],
    ids=["seed", "batch"],
)
def test_a_run_of_another_plan_is_another_run(
    work: Path, places: Places, other: dict[str, object], refused: str
) -> None:
    with pytest.raises(TrainingError, match=refused):
        train_one(arguments(work, steps=3, **other), places, places)


@pytest.mark.slow
def test_a_run_begins_with_another_that_left_out_the_same_lungs(tmp_path: Path, places: Places) -> None:
    without = train_one(arguments(tmp_path), places, places, ["site-b"])
    folder = tmp_path / "encoder-without-site-b"
    assert train_one(arguments(tmp_path / "other"), places, places, (), folder).plan.learning_rate < 2e-3
    begun = runs.begin(plan_of(arguments(tmp_path), None, ()), of_wordings(), folder)
    best = checkpoints.read(folder, checkpoints.BEST)
    assert without.step == 2
    for part in ("average", "anchors"):
        for name, value in getattr(begun, part).state_dict().items():
            assert torch.equal(value, best[part][name]), name
    told = json.loads((tmp_path / "other" / "encoder" / "begun.json").read_text())
    assert told["started_from"]["lungs"] == ["site-a"]


@pytest.mark.slow
def test_a_run_names_every_run_before_it(tmp_path: Path, places: Places) -> None:
    works = [tmp_path / name for name in ("first", "second", "third")]
    start = None
    for work in works:
        train_one(arguments(work), places, places, (), start)
        start = work / "encoder"
    begun = [json.loads((work / "encoder" / "begun.json").read_text()) for work in works]
    assert "started_from" not in begun[0]
    assert "started_from" not in begun[1]["started_from"]
    assert begun[2]["started_from"]["started_from"] == begun[1]["started_from"]


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_without_the_one_that_it_began_with(tmp_path: Path, places: Places) -> None:
    train_one(arguments(tmp_path), places, places, ["site-b"])
    first, other = tmp_path / "encoder-without-site-b", arguments(tmp_path / "other")
    train_one(other, places, places, (), first)
    shutil.rmtree(first)
    other.steps = 3
    assert train_one(other, places, places, (), first).step == 3
    told = json.loads((tmp_path / "other" / "encoder" / "begun.json").read_text())
    assert told["started_from"]["lungs"] == ["site-a"]


@pytest.mark.slow
def test_a_lung_that_is_left_out_was_not_seen_before_either(tmp_path: Path, places: Places) -> None:
    train_one(arguments(tmp_path), places, places)
    with pytest.raises(TrainingError, match="learnt in site-b, which this one leaves out"):
        train_one(arguments(tmp_path), places, places, ["site-b"], tmp_path / "encoder")
    with pytest.raises(SettingsError, match="no lung is left"):
        train_one(arguments(tmp_path), places, places, ["site-b", "site-a"])


def test_a_run_goes_on_as_long_as_it_was_to_be() -> None:
    begun = plan_of(arguments(Path(), steps=None, hours=2.0, smoke=False), None, ()).as_json()
    assert plan_of(arguments(Path(), steps=None, smoke=False), begun, ()).as_json() == begun
