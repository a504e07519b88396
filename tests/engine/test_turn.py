"""However the slices were written, the engine sees head up, back down, left to the right, and finds its way back."""

from itertools import product

import numpy as np
import pytest

from ai_engine.domain import Segment
from ai_engine.geometry import krc_to_lps_mm, turn_of
from ai_engine.grid import grid_over, part_of
from tests.support.plain_thorax import plain_thorax, turned

WAYS = [(flips, swap) for flips in product((False, True), repeat=3) for swap in (False, True)]


@pytest.mark.parametrize(("flips", "swap"), WAYS)
def test_every_way_turns_into_the_same_volume(flips, swap):
    upright = plain_thorax([(60, 10, 5, 20)], shape=(8, 30, 36), step_mm=(10.0, 9.0))
    written = turned(upright, flips, swap)
    back = turn_of(written).volume(written)
    assert np.array_equal(back.hu, upright.hu)
    assert np.allclose(back.affine, upright.affine)


@pytest.mark.parametrize(("flips", "swap"), WAYS)
def test_a_segment_finds_back_to_the_voxels_it_came_from(flips, swap):
    upright = plain_thorax(shape=(8, 30, 36), step_mm=(10.0, 9.0))
    written = turned(upright, flips, swap)
    mask = np.zeros((2, 3, 4), dtype=bool)
    mask[0, 0, :3] = mask[1, 2, 3] = True
    segment = Segment(mask, (3, 5, 7))
    source = turn_of(written).segment_to_source(segment)
    there, here = (
        krc_to_lps_mm(volume.affine, np.argwhere(part.on(volume.hu.shape)))
        for volume, part in ((upright, segment), (written, source))
    )
    assert sorted(map(tuple, here.round(6))) == sorted(map(tuple, there.round(6)))


@pytest.mark.parametrize("step_mm", [0.6, 1.0, 2.0, 3.0])
def test_a_grid_samples_a_ramp_at_the_right_place(step_mm):
    spacing = (2.5, 0.7, 0.9)
    k, r, c = np.indices((12, 40, 40)).astype(float)
    ramp = (100 * k + 10 * r + c).astype(np.float32)
    whole = grid_over(ramp.shape, spacing, step_mm)
    upper = np.subtract(whole.shape, 2)
    grid = part_of(whole, (1, 1, 1), upper, step_mm)
    values = grid.sample(ramp)
    at = grid.to_volume(np.argwhere(np.ones(grid.shape)))
    inside = ((at > 2) & (at < np.array(ramp.shape) - 3)).all(axis=1)
    assert inside.any()
    assert np.allclose(values.ravel()[inside], (at @ (100, 10, 1))[inside], atol=0.01)
    assert np.allclose(grid.from_volume(at), np.argwhere(np.ones(grid.shape)))
