"""The phantom is a known truth: what it plants has the size it says, where it says, in either direction of k."""

from math import pi

import numpy as np
import pytest
from scipy import ndimage

from ai_engine.domain import Laterality, NoduleType
from ai_engine.errors import VolumeError
from ai_engine.geometry import krc_to_lps_mm, lps_mm_to_krc
from ai_engine.phantom import Build, LungPosition, Outline, Phantom, Sphere, thorax

SHAPE, SPACING = (40, 128, 128), (2.5, 2.8, 2.8)
LEFT, RIGHT = LungPosition(Laterality.LEFT, 0.3), LungPosition(Laterality.RIGHT, 0.7)
PLACE = (88.0, -180.0, -140.0)  # in the middle of the left lung


@pytest.fixture(scope="module")
def chest() -> Phantom:
    """Build the middle of a chest with two balls."""
    return thorax(SHAPE, SPACING, 7, [Sphere(LEFT, 9), Sphere(RIGHT, 12)])


@pytest.mark.parametrize("diameter", [4.0, 9.0, 12.0, 30.0])
@pytest.mark.parametrize("spacing", [(2.5, 0.7, 0.7), pytest.param((1.25, 0.9, 0.9), marks=pytest.mark.slow)])
def test_a_planted_ball_has_the_volume_of_a_ball(diameter, spacing):
    phantom = thorax((28, 300, 300), spacing, 1, [Sphere(PLACE, diameter)], Build(ends_per_lung=0))
    (ball,) = phantom.planted
    assert phantom.lungs[phantom.labels == 1].all()
    assert ball.volume_mm3 == pytest.approx(pi / 6 * diameter**3, rel=0.01)
    assert ball.diameter_mm == pytest.approx(diameter, abs=0.35)
    assert ball.centre_lps_mm == pytest.approx(PLACE, abs=0.05)


@pytest.mark.slow
def test_labels_have_the_planted_volume_up_to_whole_voxels():
    phantom = thorax((28, 300, 300), (1.25, 0.7, 0.7), 1, [Sphere(PLACE, 18)])
    labelled = float((phantom.labels == 1).sum() * np.prod((1.25, 0.7, 0.7)))
    assert labelled == pytest.approx(phantom.planted[0].volume_mm3, rel=0.02)


def test_labels_lie_where_the_truth_says(chest):
    for nodule in chest.planted:
        index = np.argwhere(chest.labels == nodule.number).mean(axis=0)
        centre = krc_to_lps_mm(chest.volume.affine, index)
        assert np.linalg.norm(centre - nodule.centre_lps_mm) < 1.5


def test_left_is_positive_x_and_heights_count_from_the_top(chest):
    left, right = chest.planted
    assert left.centre_lps_mm[0] > 0 > right.centre_lps_mm[0]
    assert left.centre_lps_mm[2] > right.centre_lps_mm[2]


@pytest.mark.slow
def test_either_direction_of_k_shows_the_same_chest():
    wanted = [Sphere(LEFT, 12)]
    head, feet = (thorax(SHAPE, SPACING, 7, wanted, Build(k_towards=to)) for to in ("head", "feet"))
    assert head.volume.affine[2, 0] > 0 > feet.volume.affine[2, 0]
    assert head.planted[0].centre_lps_mm == pytest.approx(feet.planted[0].centre_lps_mm, abs=0.01)
    assert np.mean(head.lungs == feet.lungs[::-1]) > 0.9999
    for phantom in (head, feet):
        k, r, c = np.rint(lps_mm_to_krc(phantom.volume.affine, phantom.planted[0].centre_lps_mm)).astype(int)
        assert phantom.labels[k, r, c] == 1
        assert phantom.volume.hu[k, r, c] == pytest.approx(35, abs=90)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_voxels(chest):
    again = thorax(SHAPE, SPACING, 7, [Sphere(LEFT, 9), Sphere(RIGHT, 12)])
    other = thorax(SHAPE, SPACING, 8, [Sphere(LEFT, 9), Sphere(RIGHT, 12)])
    assert np.array_equal(again.volume.hu, chest.volume.hu)
    assert not np.array_equal(other.volume.hu, chest.volume.hu)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "cut"),
    [
        (Build(), ("top", "bottom")),
        (Build(lung_height_mm=80), ()),
        (Build(lung_height_mm=80, shift_mm=30), ("top",)),
        (Build(lung_height_mm=80, shift_mm=-30), ("bottom",)),
    ],
)
def test_the_lungs_are_cut_where_the_volume_says(build, cut):
    phantom = thorax((40, 64, 64), (2.5, 5.6, 5.6), 1, build=build)
    assert phantom.lungs_cut == cut
    seen = phantom.lungs.any(axis=(1, 2))
    assert seen[-1] == ("top" in cut)
    assert seen[0] == ("bottom" in cut)


