"""What the encoder looks at: where it lies, how large it is, and what a byte keeps of HU."""

import numpy as np
import pytest

from ai_engine.clip.patches import CLOSE, COARSE, FINE, packed, unpacked, views_of, windowed
from ai_engine.domain import CtVolume


def ramp(axis: int, spacing: tuple[float, float, float]) -> CtVolume:
    """HU that rise by 2 per mm along one axis, 0 in the middle."""
    shape = tuple(int(160 / step) for step in spacing)
    along = (np.arange(shape[axis]) - shape[axis] // 2) * spacing[axis] * 2
    hu = np.broadcast_to(along.reshape([-1 if i == axis else 1 for i in range(3)]), shape)
    return CtVolume(np.rint(hu).astype(np.int16), np.diag([*spacing, 1.0]))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [(3.0, 0.7, 0.7), (1.0, 0.9, 0.9), (5.0, 0.55, 0.55)])
def test_cubes_lie_around_the_place_and_measure_what_they_should(
    axis: int, spacing: tuple[float, float, float]
) -> None:
    volume = ramp(axis, spacing)
    middle = np.array(volume.hu.shape) // 2
    views = views_of(volume)
    for cube, scale in zip((*views.cubes(middle), views.close(middle)), (FINE, COARSE, CLOSE), strict=True):
        assert cube.shape == (scale.points,) * 3
        assert abs(cube.mean()) < 1.5  # less than a mm off
        assert np.ptp(cube) == pytest.approx(2 * (scale.points - 1) * scale.step_mm, rel=0.03)


def test_a_stretched_lung_shows_less_of_itself() -> None:
    volume = ramp(1, (2.0, 0.8, 0.8))
    middle = np.array(volume.hu.shape) // 2
    plain, stretched = (views_of(volume).cubes(middle, stretch_krc=by)[0] for by in (1.0, 1.25))
    assert np.ptp(plain) / np.ptp(stretched) == pytest.approx(1.25, rel=0.03)


def test_a_place_at_the_end_of_the_scan_sees_its_border_go_on() -> None:
    volume = ramp(0, (2.0, 0.8, 0.8))
    fine, coarse = views_of(volume).cubes((0, 0, 0))
    assert np.isfinite(fine).all()
    assert np.isfinite(coarse).all()
    assert fine.min() == volume.hu.min()


def test_bytes_keep_hu_as_far_as_noise_allows() -> None:
    hu = np.arange(-1024, 1050, dtype=np.float32)
    error = np.abs(unpacked(packed(hu)) - hu)
    assert error[hu <= 200].max() <= 3
    assert error.max() <= 9


def test_channels_are_windows() -> None:
    channels = windowed(np.array([-1000.0, -675, -350, -100, 200, 400, 800], dtype=np.float32).reshape(1, 7, 1, 1))
    assert channels.shape == (1, 3, 7, 1, 1)
    assert channels[0, 0].ravel().tolist() == pytest.approx([-1, 0, 1, 1, 1, 1, 1])
    assert channels[0, 1, [3, 4]].ravel().tolist() == pytest.approx([0, 1])
    assert channels[0, 2, [5, 6]].ravel().tolist() == pytest.approx([0, 1])
