"""Sizes are those of the figure that was drawn, whatever the voxels; rounding is that of Lung-RADS."""

import numpy as np
import pytest

from ai_engine.domain import CtVolume, Segment
from ai_engine.geometry import affine_from
from ai_engine.measure import measure


def ellipsoid(
    semi_axes_mm: tuple[float, float, float],
    spacing: tuple[float, float, float],
    angle: float = 0.0,
    shift: float = 0.3,
) -> tuple[CtVolume, Segment]:
    """Draw an ellipsoid, turned in plane; ``shift`` moves it off the voxel centres."""
    half = [int(np.ceil(max(semi_axes_mm) / s)) + 2 for s in spacing]
    z, y, x = np.meshgrid(
        *[(np.arange(-n, n + 1) + shift) * s for n, s in zip(half, spacing, strict=True)], indexing="ij"
    )
    u, v = y * np.cos(angle) + x * np.sin(angle), -y * np.sin(angle) + x * np.cos(angle)
    mask = (z / semi_axes_mm[0]) ** 2 + (u / semi_axes_mm[1]) ** 2 + (v / semi_axes_mm[2]) ** 2 < 1
    hu = np.where(mask, 30, -850).astype(np.int16)
    steps = ((0, 0, spacing[0]), (0, spacing[1], 0), (spacing[2], 0, 0))
    return CtVolume(hu, affine_from((0, 0, 0), *steps)), Segment(mask, (0, 0, 0))


@pytest.mark.parametrize("spacing", [(1.0, 0.7, 0.7), (2.5, 0.9, 0.6)])
@pytest.mark.parametrize("angle", [0.0, 0.4, 1.1])
@pytest.mark.parametrize("semi_axes", [(6.0, 6.0, 6.0), (8.0, 10.0, 6.0), (3.0, 4.0, 3.0)])
def test_axes_and_volume_are_those_of_an_ellipsoid(semi_axes, angle, spacing):
    volume, segment = ellipsoid(semi_axes, spacing, angle)
    sizes = measure(volume, segment)
    pixel = max(spacing[1:])
    assert sizes.long_axis.length_mm == pytest.approx(2 * max(semi_axes[1:]), abs=0.7 * pixel)
    assert sizes.short_axis.length_mm == pytest.approx(2 * min(semi_axes[1:]), abs=0.9 * pixel)
    assert sizes.volume_mm3 == pytest.approx(4 / 3 * np.pi * np.prod(semi_axes), rel=0.1)
    assert sizes.maximum_3d_diameter_mm == pytest.approx(2 * max(semi_axes), abs=1.2 * max(spacing))


def test_the_short_axis_stands_at_right_angles_to_the_long_one():
    sizes = measure(*ellipsoid((5, 9, 5), (1.0, 0.7, 0.7), angle=0.6))
    long, short = (np.subtract(axis.end_krc, axis.start_krc) for axis in (sizes.long_axis, sizes.short_axis))
    assert abs(long @ short) < 1e-6 * np.linalg.norm(long) * np.linalg.norm(short)


def test_diameters_are_in_tenths_and_their_mean_is_that_of_the_rounded_ones():
    sizes = measure(*ellipsoid((5, 7.3, 5.1), (1.0, 0.73, 0.73), angle=0.3))
    for value in (sizes.long_axis.length_mm, sizes.short_axis.length_mm, sizes.mean_diameter_mm):
        assert value == round(value, 1)
    mean = (sizes.long_axis.length_mm + sizes.short_axis.length_mm) / 2
    assert abs(sizes.mean_diameter_mm - mean) <= 0.05 + 1e-9


def test_the_key_slice_is_the_one_of_the_largest_area_in_the_volume():
    volume, segment = ellipsoid((6, 8, 8), (2.0, 0.7, 0.7))
    areas = segment.mask.sum(axis=(1, 2))
    moved = Segment(segment.mask, (4, 0, 0))
    larger = CtVolume(np.pad(volume.hu, ((4, 4), (0, 0), (0, 0))), volume.affine)
    assert measure(larger, moved).key_slice_k == 4 + areas.argmax()


def test_attenuation_is_that_of_the_voxels_inside():
    volume, segment = ellipsoid((5, 5, 5), (1.0, 1.0, 1.0))
    volume.hu[segment.mask] = np.arange(segment.mask.sum()) % 100 - 50
    inside = volume.hu[segment.mask]
    sizes = measure(volume, segment)
    assert (sizes.minimum_hu, sizes.maximum_hu) == (inside.min(), inside.max())
    assert sizes.mean_hu == pytest.approx(inside.mean())
    assert sizes.sd_hu == pytest.approx(inside.std())


@pytest.mark.parametrize("voxels", [[(0, 0, 0)], [(0, 0, 0), (0, 0, 1)], [(0, 0, 0), (0, 1, 1), (0, 2, 2)]])
def test_a_handful_of_voxels_has_a_size(voxels):
    mask = np.zeros((1, 3, 3), dtype=bool)
    mask[tuple(np.transpose(voxels))] = True
    volume = CtVolume(np.zeros((1, 3, 3), dtype=np.int16), np.eye(4))
    sizes = measure(volume, Segment(mask, (0, 0, 0)))
    assert 0 < sizes.short_axis.length_mm <= sizes.long_axis.length_mm <= sizes.maximum_3d_diameter_mm


def test_a_solid_part_is_measured_like_the_whole():
    volume, whole = ellipsoid((9, 9, 9), (1.0, 0.7, 0.7))
    _, core = ellipsoid((4, 4, 4), (1.0, 0.7, 0.7))
    offset = tuple(int(n) for n in (np.array(whole.mask.shape) - core.mask.shape) // 2)
    sizes = measure(volume, whole, Segment(core.mask, offset))
    assert sizes.solid_mean_diameter_mm == pytest.approx(8, abs=0.6)
    assert sizes.solid_volume_mm3 == pytest.approx(4 / 3 * np.pi * 64, rel=0.1)
