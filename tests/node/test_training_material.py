"""What a run of the segmenter learns from: of the rare types those that show, more often than they were composed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ai_engine.composites import Composite, Shards
from ai_engine.domain import NoduleType
from dicom_node.cli.training_material import rare_more_often
from tests.support.balls import ball_in_lung


def painted(kind: NoduleType, hu: int) -> Composite:
    """Give a ball of one density, and say that this kind was painted."""
    ball = ball_in_lung(1, distractor=False)
    noise = np.random.default_rng(1).normal(0, 20, ball.hu.shape).round().astype(np.int16)
    return replace(ball, nodule_type=kind, hu=np.where(ball.labels == 1, hu + noise, ball.hu))


@pytest.mark.parametrize(
    ("kind", "hu", "often"),
    [
        (NoduleType.SOLID, 30, 1),
        (NoduleType.GROUND_GLASS, -500, 2),
        (NoduleType.GROUND_GLASS, 30, 1),
        (NoduleType.PART_SOLID, -500, 1),
    ],
)
def test_what_clearly_shows_a_rare_type_stands_in_more_often(
    tmp_path: Path, kind: NoduleType, hu: int, often: int
) -> None:
    shards = Shards(tmp_path)
    shards.write(0, [painted(kind, hu), ball_in_lung(2, sham=True)])
    assert len(rare_more_often(shards.read())) == often + 1


def test_a_core_in_ground_glass_stands_in_six_times(tmp_path: Path) -> None:
    glass = painted(NoduleType.PART_SOLID, -500)
    inner = np.argwhere(glass.labels == 1).mean(axis=0)
    k, r, c = np.indices(glass.hu.shape)
    far = ((np.stack([k, r, c], axis=-1) - inner) * glass.spacing_krc_mm).astype(np.float32)
    core = np.linalg.norm(far, axis=-1) < 0.3 * glass.diameter_mm
    Shards(tmp_path).write(0, [replace(glass, hu=np.where(core, 30, glass.hu).astype(np.int16))])
    assert len(rare_more_often(Shards(tmp_path).read())) == 6
