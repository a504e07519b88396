"""The lungs are found by what they are, not by where the scan ends; what sits on the wall lies within the hull."""

import numpy as np
import pytest

from ai_engine.domain import CtVolume
from ai_engine.errors import NoLungs
from ai_engine.lungs import LEFT, RIGHT, Lungs, ThresholdLungs
from tests.support.plain_thorax import AIR, LUNG, LUNG_SEMI_AXES_MM, TISSUE, axes_mm, plain_thorax

SHAPE, STEP = (40, 240, 240), (2.5, 1.4)


def lungs_of(hu: np.ndarray) -> Lungs:
    return ThresholdLungs().find(CtVolume(hu, plain_thorax().affine))


def in_hull(lungs: Lungs, mask: np.ndarray) -> float:
    """Share of a mask on the volume's voxels that lies in the hull."""
    at = np.round(lungs.grid.from_volume(np.argwhere(mask))).astype(int)
    return float(lungs.hull[tuple(np.clip(at, 0, np.subtract(lungs.hull.shape, 1)).T)].mean())


@pytest.fixture
def chest() -> np.ndarray:
    """Voxels of a thorax whose lungs run through all slices."""
    return plain_thorax().hu


def test_lungs_cut_at_both_ends_are_found_whole_and_parted(chest):
    lungs = lungs_of(chest)
    a, b = LUNG_SEMI_AXES_MM
    one_lung_ml = np.pi * a * b * 40 * 2.5 / 1000
    assert lungs.volume_ml == pytest.approx(2 * one_lung_ml, rel=0.05)
    for side in (RIGHT, LEFT):
        assert np.count_nonzero(lungs.sides == side) * 0.008 == pytest.approx(one_lung_ml, rel=0.05)
    assert lungs.cut == ("bottom", "top")


def test_an_end_with_tissue_beyond_is_not_cut(chest):
    chest[:6][chest[:6] == LUNG] = TISSUE
    assert lungs_of(chest).cut == ("top",)


def test_lungs_that_touch_are_parted_in_the_middle(chest):
    z, y, x = axes_mm(SHAPE, STEP)
    chest[np.broadcast_to((abs(x) < 40) & (abs(y + 40) < 4) & (abs(z) < 20), SHAPE)] = LUNG
    lungs = lungs_of(chest)
    right, left = (np.argwhere(lungs.sides == side)[:, 2] for side in (RIGHT, LEFT))
    assert len(right) == pytest.approx(len(left), rel=0.03)
    middle = lungs.sides.shape[2] / 2
    assert (right < middle + 3).all()
    assert (left > middle - 3).all()


@pytest.mark.parametrize(("depth_mm", "width_mm"), [(14.0, 16.0), (30.0, 44.0)])
def test_a_mass_on_the_ribs_lies_within_the_hull(chest, depth_mm, width_mm):
    z, y, x = axes_mm(SHAPE, STEP)
    mass = ((x - 122) / depth_mm) ** 2 + (y / (width_mm / 2)) ** 2 + (z / (width_mm / 2)) ** 2 < 1
    mass &= chest == LUNG
    chest[mass] = TISSUE
    assert in_hull(lungs_of(chest), mass) > 0.75  # the dent is filled straight across, the wall is round


@pytest.mark.parametrize(("lost", "kept"), [(RIGHT, LEFT), (LEFT, RIGHT)])
def test_one_lung_is_enough_and_keeps_its_side(chest, lost, kept):
    middle = SHAPE[2] // 2
    half = chest[:, :, :middle] if lost == RIGHT else chest[:, :, middle:]
    half[half == LUNG] = TISSUE
    lungs = lungs_of(chest)
    assert not (lungs.sides == lost).any()
    assert (lungs.sides == kept).any()


def test_air_under_a_blanket_and_gas_in_the_bowel_are_not_lung(chest):
    z, y, x = axes_mm(SHAPE, STEP)
    bowel = (x**2 + (y - 20) ** 2 < 12**2) & (z < 0)
    chest[np.broadcast_to(bowel, SHAPE)] = AIR
    blanket = ((x / 165) ** 2 + (y / 125) ** 2 < 1) & ((x / 160) ** 2 + (y / 120) ** 2 > 1)
    chest[np.broadcast_to(blanket, SHAPE)] = TISSUE
    lungs = lungs_of(chest)
    assert in_hull(lungs, np.broadcast_to(bowel, SHAPE)) == 0
    assert in_hull(lungs, np.broadcast_to((x / 158) ** 2 + (y / 116) ** 2 > 1, SHAPE)) < 0.001


def test_the_trachea_is_not_lung(chest):
    z, y, x = axes_mm(SHAPE, STEP)
    trachea = np.broadcast_to(x**2 + y**2 < 9**2, SHAPE)
    chest[trachea] = AIR
    chest[np.broadcast_to((abs(x) < 20) & (abs(y) < 6) & (abs(z) < 6), SHAPE)] = AIR  # main bronchi reach the lungs
    assert in_hull(lungs_of(chest), trachea) < 0.02


def test_gas_alone_is_no_lung(chest):
    chest[chest == LUNG] = AIR
    with pytest.raises(NoLungs):
        lungs_of(chest)