@pytest.mark.slow
def test_it_has_the_attenuations_of_a_chest():
    phantom = thorax((120, 64, 64), (2.5, 5.6, 5.6), 1)
    hu = phantom.volume.hu
    assert hu.dtype == np.int16
    assert -890 < np.median(hu[phantom.lungs]) < -830
    assert np.median(hu[:, :3]) == pytest.approx(-1000, abs=10)
    pieces, n = ndimage.label(phantom.lungs)
    sizes = ndimage.sum_labels(phantom.lungs, pieces, range(1, n + 1)) * phantom.volume.voxel_mm3 / 1e6
    assert n == 2, "two lungs, apart"
    assert all(1.2 < litres < 3.5 for litres in sizes)
    assert (hu > 300).sum() * phantom.volume.voxel_mm3 > 1e5, "bone"


@pytest.mark.slow
def test_vessels_are_there_and_keep_clear_of_nodules(chest):
    bare = thorax(SHAPE, SPACING, 7, [Sphere(LEFT, 9), Sphere(RIGHT, 12)], Build(ends_per_lung=0))
    bright = [int((p.volume.hu[p.lungs & (p.labels == 0)] > -500).sum()) for p in (chest, bare)]
    assert bright[0] > 1.3 * bright[1]
    free = thorax((12, 300, 300), (2.5, 0.7, 0.7), 3, [Sphere(PLACE, 10, clear_mm=8)])
    k, r, c = np.indices(free.labels.shape)
    lps = krc_to_lps_mm(free.volume.affine, np.stack([k, r, c], axis=-1))
    away = np.linalg.norm(lps - PLACE, axis=-1)
    assert free.volume.hu[(away > 8) & (away < 11)].max() < -600


@pytest.mark.slow
def test_part_solid_and_ground_glass():
    wanted = [
        Sphere(LEFT, 20, hu=-650, core_diameter_mm=10),
        Sphere(RIGHT, 20, hu=-650),
    ]
    phantom = thorax((40, 256, 256), (2.5, 1.4, 1.4), 7, wanted)
    part, glass = phantom.planted
    assert (part.nodule_type, glass.nodule_type) == (NoduleType.PART_SOLID, NoduleType.GROUND_GLASS)
    assert part.solid_volume_mm3 == pytest.approx(pi / 6 * 10**3, rel=0.02)
    assert glass.solid_volume_mm3 == 0
    assert np.median(phantom.volume.hu[phantom.labels == 2]) == pytest.approx(-650, abs=25)


@pytest.mark.slow
def test_an_outline_keeps_its_volume_place_and_orientation():
    """A mask that is longer towards the head on its left side stays so on another grid."""
    k, r, c = np.indices((13, 24, 24))
    mask = (k - 6) ** 2 / 25 + (r - 12) ** 2 / 36 + (c - 15) ** 2 / 25 < 1
    mask |= (k - 3) ** 2 / 6 + (r - 12) ** 2 / 25 + (c - 7) ** 2 / 30 < 1
    outline = Outline(PLACE, mask, (1.5, 0.8, 0.8))
    phantom = thorax((24, 300, 300), (1.0, 0.7, 0.7), 1, [outline], Build(k_towards="feet"))
    (planted,) = phantom.planted
    assert planted.volume_mm3 == pytest.approx(mask.sum() * 1.5 * 0.8 * 0.8, rel=0.03)
    assert planted.centre_lps_mm == pytest.approx(PLACE, abs=0.3)
    k, _, c = np.nonzero(phantom.labels)
    z = krc_to_lps_mm(phantom.volume.affine, np.stack([k, k * 0, c], axis=-1))[:, 2]
    low, high = np.quantile(c, (0.2, 0.8))
    assert z[c > high].mean() > z[c < low].mean() + 3


@pytest.mark.slow
def test_a_nodule_beyond_the_pleura_is_cut_off():
    inside = thorax((24, 128, 128), (2.5, 2.8, 2.8), 1, [Sphere((110.0, -180.0, -140.0), 20)])
    across = thorax((24, 128, 128), (2.5, 2.8, 2.8), 1, [Sphere((128.0, -180.0, -140.0), 20)])
    assert across.planted[0].volume_mm3 < 0.9 * inside.planted[0].volume_mm3
    assert across.lungs[across.labels == 1].all()


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        ([Sphere(LEFT, 90)], "no room"),
        ([Sphere((0.0, 0.0, 900.0), 9)], "outside"),
        ([Sphere(PLACE, 9), Sphere((92.0, -180.0, -140.0), 9)], "overlap"),
    ],
)
def test_what_cannot_be_planted_is_refused(wanted, what):
    with pytest.raises(VolumeError, match=what):
        thorax(SHAPE, SPACING, 1, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("height", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("inside_out", [0.0, 1.0])
def test_a_wanted_position_leaves_the_whole_nodule_in_the_lung(height, inside_out):
    at = LungPosition(Laterality.RIGHT, height, 0.5, inside_out)
    phantom = thorax((100, 64, 64), (2.5, 5.6, 5.6), 1, [Sphere(at, 10)])
    assert phantom.planted[0].volume_mm3 == pytest.approx(pi / 6 * 1000, rel=0.02)
