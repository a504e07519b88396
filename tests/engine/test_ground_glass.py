"""Ground glass is found beside vessels, its solid core is a part of it, and a bundle of vessels is neither."""

import numpy as np
import pytest

from ai_engine.domain import Analysis, Channel, ClinicalContext, CtVolume, Laterality, NoduleType
from ai_engine.engine import Engine
from ai_engine.phantom import LungPosition, Sphere, thorax
from tests.support.plain_thorax import LUNG, axes_mm, plain_thorax

pytestmark = pytest.mark.slow

NOBODY = ClinicalContext()
LEFT, RIGHT = LungPosition(Laterality.LEFT, 0.45), LungPosition(Laterality.RIGHT, 0.55)


@pytest.fixture(scope="module")
def phantom():
    """Build a chest with a part-solid nodule on the left and pure ground glass on the right."""
    nodules = [Sphere(LEFT, 25, hu=-620, core_diameter_mm=10), Sphere(RIGHT, 20, hu=-620)]
    return thorax((60, 256, 256), (2.5, 1.3, 1.3), 1, nodules)


@pytest.fixture(scope="module")
def analysis(phantom) -> Analysis:
    """Analyse it."""
    return Engine().analyse(phantom.volume, NOBODY)


def test_both_are_found_by_the_search_for_ground_glass(phantom, analysis):
    assert [finding.candidate.channel for finding in analysis.findings] == [Channel.GROUND_GLASS] * 2
    for finding, planted in zip(analysis.findings, (1, 2), strict=True):
        mask, truth = finding.segment.on(phantom.volume.hu.shape), phantom.labels == planted
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8


def test_a_solid_core_makes_it_part_solid_and_is_measured(analysis):
    part_solid, pure = analysis.findings
    assert part_solid.descriptors.nodule_type is NoduleType.PART_SOLID
    assert part_solid.measurements.mean_diameter_mm == pytest.approx(25, abs=2.5)
    assert part_solid.measurements.solid_mean_diameter_mm == pytest.approx(10, abs=1.0)
    assert part_solid.measurements.solid_volume_mm3 == pytest.approx(524, rel=0.25)
    assert pure.descriptors.nodule_type is NoduleType.GROUND_GLASS
    assert pure.measurements.solid_mean_diameter_mm is None
    assert pure.measurements.mean_diameter_mm == pytest.approx(20, abs=1.5)


def test_the_rules_see_the_parts(analysis):
    assert [finding.lung_rads.value for finding in analysis.findings] == ["4B", "2"]
    assert analysis.lung_rads.value == "4B"


def test_a_bundle_of_thin_vessels_is_not_ground_glass():
    volume = plain_thorax()
    z, y, x = axes_mm(volume.hu.shape, (2.5, 1.4))
    near = ((x - 70) ** 2 + y**2 < 14**2) & (abs(z) < 15)
    rods = np.broadcast_to((np.round(x / 1.4) % 5 < 2) & (np.round(y / 1.4) % 5 < 2), volume.hu.shape)
    volume.hu[near & rods] = 40
    assert (volume.hu[near & (volume.hu != LUNG)]).size > 0
    found = Engine().analyse(CtVolume(volume.hu, volume.affine), NOBODY).findings
    assert not [finding for finding in found if finding.candidate.channel is Channel.GROUND_GLASS]
