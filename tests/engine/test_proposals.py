"""What is proposed for scoring: every kind of nodule, on vessels and the wall too, each search within its quota."""

from collections import Counter

import numpy as np
import pytest

from ai_engine.candidates import Proposer, own_scores
from ai_engine.candidates.exits import exits, weighed
from ai_engine.candidates.peaks import Peak, apart, roundness
from ai_engine.domain import Candidate, Channel, CtVolume
from ai_engine.lungs import ThresholdLungs
from ai_engine.scene import Scene, scene_of
from tests.support.plain_thorax import LUNG, NODULE, axes_mm, plain_thorax

STEP_MM = (2.5, 1.4)
FREE, ON_VESSEL, LARGE, FAINT = (70.0, -30.0, 0.0), (70.0, 25.0, 10.0), (-70.0, 20.0, 0.0), (-70.0, -40.0, -20.0)
HARDLY_SEEN = (70.0, -10.0, -30.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Two lungs with noise, a vessel, and nodules: 6 mm free, 7 mm on the vessel, 32 mm; ground glass of 12 and 8 mm.

    The smallest of ground glass is denser than the lung by four times the noise only.
    """
    volume = plain_thorax([(*FREE, 6.0), (*ON_VESSEL, 7.0), (*LARGE, 32.0)])
    z, y, x = axes_mm(volume.hu.shape, STEP_MM)
    vessel = (x - 66) ** 2 + (z - 10) ** 2 < 2.5**2
    hu = np.where(vessel & (volume.hu < -500), np.int16(NODULE), volume.hu)
    for (at_x, at_y, at_z), radius, value in ((FAINT, 6, -620), (HARDLY_SEEN, 4, LUNG + 80)):
        hu = np.where((x - at_x) ** 2 + (y - at_y) ** 2 + (z - at_z) ** 2 < radius**2, np.int16(value), hu)
    hu = (hu + np.random.default_rng(1).normal(0, 20, hu.shape)).astype(np.int16)
    noisy = CtVolume(hu, volume.affine)
    return scene_of(noisy, ThresholdLungs().find(noisy))


@pytest.fixture(scope="module")
def proposed(scene: Scene) -> list[Candidate]:
    return Proposer().detect(scene)


def distances_mm(scene: Scene, candidates: list[Candidate], centre: tuple[float, float, float]) -> np.ndarray:
    places = np.array([candidate.centre_krc for candidate in candidates])
    middle = (np.array(scene.volume.hu.shape) - 1) / 2
    x, y, z = centre
    return np.linalg.norm((places - middle) * scene.volume.spacing_krc_mm - (z, y, x), axis=1)


@pytest.mark.parametrize(
    ("centre", "radius_mm", "channel"),
    [
        (FREE, 3.0, Channel.SOLID),
        (ON_VESSEL, 3.5, Channel.SOLID),
        (LARGE, 16.0, Channel.MASS),
        (FAINT, 6.0, Channel.GROUND_GLASS),
        (HARDLY_SEEN, 4.0, Channel.GROUND_GLASS),
    ],
)
def test_every_kind_of_nodule_is_hit_by_its_search(scene, proposed, centre, radius_mm, channel):
    candidates = [candidate for candidate in proposed if candidate.channel is channel]
    near = distances_mm(scene, candidates, centre) < radius_mm
    assert near[:15].any(), "among the first of its channel"


def test_each_search_keeps_its_quota(scene):
    few = Proposer(solid=7, ground_glass=1, small_ground_glass=2, mass=3).propose(scene)
    counts = Counter(candidate.channel for candidate in few)
    assert counts[Channel.SOLID] == 7
    assert counts[Channel.GROUND_GLASS] <= 3
    assert counts[Channel.MASS] <= 3
    for channel in Channel:
        scores = [candidate.score for candidate in few if candidate.channel is channel]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.slow
def test_a_scan_is_always_proposed_the_same(scene, proposed):
    assert Proposer().detect(scene) == proposed


def test_channels_are_put_in_one_order_by_rank():
    of = {name: Candidate((0, 0, 0), 5, 1, name) for name in Channel}
    solid, faint = of[Channel.SOLID], of[Channel.GROUND_GLASS]
    assert own_scores([solid, solid, faint, solid]) == [1, 1 / 2, 1, 1 / 3]


def test_roundness_tells_a_ball_from_a_line():
    k, r, c = np.meshgrid(*[np.arange(-8, 9)] * 3, indexing="ij")
    middle = np.array([[8, 8, 8]])
    ball = np.exp(-(k**2 + r**2 + c**2) / 18).astype(np.float32)
    line = np.exp(-(k**2 + r**2) / 18 + 0 * c).astype(np.float32)
    drop = np.exp(-(k**2 + r**2 + c**2 / 4) / 18).astype(np.float32)
    assert roundness(ball, middle)[0] == pytest.approx(1, abs=1e-3)
    assert roundness(line, middle)[0] == pytest.approx(0, abs=1e-3)
    assert roundness(drop, middle)[0] == pytest.approx(3 * 0.25 / 2.25, abs=0.02)


def test_of_peaks_in_one_place_the_best_stays():
    peaks = [Peak((10, 10, 10), 8, 5.0), Peak((10, 10, 12), 8, 4.0), Peak((10, 10, 16), 8, 3.0), Peak((0, 0, 0), 8, 2)]
    assert apart(peaks, step_mm=1.0, most=3) == [peaks[0], peaks[2], peaks[3]]
    assert apart(peaks, step_mm=1.0, most=1) == [peaks[0]]
    assert apart(peaks, step_mm=3.0, most=9) == peaks, "6 mm apart"


def test_what_goes_on_is_told_from_what_ends():
    k, r, c = np.meshgrid(*[np.arange(-20, 21)] * 3, indexing="ij")
    ball = (k**2 + r**2 + c**2 <= 16).astype(np.float32)
    vessel = np.maximum(ball, (k**2 + r**2 <= 9).astype(np.float32))
    leaf = np.maximum(ball, ((k**2 + r**2 <= 9) & (c > 0)).astype(np.float32))
    here = [Peak((20, 20, 20), 8.0, 1.0)]
    alone, twice, once = (float(exits(here, image, 1.0, 0.0)[0]) for image in (ball, vessel, leaf))
    assert alone == 0
    assert twice == pytest.approx(2 * once, abs=0.03)
    assert 0.02 < once < 0.1
    assert weighed(here, vessel, 1.0, 0.0)[0].score < weighed(here, leaf, 1.0, 0.0)[0].score < 1
    assert weighed([], ball, 1.0, 0.0) == []
