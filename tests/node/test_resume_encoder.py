"""A run of the encoder that was cut off goes on only as the run that it was."""

import argparse
from pathlib import Path

import pytest

from ai_engine.errors import TrainingError
from ai_engine.training.encoder.places import Places
from dicom_node.cli.encoder_training import train_one
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
