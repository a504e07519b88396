"""What a sample looks at: the network can only follow its prompt if the prompt decides what is true."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ai_engine.composites import Composite
from ai_engine.sam2 import network as sam2
from ai_engine.training.aim import Aim, Crop, aim_at, crop_of, loose_box
from ai_engine.training.batches import Sample, batch_of, sample_of
from ai_engine.training.grain import regrained
from ai_engine.training.material import WINDOW, Pool
from ai_engine.training.plan import Plan
from tests.support.balls import ball_in_lung


def aims(composite: Composite, n: int = 150, frames: int = 6) -> list[tuple[Crop, Aim]]:
    drawn = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        crop = crop_of(composite, rng)
        drawn.append((crop, aim_at(crop, frames, rng)))
    return drawn


def samples(composite: Composite, n: int = 60, frames: int = 4) -> list[Sample]:
    return [sample_of(composite, frames, 128, np.random.default_rng(seed)) for seed in range(n)]


def test_target_and_distractor_are_prompted_equally_often() -> None:
    counts = Counter(aim.label for _, aim in aims(ball_in_lung(1, distractor=True), n=300))
    assert abs(counts[1] - counts[2]) < 60
    assert 10 < counts[0] < 80


def test_the_prompt_lies_on_what_is_true_on_the_first_slice() -> None:
    for crop, aim in aims(ball_in_lung(2, distractor=True)):
        if not aim.label:
            continue
        middle = aim.box_rc.mean(axis=0) if aim.point_rc is None else aim.point_rc
        r, c = np.rint(middle).astype(int)
        assert crop.labels[aim.slices[0], r, c] == aim.label


def test_the_region_is_often_far_off_the_object_and_shows_it_still() -> None:
    off = []
    for crop, aim in aims(ball_in_lung(3, distractor=True), n=300):
        half = aim.side_mm / 2 / crop.spacing_krc_mm[1]
        distance = np.abs(aim.box_rc.mean(axis=0) - aim.centre_rc).max() / half
        assert distance < 1
        off.append(distance)
    assert np.mean(np.array(off) > 0.4) > 0.25
    assert np.mean(np.array(off) < 0.2) > 0.3


def test_clips_run_past_the_end_of_the_nodule() -> None:
    beyond = [not (crop.labels[aim.slices[-1]] == aim.label).any() for crop, aim in aims(ball_in_lung(4)) if aim.label]
    assert np.mean(beyond) > 0.4


def test_slices_are_walked_one_by_one_from_the_prompted_one_both_ways() -> None:
    steps = Counter()
    for _, aim in aims(ball_in_lung(5)):
        walked = np.diff(aim.slices)
        assert np.isin(walked, (-1, 0, 1)).all()
        assert len({int(step) for step in walked if step}) <= 1
        steps[int(walked[0])] += 1
    assert min(steps[1], steps[-1]) > 40


def test_a_box_on_empty_lung_has_an_empty_truth() -> None:
    empty = [sample for sample in samples(ball_in_lung(6, distractor=True), n=150) if not sample.truth.any()]
    assert empty
    assert all((sample.point_labels == [sam2.BOX_LOW, sam2.BOX_HIGH]).all() for sample in empty)


def test_the_place_of_a_sham_is_prompted_and_nothing_is_there() -> None:
    assert not any(sample.truth.any() for sample in samples(ball_in_lung(7, sham=True)))


def test_some_prompts_are_points_on_the_object() -> None:
    seen = 0
    for sample in samples(ball_in_lung(8), n=120, frames=1):
        if sample.point_labels[0] == sam2.POSITIVE:
            x, y = np.rint(sample.points[0]).astype(int)
            seen += 1
            assert sample.truth[0, y, x] == 1
            assert sample.point_labels[1] == sam2.NO_POINT
    assert 5 <= seen <= 40


def test_frames_and_truth_show_the_same_ball() -> None:
    for sample in samples(ball_in_lung(9), n=40, frames=3):
        bright = sample.frames[:, 0] > -0.2  # above -440 HU
        inside = sample.truth > 0
        if inside.any():
            assert (bright & inside).sum() > 0.8 * inside.sum()


def test_a_thin_series_is_sometimes_made_thicker() -> None:
    thin = next(ball for ball in map(ball_in_lung, range(20)) if ball.spacing_krc_mm[0] == 1.25)
    spacings = Counter(crop.spacing_krc_mm[0] for crop, _ in aims(thin))
    assert spacings[2.5] > 20
    assert spacings[1.25] > 50


def test_what_is_made_thicker_keeps_its_volume() -> None:
    thin = [ball for ball in map(ball_in_lung, range(60)) if ball.spacing_krc_mm[0] == 1.25]
    grown = []
    for seed, ball in enumerate(thin * 4):
        crop = crop_of(ball, np.random.default_rng(seed))
        if crop.spacing_krc_mm[0] == 2.5:
            grown.append(2 * (crop.labels == 1).sum() / (ball.labels == 1).sum())
    assert len(grown) > 15
    assert np.mean(grown) == pytest.approx(1, abs=0.02)


def test_a_nodule_on_a_single_slice_is_there_on_thicker_ones_too() -> None:
    thin = next(ball for ball in map(ball_in_lung, range(20)) if ball.spacing_krc_mm[0] == 1.25)
    labels = np.where(np.arange(len(thin.labels))[:, None, None] == 10, thin.labels, 0).astype(np.uint8)
    for seed in range(40):
        assert (crop_of(replace(thin, labels=labels), np.random.default_rng(seed)).labels == 1).any()


def test_boxes_of_the_search_are_learnt_from_too() -> None:
    tight = np.array([[40.0, 50.0], [60.0, 66.0]])
    drawn = np.array([loose_box(tight, np.random.default_rng(seed)) for seed in range(300)])
    sides = drawn[:, 1] - drawn[:, 0]
    off = np.abs(drawn.mean(axis=1) - tight.mean(axis=0)).max(axis=1)
    assert np.allclose(sides[:, 0], sides[:, 1])
    assert sides.min() < 0.8 * 18 < 2.7 * 18 < sides.max()
    assert 0.2 * 18 < off.max() <= 0.25 * 18


def test_flips_carry_the_place_of_a_sham_along() -> None:
    composite = ball_in_lung(10)
    marked = Composite(**{**vars(composite), "is_sham": True, "sham_centre_krc": (10.0, 65.0, 65.0)})
    for seed in range(30):
        crop = crop_of(marked, np.random.default_rng(seed))
        assert crop.sham_centre_krc is not None
        k, r, c = np.rint(crop.sham_centre_krc).astype(int)
        assert crop.labels[k, r, c] == 1


def test_grain_keeps_the_mean_within_its_offset() -> None:
    hu = np.full((3, 64, 64), -500, dtype=np.float32)
    for seed in range(40):
        changed = regrained(hu, np.random.default_rng(seed))
        assert changed.dtype == np.float32
        assert abs(float(changed.mean()) + 500) < 75
        assert float(changed.std()) < 60


def test_a_batch_is_a_function_of_plan_and_step() -> None:
    balls = [ball_in_lung(seed) for seed in range(5)]
    plan = Plan(seed=2, steps=100)
    for step in (0, 3):
        one, other = (batch_of(Pool(balls, 2), plan, step, 128) for _ in range(2))
        assert (one.frames == other.frames).all()
        assert (one.points == other.points).all()
    assert not np.array_equal(
        batch_of(Pool(balls, 2), plan, 0, 128).truth, batch_of(Pool(balls, 2), plan, 1, 128).truth
    )


@pytest.mark.parametrize("n", [7, WINDOW + 20])
def test_the_pool_shows_every_composite(n: int) -> None:
    numbers = list(range(n))
    pool = Pool(numbers, seed=1)  # type: ignore[arg-type]
    drawn = [pool.draw(step, np.random.default_rng(step)) for step in range(12 * n)]
    assert set(drawn) == set(numbers)
