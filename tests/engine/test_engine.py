"""The engine as a whole on a plain thorax: what is there is found, where it is, however the slices were written."""

import numpy as np
import pytest

from ai_engine.domain import ClinicalContext, CtVolume, Finding, Laterality, NoduleType, PointPrompt, Segment
from ai_engine.engine import Engine
from ai_engine.errors import NoLungs, OutOfMemory, VolumeError
from ai_engine.geometry import krc_to_lps_mm
from ai_engine.lungs import ThresholdLungs
from ai_engine.phantom import LungPosition, Sphere, thorax
from ai_engine.segment import RegionGrowing
from ai_engine.stages import Tier, weight_free
from tests.support.plain_thorax import NODULE, plain_thorax, turned

NOBODY = ClinicalContext()
TWELVE, NINE = (60.0, 10.0, -10.0, 12.0), (-75.0, -20.0, 15.0, 9.0)


@pytest.fixture(scope="module")
def chest() -> CtVolume:
    """Draw a thorax with a ball of 12 mm on the left and one of 9 mm on the right."""
    return plain_thorax([TWELVE, NINE])


ORIENTATIONS = [
    ((False, False, False), False),
    ((True, False, False), False),
    pytest.param((False, True, True), False, marks=pytest.mark.slow),
    pytest.param((False, False, True), False, marks=pytest.mark.slow),
    pytest.param((True, True, False), True, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("flips", "swap"), ORIENTATIONS)
def test_two_balls_are_found_and_measured_in_any_orientation(chest, flips, swap):
    volume = turned(chest, flips, swap)
    analysis = Engine().analyse(volume, NOBODY)
    assert [finding.number for finding in analysis.findings] == [1, 2]
    for finding, (x, y, z, diameter) in zip(analysis.findings, (TWELVE, NINE), strict=True):
        inside = np.argwhere(finding.segment.on(volume.hu.shape))
        centre = krc_to_lps_mm(volume.affine, inside.mean(axis=0))
        assert np.linalg.norm(centre - (x, y, z)) < 1.0
        assert finding.location.laterality is (Laterality.LEFT if x > 0 else Laterality.RIGHT)
        assert finding.measurements.mean_diameter_mm == pytest.approx(diameter, abs=1.0)
        assert finding.measurements.volume_mm3 == pytest.approx(np.pi / 6 * diameter**3, rel=0.15)
        assert finding.measurements.volume_mm3 == pytest.approx(len(inside) * volume.voxel_mm3)
        assert volume.hu[finding.measurements.key_slice_k][
            finding.segment.on(volume.hu.shape)[finding.measurements.key_slice_k]
        ].mean() == pytest.approx(NODULE, abs=120)
        assert finding.descriptors.nodule_type is NoduleType.SOLID
    assert analysis.lungs_cut == ("bottom", "top")


@pytest.fixture(scope="module")
def both(chest) -> tuple[Finding, ...]:
    """Find the two balls."""
    return Engine().analyse(chest, NOBODY).findings


def test_the_axes_run_from_edge_to_edge_of_the_segment(chest, both):
    for finding in both:
        for axis in (finding.measurements.long_axis, finding.measurements.short_axis):
            start, end = (krc_to_lps_mm(chest.affine, at) for at in (axis.start_krc, axis.end_krc))
            assert np.linalg.norm(end - start) == pytest.approx(axis.length_mm, abs=0.06)
            assert axis.start_krc[0] == axis.end_krc[0] == finding.measurements.key_slice_k


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 8])
def test_balls_are_found_between_the_vessels_of_the_phantom_and_nothing_else_is(seed):
    left, right = LungPosition(Laterality.LEFT, 0.3), LungPosition(Laterality.RIGHT, 0.7)
    phantom = thorax((40, 384, 384), (2.5, 0.9, 0.9), seed, [Sphere(right, 12), Sphere(left, 9)])
    findings = Engine().analyse(phantom.volume, NOBODY).findings
    assert [finding.location.laterality for finding in findings] == [Laterality.RIGHT, Laterality.LEFT]
    for finding, planted in zip(findings, phantom.planted, strict=True):
        assert finding.measurements.mean_diameter_mm == pytest.approx(planted.diameter_mm, abs=0.8)


