"""A run of the encoder that was cut off goes on only as the run that it was."""

import argparse
from pathlib import Path

import pytest

from ai_engine.errors import TrainingError
from ai_engine.training.encoder.places import Places
from dicom_node.cli.encoder_training import plan_of, train_one
from tests.support.places import some_places


def arguments(work: Path, **other: object) -> argparse.Namespace:
    asked = {"work": work, "text": "true", "seed": 1, "smoke": True, "steps": 2, "hours": None}
    return argparse.Namespace(**(asked | other))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return some_places(tmp_path_factory.mktemp("places"), ("site-a", "site-b"))


@pytest.fixture
def work(tmp_path: Path, places: Places) -> Path:
    """Leave a run of two steps in a folder."""
    train_one(arguments(tmp_path), places, places, None)
    return tmp_path


def test_a_run_goes_on_from_the_places_that_it_began_with(work: Path, places: Places) -> None:
    assert train_one(arguments(work, steps=3), places, places, None).step == 3


def test_a_run_whose_places_changed_is_another_run(work: Path, places: Places) -> None:
    fewer = Places(places.series[:1])
    with pytest.raises(TrainingError, match=r"other places for training, in site-b"):
        train_one(arguments(work, steps=3), fewer, places, None)
    with pytest.raises(TrainingError, match=r"other places for validation, in site-b"):
        train_one(arguments(work, steps=3), places, fewer, None)


@pytest.mark.parametrize(
    ("other", "refused"),
    [({"seed": 2}, "seed 1, not 2"), ({"smoke": False}, "batch 16, not 48")],
    ids=["seed", "batch"],
)
def test_a_run_of_another_plan_is_another_run(
    work: Path, places: Places, other: dict[str, object], refused: str
) -> None:
    with pytest.raises(TrainingError, match=refused):
        train_one(arguments(work, steps=3, **other), places, places, None)


def test_a_run_goes_on_as_long_as_it_was_to_be() -> None:
    begun = plan_of(arguments(Path(), steps=None, hours=2.0, smoke=False), None, None).as_json()
    assert plan_of(arguments(Path(), steps=None, smoke=False), begun, None).as_json() == begun
