"""What is known of a planted nodule as it was cut: a ball in a ball, as it is, smaller, and of thick slices."""

from dataclasses import replace

import numpy as np
import pytest

from ai_engine.clip.facts import NO, YES, Attribute, Facts, Ratings
from ai_engine.composites import Composite, Renderer
from ai_engine.domain import BoolArray, CtVolume, HuArray, NoduleType
from ai_engine.training.encoder.known import Planted

SPACING = (0.8, 0.7, 0.7)
K, R, C = np.meshgrid(*(np.arange(-23.5, 24) * step for step in SPACING), indexing="ij")
FAR = np.sqrt(K**2 + R**2 + C**2)
PART_SOLID, SOLID = NoduleType.PART_SOLID, NoduleType.SOLID


def planted(hu: HuArray, outline: BoolArray, painted: NoduleType | None, ratings: Ratings | None = None) -> Planted:
    composite = Composite(
        hu, outline.astype(np.uint8), SPACING, Renderer.A, painted, 12.0, "LIDC-IDRI-0301", 7, "site-a", seed=0
    )
    return Planted(composite, outline, ratings)


def ball(core_mm: float, painted: NoduleType) -> tuple[Planted, CtVolume]:
    """Make a ball of ground glass of 12 mm with a core, in lung."""
    outline = FAR <= 6
    hu = np.where(outline, -600, -860)
    hu[core_mm / 2 >= FAR] = 20
    hu = (hu + np.random.default_rng(1).normal(0, 20, hu.shape)).astype(np.int16)
    return planted(hu, outline, painted), CtVolume(hu, np.diag([*SPACING, 1.0]))


def averaged(volume: CtVolume, together: int) -> CtVolume:
    n = len(volume.hu) // together
    hu = volume.hu[: n * together].reshape(n, together, *volume.hu.shape[1:]).mean(axis=1)
    return CtVolume(hu.astype(np.int16), volume.affine @ np.diag([together, 1, 1, 1]))


def type_in(nodule: Planted, volume: CtVolume, together: int = 1, stretch: float = 1.0) -> str | None:
    return nodule.facts(averaged(volume, together), together, np.full(3, stretch)).values.get(Attribute.TYPE)


@pytest.mark.parametrize(("stretch", "shown"), [(0.6, None), (0.8, "part-solid"), (1.2, "part-solid")])
def test_a_rim_in_a_smaller_lung_is_an_edge(stretch: float, shown: str | None) -> None:
    nodule, volume = ball(7.2, PART_SOLID)
    assert type_in(nodule, volume, stretch=stretch) == shown


@pytest.mark.parametrize(("together", "shown"), [(1, "part-solid"), (3, "part-solid"), (6, None), (9, None)])
def test_thick_slices_take_the_rim_away_before_the_whole_nodule_is_in_doubt(together: int, shown: str | None) -> None:
    nodule, volume = ball(7.2, PART_SOLID)
    assert type_in(nodule, volume, together) == shown


def test_a_solid_nodule_stays_solid_in_slices_of_half_its_size_and_is_nothing_in_thicker_ones() -> None:
    nodule, volume = ball(12.0, SOLID)
    assert [type_in(nodule, volume, together) for together in (1, 3, 6, 9)] == ["solid", "solid", "solid", None]


def test_calcium_that_thick_slices_thin_out_is_not_seen() -> None:
    nodule, volume = ball(12.0, SOLID)
    volume.hu[FAR <= 1.6] = 480
    rated = replace(nodule, ratings=Ratings(3, 5, 1, 1, 5, 1))
    seen = [rated.facts(averaged(volume, n), n, np.ones(3)).values.get(Attribute.CALCIFICATION) for n in (1, 6)]
    assert seen == [YES, None]


def test_a_sham_is_no_nodule() -> None:
    sham = planted(np.full(FAR.shape, -860, dtype=np.int16), FAR < 0, None)
    told: Facts = sham.facts(CtVolume(sham.composite.hu, np.diag([*SPACING, 1.0])), 1, np.ones(3))
    assert dict(told.values) == {Attribute.NODULE: NO}
