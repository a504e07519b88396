"""Balls and lumps are nodules, pieces of vessel are not, and what hangs on a nodule comes off."""

import numpy as np
import pytest
from scipy import ndimage

from ai_engine.errors import EmptySegment
from ai_engine.grid import Grid
from ai_engine.growing import Cube, Judge, detached, grow

SIDE, MIDDLE = 61, 30
LUNG, TISSUE = -850.0, 40.0


def cube_with(dense: np.ndarray, hull: np.ndarray | None = None) -> Cube:
    """Blur a figure as a scanner would, in lung; 1 mm grid."""
    hu = ndimage.gaussian_filter(np.where(dense, TISSUE, LUNG).astype(np.float32), 1.0)
    hull = np.ones(dense.shape, dtype=bool) if hull is None else hull
    grid = Grid(1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (SIDE, SIDE, SIDE))
    return Cube(grid, hu, hull, np.full(3, MIDDLE), LUNG)


def ball(diameter: float, at: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    k, r, c = np.indices((SIDE, SIDE, SIDE)) - MIDDLE
    return (k - at[0]) ** 2 + (r - at[1]) ** 2 + (c - at[2]) ** 2 < (diameter / 2) ** 2


def rod(diameter: float, direction: tuple[float, float, float]) -> np.ndarray:
    points = np.stack(np.indices((SIDE, SIDE, SIDE)) - MIDDLE, axis=-1).astype(float)
    along = np.array(direction) / np.linalg.norm(direction)
    return np.linalg.norm(np.cross(points, along), axis=-1) < diameter / 2


@pytest.mark.parametrize("diameter", [6.0, 9.0, 16.0, 26.0])
def test_a_ball_in_open_lung_passes_and_keeps_its_size(diameter):
    judged = Judge().judge(cube_with(ball(diameter)), diameter)
    assert judged is not None
    assert judged.shape.diameter_mm == pytest.approx(diameter, abs=0.8)
    assert judged.score > 0.8 or diameter < 8


@pytest.mark.parametrize("diameter", [4.0, 8.0, 14.0])
@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 1, 1), (1, 2, 3)])
def test_a_vessel_does_not_pass(diameter, direction):
    assert Judge().judge(cube_with(rod(diameter, direction)), diameter) is None


def test_a_fork_of_vessels_does_not_pass():
    half = np.indices((SIDE, SIDE, SIDE))[0] >= MIDDLE
    fork = (rod(7, (1, 0, 0)) & ~half) | ((rod(5, (1, 1, 0)) | rod(5, (1, -1, 0))) & half)
    for diameter in (5.7, 8.0, 11.3):
        assert Judge().judge(cube_with(fork), diameter) is None


def test_the_vessel_that_feeds_a_nodule_comes_off():
    judged = Judge().judge(cube_with(ball(16) | rod(3, (0, 0, 1))), 16)
    assert judged is not None
    columns = np.nonzero(judged.mask)[2]
    assert np.ptp(columns) < 24
    assert judged.region.mask[MIDDLE, MIDDLE, 0]
    overlap = 2 * (judged.mask & ball(16)).sum() / (judged.mask.sum() + ball(16).sum())
    assert overlap > 0.9


def test_a_nodule_on_the_wall_passes_and_a_flat_thickening_does_not():
    wall = np.indices((SIDE, SIDE, SIDE))[2] > MIDDLE + 5
    assert Judge().judge(cube_with(ball(14) | wall, ~wall), 14) is not None
    k, r, c = np.indices((SIDE, SIDE, SIDE)) - MIDDLE
    plaque = (k / 14) ** 2 + (r / 14) ** 2 + ((c - 5) / 5) ** 2 < 1
    assert Judge().judge(cube_with(plaque | wall, ~wall), 11) is None


def test_a_thicker_vessel_takes_a_stronger_detachment():
    region = grow(cube_with(ball(16) | rod(7, (0, 1, 1))))
    mild, strong = (detached(region, share) for share in (0.35, 0.65))
    assert (region.mask | ~mild).all()
    assert mild.sum() > 1.5 * strong.sum()
    assert strong.sum() == pytest.approx(ball(16).sum(), rel=0.15)


def test_even_lung_grows_nothing():
    with pytest.raises(EmptySegment):
        grow(cube_with(np.zeros((SIDE, SIDE, SIDE), dtype=bool)))
