"""Where voxels and pixels lie to each other, and what is lost on the way."""

import numpy as np
import pytest

from ai_engine.sam2 import roi
from ai_engine.sam2.roi import Roi

SPACING = (2.5, 0.7, 0.8)


def ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    away = (np.stack(np.indices(shape), axis=-1) - centre) * SPACING
    return (away**2).sum(axis=-1) < radius_mm**2


def test_box_side_decides_the_side_of_the_region() -> None:
    assert [roi.side_for(box_mm) for box_mm in (3, 10, 30, 80)] == [24, 30, 86, 128]


def test_voxels_and_pixels_agree_on_where_things_are() -> None:
    hu = np.full((3, 90, 90), -900, dtype=np.int16)
    hu[1, 40, 52] = 400
    centre_rc, side_mm = (44.3, 47.9), 40.0
    frame = roi.frames(hu, SPACING, Roi((1, *centre_rc), side_mm, 1, 2))[0, 0]
    assert frame.shape == (128, 128)
    y, x = np.array(np.nonzero(frame > frame.min() + 1e-3)).mean(axis=1)
    assert roi.pixels(np.array([40.0, 52.0]), SPACING, centre_rc, side_mm, 128) == pytest.approx((x, y), abs=0.5)


def test_windows_run_from_minus_one_to_one_and_the_border_goes_on() -> None:
    hu = np.full((2, 20, 20), -700, dtype=np.int16)
    shown = roi.frames(hu, SPACING, Roi((0, 1, 1), 60.0, 0, 2))
    assert shown.shape == (2, 3, 128, 128)
    assert shown.dtype == np.float32
    assert shown[:, 0] == pytest.approx(-4 / 7)
    assert shown[:, 1] == pytest.approx(0)
    assert (shown[:, 2] == -1).all()


@pytest.mark.parametrize("size", [128, 512])
@pytest.mark.parametrize(("radius_mm", "side_mm"), [(3, 24), (8, 64), (25, 86)])
def test_mask_comes_back_from_pixels_as_it_was(radius_mm: float, side_mm: float, size: int) -> None:
    truth = ball((21, 110, 110), (10, 52.4, 60.1), radius_mm)
    centre_rc = (50.0, 62.0)
    shown = roi.resampled(truth, SPACING, centre_rc, side_mm, size)
    mask, (r, c) = roi.on_voxels(shown - 0.5, SPACING, centre_rc, side_mm, truth.shape[1:])
    back = np.zeros_like(truth)
    back[:, r : r + mask.shape[1], c : c + mask.shape[2]] = mask
    assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) > 0.97


def test_region_at_the_edge_of_the_volume_stays_within_it() -> None:
    truth = ball((5, 60, 60), (2, 3, 57), 8)
    shown = roi.resampled(truth, SPACING, (3.0, 57.0), 64.0, 128)
    mask, (r, c) = roi.on_voxels(shown - 0.5, SPACING, (3.0, 57.0), 64.0, (60, 60))
    assert r == 0
    assert c + mask.shape[2] == 60
    assert mask[2, 3, 57 - c]


def test_thinning_out_averages_noise() -> None:
    hu = np.random.default_rng(1).normal(-800, 100, (1, 400, 400)).astype(np.int16)
    fine = (2.5, 0.2, 0.2)
    assert roi.resampled(hu, fine, (200, 200), 70.0, 128).std() < 45
