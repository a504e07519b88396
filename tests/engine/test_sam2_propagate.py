"""The ways along k: where they end, and how often a slice is encoded."""

import numpy as np
import pytest

from ai_engine.domain import CtVolume
from ai_engine.geometry import affine_from
from ai_engine.sam2.propagate import ABSENT, StopRules, at_point, follow, goes_on
from ai_engine.sam2.views import Views
from tests.support.sam2 import DEVICES, BrightSam2, bright, by_chance

BOX = np.array([[32.0, 32.0], [48.0, 48.0]])


def square(side: int, at: int = 0) -> np.ndarray:
    mask = np.zeros((1, 20, 20), dtype=bool)
    mask[0, at : at + side, at : at + side] = True
    return mask


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (square(4), square(5), True),
        (square(4), square(2), True),
        (square(4), square(4, 3), False),  # one pixel of sixteen in common
        (square(4), square(7), False),  # three times as large
        (square(4), square(0), False),
    ],
)
def test_a_way_ends_where_the_mask_is_lost_jumps_or_swells(before, now, same):
    assert goes_on(before, now, StopRules()).tolist() == [same]


def volume_of(radii: list[float]) -> CtVolume:
    """Lung with a bright disc on each slice, of these radii in mm around the middle of 80 x 80 mm."""
    r, c = np.indices((80, 80))
    discs = [np.where((r - 40) ** 2 + (c - 40) ** 2 < radius**2, 40, -850) for radius in radii]
    return CtVolume(np.array(discs, dtype=np.int16), affine_from((0, 0, 0), (0, 0, 2), (0, 1, 0), (1, 0, 0)))


def test_the_object_is_followed_both_ways_to_its_ends():
    volume = volume_of([0, 0, 4, 6, 8, 6, 5, 0, 0, 6])
    found = follow(Views(volume, bright()).around(BOX), range(10), 4, BOX[None])
    assert found.masks[0].any(axis=(1, 2)).tolist() == [False, False, *[True] * 5, False, False, False]
    assert found.logits[0, 9].max() == ABSENT


def test_a_slice_of_which_the_network_is_not_sure_enough_ends_the_way():
    view = Views(volume_of([8] * 5), bright()).around(BOX)
    told = follow(view, range(5), 2, BOX[None]).object_logits[0]
    between = float(told[[0, 1, 3, 4]].max()) + 1
    found = follow(view, range(5), 2, BOX[None], StopRules(object_score=between))
    assert found.masks[0].any(axis=(1, 2)).tolist() == [False, False, True, False, False]


def test_what_may_go_on_beyond_the_end_makes_a_mask_less_certain():
    view = Views(volume_of([8] * 5), bright()).around(BOX)
    whole = follow(view, range(5), 2, BOX[None])
    cut = follow(view, range(5), 2, BOX[None], StopRules(object_score=1e6))
    assert whole.left_out[0] == 0
    assert cut.left_out[0] > 0.9 * 2 * cut.masks[0].sum()
    assert cut.certainty(0) < 0.6 < whole.certainty(0)


def test_a_wall_on_the_next_slice_is_left_out():
    found = follow(Views(volume_of([4, 6, 8, 8, 30]), bright()).around(BOX), range(5), 2, BOX[None])
    assert found.masks[0].any(axis=(1, 2)).tolist() == [True, True, True, True, False]


def test_prompts_are_answered_one_by_one():
    beside = BOX + np.array([20.0, 0.0])
    found = follow(Views(volume_of([8, 8, 8]), bright()).around(BOX), range(3), 1, np.stack([BOX, beside]))
    assert found.masks.any(axis=(1, 2, 3)).tolist() == [True, False]


def test_a_slice_is_encoded_once_for_all_prompts_directions_and_neighbours():
    views = Views(volume_of([8] * 7), bright())
    network = views.loaded.network
    assert isinstance(network, BrightSam2)
    follow(views.around(BOX), range(1, 7), 3, BOX[None])
    follow(views.around(BOX + 2), range(7), 4, np.stack([BOX] * 5) + 1)
    assert network.encoded == 7


def test_a_region_far_away_is_another_one():
    views = Views(volume_of([8] * 3), bright())
    assert views.around(BOX) is views.around(BOX * 1.03)
    assert views.around(BOX) is not views.around(BOX - 20)
    assert views.around(BOX) is not views.around(np.array([[20.0, 20.0], [60.0, 60.0]]))


@pytest.mark.parametrize("device", DEVICES)
def test_the_network_answers_on_any_device(device):
    views = Views(volume_of([4, 6, 8, 6, 4]), by_chance(device=device))
    found = follow(views.around(BOX), range(5), 2, np.stack([BOX, BOX + 3]))
    assert found.logits.shape == (2, 5, 128, 128)
    assert np.isfinite(found.logits).all()
    assert (found.object_logits[:, 2] > 0).all()
    assert at_point(views.around(BOX), 2, np.array([40.0, 40.0])).logits.shape == (1, 1, 128, 128)


def test_an_object_that_the_network_does_not_see_gives_no_mask():
    views = Views(volume_of([8] * 3), by_chance(sees_objects=False))
    found = follow(views.around(BOX), range(3), 1, BOX[None])
    assert not found.masks.any()