@pytest.mark.slow
def test_lungs_without_a_nodule_give_no_finding():
    analysis = Engine().analyse(plain_thorax(), NOBODY)
    assert analysis.findings == ()


@pytest.mark.slow
def test_a_bar_through_the_lung_is_no_nodule():
    volume = plain_thorax()
    middle = volume.hu.shape[1] // 2
    # 8 mm thick, from front to back through the left lung, as a vessel might run
    volume.hu[18:21, middle - 50 : middle + 50, -75:-69] = NODULE
    assert Engine().analyse(volume, NOBODY).findings == ()


def test_a_threshold_leaves_out_what_scores_lower(chest, both):
    lower, upper = sorted(finding.detection_score for finding in both)
    assert 0.5 <= lower < upper <= 1
    kept = Engine(detection_threshold=(lower + upper) / 2).analyse(chest, NOBODY).findings
    assert [finding.detection_score for finding in kept] == [upper]


@pytest.mark.parametrize(("n_voxels", "n_found"), [(1, 0), pytest.param(4, 2, marks=pytest.mark.slow)])
def test_what_a_search_outlines_below_3_mm_is_no_nodule_unless_a_person_points_at_it(chest, both, n_voxels, n_found):
    class Cautious(RegionGrowing):
        def segment(self, scene, candidate):
            k, r, c = (int(at) for at in super().segment(scene, candidate).middle_krc)
            return Segment(np.ones((1, n_voxels, n_voxels), dtype=bool), (k, r, c))

    usual = weight_free()
    engine = Engine(tier=Tier(usual.family, usual.names, usual.lungs, usual.detector, Cautious()))
    found = engine.analyse(chest, NOBODY).findings
    pointed_at = engine.prompted(PointPrompt(*both[0].candidate.centre_krc))
    (finding,) = pointed_at.analyse(chest, NOBODY).findings
    assert len(found) == n_found
    assert (finding.measurements.mean_diameter_mm >= 3) == bool(n_found)


def test_progress_rises_to_one_and_every_stage_is_timed(chest):
    told: list[tuple[str, float]] = []
    analysis = Engine().analyse(chest, NOBODY, lambda stage, fraction: told.append((stage, fraction)))
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert list(analysis.seconds) == list(dict.fromkeys(stage for stage, _ in told[:-1]))  # once more for each nodule


def test_the_digest_changes_with_settings_and_stages():
    usual = weight_free()
    other = Tier(usual.family, usual.names, ThresholdLungs(air_below_hu=-500), usual.detector, usual.segmenter)
    engines = (Engine(), Engine(detection_threshold=0.7), Engine(tier=other))
    assert len({engine.algorithm.digest for engine in engines}) == 3
    assert Engine().algorithm == Engine().algorithm


@pytest.mark.parametrize("level", [-1000, 40, -850])
def test_what_holds_no_lungs_is_refused(level):
    volume = plain_thorax()
    with pytest.raises(NoLungs):
        Engine().analyse(CtVolume(np.full_like(volume.hu, level), volume.affine), NOBODY)


def test_slices_that_are_not_axial_are_refused(chest):
    sagittal = CtVolume(np.ascontiguousarray(chest.hu.transpose(2, 0, 1)), chest.affine[:, [2, 0, 1, 3]])
    with pytest.raises(VolumeError, match="not axial"):
        Engine().analyse(sagittal, NOBODY)


def test_too_little_memory_is_a_transient_error(chest):
    class Hungry(ThresholdLungs):
        def find(self, volume):
            raise MemoryError

    usual = weight_free()
    tier = Tier(usual.family, usual.names, Hungry(), usual.detector, usual.segmenter)
    with pytest.raises(OutOfMemory) as caught:
        Engine(tier=tier).analyse(chest, NOBODY)
    assert caught.value.transient
