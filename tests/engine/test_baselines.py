"""Baselines and prompts by geometry."""

import numpy as np
import pytest

from ai_engine.domain import Segment
from ai_engine.evaluation import baselines
from ai_engine.evaluation.prompts import BoxPrompt, box_of, point_of
from ai_engine.evaluation.scores import dice, together


def ellipsoid(semi: tuple[float, float, float], margin: int = 3) -> np.ndarray:
    """Voxels whose centre lies in an ellipsoid with these semi-axes, in voxels, centred on a voxel."""
    half = [int(np.ceil(s)) + margin for s in semi]
    axes = np.ogrid[tuple(slice(-h, h + 1) for h in half)]
    return sum((a / s) ** 2 for a, s in zip(axes, semi, strict=True)) <= 1


def test_an_ellipsoid_is_its_own_baseline():
    truth = Segment(ellipsoid((6.5, 10.5, 14.5)), (3, 4, 5))
    for draw in (baselines.ellipsoid_in_box, baselines.ellipse_on_every_slice):
        assert dice(*together(truth, draw(truth))) > 0.97


def test_a_box_is_filled_to_pi_over_6_and_slice_by_slice_to_pi_over_4():
    truth = Segment(np.ones((40, 40, 40), dtype=bool), (0, 0, 0))
    assert baselines.ellipsoid_in_box(truth).mask.mean() == pytest.approx(np.pi / 6, abs=0.005)
    assert baselines.ellipse_on_every_slice(truth).mask.mean() == pytest.approx(np.pi / 4, abs=0.005)


def test_the_ellipse_knows_the_box_of_every_slice_the_ellipsoid_only_one():
    cone = np.stack([np.hypot(*np.mgrid[-40:41, -40:41]) <= k for k in range(1, 40)])
    truth = Segment(cone, (0, 0, 0))
    assert dice(*together(truth, baselines.ellipse_on_every_slice(truth))) > 0.95
    assert dice(*together(truth, baselines.ellipsoid_in_box(truth))) < 0.7


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 3, 2), (2, 1, 5)])
def test_the_smallest_truths_have_a_baseline(size):
    truth = Segment(np.ones(size, dtype=bool), (0, 0, 0))
    assert baselines.ellipsoid_in_box(truth).mask.any()
    assert baselines.ellipse_on_every_slice(truth).mask.any()


def test_the_ellipsoid_over_a_prompt_is_as_high_as_the_box_is_wide():
    spacing = (2.0, 0.5, 0.5)
    prompt = BoxPrompt(20, (9.5, 9.5), (49.5, 49.5))  # 20 mm wide, so 10 slices of 2 mm high
    ball = baselines.ellipsoid_in_prompt(prompt, spacing, n_slices=60)
    volume_mm3 = np.count_nonzero(ball.mask) * 0.5
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.03)
    assert np.argwhere(ball.mask).mean(axis=0) + ball.origin_krc == pytest.approx((20, 29.5, 29.5))
    cut = baselines.ellipsoid_in_prompt(BoxPrompt(1, (9.5, 9.5), (49.5, 49.5)), spacing, n_slices=60)
    assert cut.origin_krc[0] == 0


def test_a_box_without_jitter_is_tight_and_with_jitter_stays_near():
    truth = Segment(ellipsoid((4.2, 8.2, 12.2)), (10, 20, 30))
    tight = box_of(truth, np.random.default_rng(0), jitter=0)
    k, r, c = (np.nonzero(truth.mask.any(axis=axes))[0] for axes in ((1, 2), (0, 2), (0, 1)))
    assert tight.k == 10 + int(np.median(k))
    assert tight.low_rc == (20 + r.min() - 0.5, 30 + c.min() - 0.5)
    assert tight.high_rc == (20 + r.max() + 0.5, 30 + c.max() + 0.5)
    for seed in range(20):
        box = box_of(truth, np.random.default_rng(seed))
        off = np.abs([np.subtract(box.low_rc, tight.low_rc), np.subtract(box.high_rc, tight.high_rc)])
        assert (off <= 0.1 * np.array([17, 25])).all()
        assert off.max() > 0.01


def test_a_point_lies_in_the_thick_of_a_truth_that_is_hollow():
    plane = np.zeros((21, 21), dtype=bool)
    plane[2:19, 2:19] = True
    plane[5:16, 5:11] = False  # a C, thick on the right
    point = point_of(Segment(plane[None], (7, 0, 0)))
    assert (point.k, point.c) == (7, 14)
    assert plane[point.r, point.c]
