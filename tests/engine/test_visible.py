"""What a planted nodule shows: balls in balls, of known size and HU."""

import numpy as np
import pytest

from ai_engine.composites import shows_calcium, visible_type
from ai_engine.domain import NoduleType

LUNG, GLASS, TISSUE = -860, -600, 20
SPACING = (1.0, 0.7, 0.7)
SOLID, PART_SOLID, GROUND_GLASS = NoduleType.SOLID, NoduleType.PART_SOLID, NoduleType.GROUND_GLASS


def seen(
    diameter_mm: float, core_mm: float, painted: NoduleType, vessel_mm: float = 0.0, glass: int = GLASS
) -> NoduleType | None:
    """Ask what is seen of a ball of ground glass with a core, and a vessel through it along k."""
    k, r, c = np.meshgrid(*(np.arange(-24, 25) * step for step in SPACING), indexing="ij")
    far = np.sqrt(k**2 + r**2 + c**2)
    outline = far <= diameter_mm / 2
    hu = np.where(outline, glass, LUNG)
    hu[(far <= core_mm / 2) | (np.hypot(r - 2, c) <= vessel_mm / 2)] = TISSUE
    noise = np.random.default_rng(1).normal(0, 20, hu.shape)
    return visible_type((hu + noise).astype(np.int16), outline, SPACING, diameter_mm, painted)


def test_an_outline_without_voxels_is_refused() -> None:
    nothing = np.zeros((8, 8, 8), dtype=bool)
    with pytest.raises(ValueError, match="no voxel"):
        visible_type(np.full((8, 8, 8), LUNG, dtype=np.int16), nothing, SPACING, 10.0, SOLID)


@pytest.mark.parametrize(("diameter_mm", "core_mm"), [(8, 3.6), (12, 7), (20, 12)])
def test_a_core_in_ground_glass_is_part_solid(diameter_mm: float, core_mm: float) -> None:
    assert seen(diameter_mm, core_mm, PART_SOLID) is PART_SOLID


@pytest.mark.parametrize("core_mm", [0, 1.5, 2.5])
def test_a_core_that_is_too_small_to_be_measured_shows_nothing(core_mm: float) -> None:
    assert seen(12, core_mm, PART_SOLID) is None
    assert seen(12, core_mm, GROUND_GLASS) is GROUND_GLASS


@pytest.mark.parametrize(("diameter_mm", "core_mm"), [(12, 10.5), (12, 12), (7, 4.5)])
def test_a_thin_rim_is_an_edge(diameter_mm: float, core_mm: float) -> None:
    assert seen(diameter_mm, core_mm, PART_SOLID) is None
    assert seen(diameter_mm, core_mm, SOLID) is SOLID


@pytest.mark.parametrize("core_mm", [8.4, 8.7])
def test_between_solid_and_part_solid_neither_is_known(core_mm: float) -> None:
    assert seen(12, core_mm, SOLID) is None
    assert seen(12, core_mm, PART_SOLID) is None


@pytest.mark.parametrize(
    ("fleck_mm", "fleck_hu", "is_seen"), [(3.0, 500, True), (3.0, 120, False), (1.0, 500, False), (0.0, 500, False)]
)
def test_calcium_is_seen_that_is_denser_than_tissue_and_no_speck(
    fleck_mm: float,
    fleck_hu: int,
    is_seen: bool,
) -> None:
    k, r, c = np.meshgrid(*(np.arange(-16, 17) * step for step in SPACING), indexing="ij")
    far = np.sqrt(k**2 + r**2 + c**2)
    hu = np.where(far <= 5, TISSUE, LUNG)
    hu[far <= fleck_mm / 2] = fleck_hu
    hu[far > 8] = 900
    noise = np.random.default_rng(1).normal(0, 20, hu.shape)
    assert shows_calcium((hu + noise).astype(np.int16), far <= 5, SPACING) is is_seen


@pytest.mark.parametrize("slice_mm", [2.5, 3.0])
def test_what_a_thick_slice_holds_half_of_is_no_ground_glass(slice_mm: float) -> None:
    fine, thick = 0.25, (slice_mm, 0.7, 0.7)
    k, r, c = np.meshgrid(np.arange(-60, 60) * fine, *[np.arange(-16, 17) * 0.7] * 2, indexing="ij")
    per_slice = round(slice_mm / fine)
    tissue = np.where(np.sqrt(k**2 + r**2 + c**2) <= 5, TISSUE, LUNG).reshape(-1, per_slice, *k.shape[1:]).mean(axis=1)
    outline = tissue > LUNG + 50
    for painted, expected in ((PART_SOLID, None), (SOLID, SOLID)):
        assert visible_type(tissue.astype(np.int16), outline, thick, 10.0, painted) is expected


def test_a_wide_rim_leaves_nobody_sure_of_solid() -> None:
    assert seen(12, 7, SOLID) is None


@pytest.mark.parametrize(("haze", "shown"), [(0, SOLID), (50, None)])
def test_a_core_in_lung_is_not_part_solid_however_wide_its_outline(haze: int, shown: NoduleType | None) -> None:
    assert seen(12, 7, PART_SOLID, glass=LUNG + haze) is None
    assert seen(12, 7, SOLID, glass=LUNG + haze) is shown


def test_a_vessel_through_ground_glass_is_no_core() -> None:
    assert seen(15, 0, GROUND_GLASS, vessel_mm=2.0) is GROUND_GLASS
    assert seen(15, 8, GROUND_GLASS) is None


def test_below_6_mm_part_solid_is_not_told() -> None:
    assert seen(5.5, 3.5, PART_SOLID) is None
    assert seen(5.5, 5, SOLID) is SOLID
