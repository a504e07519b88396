"""Place and look of a finding, on a thorax whose truth is drawn."""

import numpy as np
import pytest

from ai_engine.describe import locate, solid_part
from ai_engine.domain import ClinicalContext, CtVolume, Finding, Laterality, Segment, Zone
from ai_engine.engine import Engine
from ai_engine.lungs import ThresholdLungs
from tests.support.plain_thorax import Ball, axes_mm, plain_thorax

SHAPE, STEP = (40, 240, 240), (2.5, 1.4)


def findings_of(balls: list[Ball], hu: int = 40, contrast: bool | None = None) -> tuple[Finding, ...]:
    volume = plain_thorax(balls)
    z, y, x = axes_mm(SHAPE, STEP)
    for bx, by, bz, diameter in balls:
        volume.hu[(x - bx) ** 2 + (y - by) ** 2 + (z - bz) ** 2 < (diameter / 2) ** 2] = hu
    return Engine().analyse(CtVolume(volume.hu, volume.affine, contrast), ClinicalContext()).findings


@pytest.mark.slow
@pytest.mark.parametrize(("z", "zone"), [(-35.0, Zone.LOWER), (0.0, Zone.MIDDLE), (38.0, Zone.UPPER)])
@pytest.mark.parametrize(("x", "side"), [(-60.0, Laterality.RIGHT), (60.0, Laterality.LEFT)])
def test_zones_are_thirds_of_the_lung_and_left_is_positive_x(x, side, z, zone):
    volume = plain_thorax([(x, 0, z, 12)])
    mask = np.zeros(SHAPE, dtype=bool)
    at_z, at_y, at_x = axes_mm(SHAPE, STEP)
    mask[(at_x - x) ** 2 + at_y**2 + (at_z - z) ** 2 < 36] = True
    location = locate(ThresholdLungs().find(volume), Segment(mask, (0, 0, 0)))
    assert (location.laterality, location.zone, location.lobe) == (side, zone, None)


@pytest.mark.slow
def test_a_nodule_on_the_pleura_is_told_from_one_inside():
    inside, pleural = (60.0, 0.0, 15.0, 14.0), (-118.0, 0.0, -15.0, 16.0)
    by_side = {finding.location.laterality: finding.descriptors for finding in findings_of([inside, pleural])}
    assert by_side[Laterality.LEFT].juxtapleural is False
    assert by_side[Laterality.RIGHT].juxtapleural is True


@pytest.mark.parametrize(
    ("hu", "contrast", "calcified"),
    [
        (40, False, False),
        (600, True, None),
        *(pytest.param(600, *each, marks=pytest.mark.slow) for each in ((False, True), (None, None))),
    ],
)
def test_calcification_is_only_called_where_no_contrast_medium_can_look_like_it(hu, contrast, calcified):
    (finding,) = findings_of([(60.0, 0.0, 0.0, 14.0)], hu, contrast)
    assert finding.descriptors.calcified is calcified


def test_a_vessel_through_ground_glass_is_no_solid_part():
    hu = np.full((20, 30, 30), -620, dtype=np.int16)
    whole = Segment(np.ones(hu.shape, dtype=bool), (0, 0, 0))
    affine = np.diag([1.0, 0.8, 0.8, 1.0])
    hu[:, 14:17, 14:17] = 40
    assert solid_part(CtVolume(hu, affine), whole) is None
    hu[7:13, 11:19, 11:19] = 40
    core = solid_part(CtVolume(hu, affine), whole)
    assert core is not None
    assert core.mask[10, 15, 15]
