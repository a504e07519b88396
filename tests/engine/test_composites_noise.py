"""Planted tissue carries the noise of its series: a classifier cannot tell, and it can where noise is wrong."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import ndimage

from ai_engine.composites import Background, Composite, Renderer, compose
from ai_engine.composites.noise_auc import noise_auc
from ai_engine.errors import NoRoom
from tests.engine.test_composites import ball, lung_of
from tests.support.data import needs_data

pytestmark = [pytest.mark.slow, needs_data]

LUNGS = ("tcga-de-a4ma", "nlst-101287", "qin-lsc-0009")


@pytest.fixture(scope="module")
def lungs() -> list[Background]:
    return [lung_of(name) for name in LUNGS]


def composed(lungs: Sequence[Background], renderer: Renderer) -> list[Composite]:
    rng, found = np.random.default_rng(0), []
    while len(found) < 90:
        try:
            found.append(compose(ball(22), [], lungs[len(found) % 3], renderer, rng))
        except NoRoom:
            continue
    return found


@pytest.mark.parametrize("renderer", Renderer)
def test_planted_tissue_is_hardly_told_from_real_by_its_noise(lungs, renderer):
    assert noise_auc(composed(lungs, renderer), lungs).auc < 0.68


def test_smooth_tissue_is_told_at_once(lungs):
    """The measurement has teeth: the same nodules with half of their noise smoothed away."""
    smooth = composed(lungs, Renderer.A)
    for each in smooth:
        each.hu[:] = (each.hu + ndimage.gaussian_filter(each.hu.astype(float), (0, 1, 1))) / 2
    assert noise_auc(smooth, lungs).auc > 0.85
