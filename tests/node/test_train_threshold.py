"""The threshold that is fixed with the encoder's weights is the one that the node then detects at."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.candidates import Proposer
from ai_engine.clip import weights as encoder_weights
from ai_engine.clip.ensembles import By
from ai_engine.evaluation.froc import Searched
from ai_engine.sam2.weights import sha256_of
from ai_engine.scene import scene_of
from ai_engine.stages import weight_free, with_encoder
from dicom_node.cases.lungs import backgrounds
from dicom_node.cases.splits import LungUse
from dicom_node.cli import main
from dicom_node.cli.train_threshold import fixed as fixed_for
from dicom_node.errors import NodeError
from tests.support.data import data_dir, needs_data
from tests.support.encoder import encoder_file


def scan(name: str, *false_positives: float) -> Searched:
    return Searched(name, name, (), false_positives)


def fixed(searched: dict[By, list[Searched]], per_scan: float) -> dict[str, Any]:
    """Fix thresholds where nothing but the scores changes with the zero."""
    return fixed_for(
        {by: lambda zero, scans=scans: [shifted(each, zero) for each in scans] for by, scans in searched.items()},
        per_scan,
    )


def shifted(scan: Searched, zero: float) -> Searched:
    scores = np.array(scan.false_positives)
    logits = np.log(scores / (1 - scores)) - zero
    return replace(scan, false_positives=tuple((1 / (1 + np.exp(-logits))).tolist()))


def reported(scans: list[Searched], told: dict[str, Any], by: By = By.TEXT) -> int:
    """Count what is above the threshold once the zero was taken off."""
    scores = np.array([score for each in scans for score in each.false_positives])
    return int(np.sum(np.log(scores / (1 - scores)) - told["zeros"][by] >= 0))


def test_as_many_as_are_within_the_rate_score_half_and_more() -> None:
    searched = [scan("a", 0.9, 0.7, 0.5), scan("b", 0.8, 0.6)]
    for per_scan, n in ((1.0, 2), (1.4, 2), (1.5, 3), (99, 5)):
        told = fixed({By.TEXT: searched}, per_scan)
        assert reported(searched, told) == n
        assert (told["threshold"], told["false_positives_per_scan"], told["scans"]) == (0.5, n / 2, 2)


def test_places_that_score_alike_are_above_it_together_or_not_at_all() -> None:
    searched = [scan("a", 0.9, 0.8, 0.8)]
    told = fixed({By.TEXT: searched}, 2.0)
    assert told["false_positives_per_scan"] == reported(searched, told) == 1


def test_each_way_to_rank_has_a_zero_of_its_own() -> None:
    searched = {By.TEXT: [scan("a", 0.9, 0.8, 0.7)], By.HEAD: [scan("a", 0.3, 0.2, 0.1)]}
    told = fixed(searched, 2.0)
    assert [reported(searched[by], told, by) for by in searched] == [2, 2]


def test_where_a_zero_makes_more_of_them_it_rises_until_they_are_within_the_rate() -> None:
    def scans(zero: float) -> list[Searched]:
        more = (0.88, 0.85) if zero else ()
        return [shifted(scan("a", 0.9, 0.8, *more, 0.7), zero)]

    told = fixed_for({By.TEXT: scans}, 2.0)
    assert reported([scan("a", 0.9, 0.88, 0.85, 0.8)], told) == 2
    assert told["false_positives_per_scan"] == 2


def test_a_rate_that_so_few_scans_cannot_tell_is_refused() -> None:
    with pytest.raises(NodeError, match="cannot be told in 1 scans"):
        fixed({By.TEXT: [scan("a", 0.9)]}, 0.5)


def test_weights_without_metadata_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = encoder_file(tmp_path, 0.4)
    path.with_suffix(".json").unlink()
    assert main(["train", "threshold", "--weights", str(path), "--data", str(tmp_path)]) == 1
    assert "not both there" in capsys.readouterr().err


@pytest.mark.parametrize("told", [{"places": {"training": {}}}, {"places": {}}, {"sha256": "0" * 64}])
def test_no_threshold_is_fixed_for_weights_that_may_have_seen_the_lungs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], told: dict[str, object]
) -> None:
    path = encoder_file(tmp_path, 0.4)
    before = json.dumps({**json.loads(path.with_suffix(".json").read_text()), **told})
    path.with_suffix(".json").write_text(before)
    assert main(["train", "threshold", "--weights", str(path), "--data", str(tmp_path)]) == 1
    assert path.name in capsys.readouterr().err
    assert path.with_suffix(".json").read_text() == before


@needs_data
@pytest.mark.slow
def test_a_threshold_is_not_fixed_in_a_lung_that_was_trained_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = encoder_file(tmp_path, 0.4)
    told = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**told, "places": {"training": {"qin-lung-01-0007": 3}}}))
    arguments = ["train", "threshold", "--weights", str(path), "--data", str(data_dir())]
    assert main(arguments) == 1
    assert "trained in the lung of qin-lung-01-0007" in capsys.readouterr().err


@needs_data
@pytest.mark.slow
def test_the_node_has_as_many_false_positives_as_were_written_beside_the_weights(tmp_path: Path) -> None:
    path = encoder_file(tmp_path, 0.4)
    arguments = ["train", "threshold", "--weights", str(path), "--data", str(data_dir()), "--false-positives", "3"]
    assert main(arguments) == 0
    scoring = with_encoder(weight_free(), encoder_weights.weights_of(path, sha256_of(path))).scoring
    assert scoring is not None
    found = [
        scoring.above(scene, Proposer().detect(scene), scoring.point.threshold)
        for scene in (scene_of(lung.volume, lung.lungs) for lung in backgrounds(data_dir(), LungUse.VALIDATION))
    ]
    assert scoring.point.n_scans == len(found)
    assert sum(map(len, found)) / len(found) == scoring.point.false_positives_per_scan
    assert 1.0 < scoring.point.false_positives_per_scan <= 3.0
