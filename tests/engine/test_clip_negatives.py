"""Rules that name what is no nodule, and cutting places out of lungs."""

import numpy as np
import pytest
from scipy import ndimage

from ai_engine.clip.facts import NO, YES, Attribute, Ratings
from ai_engine.clip.patches import COARSE, FINE, unpacked
from ai_engine.composites import Background, Composite, Renderer
from ai_engine.domain import Candidate, Channel, CtVolume, NoduleType
from ai_engine.grid import grid_over
from ai_engine.lungs import LEFT, RIGHT, Lungs
from ai_engine.scene import Level, Scene
from ai_engine.training.encoder.cutting import Lung, Variation, of_composite
from ai_engine.training.encoder.negatives import mined, structure_of
from ai_engine.training.encoder.places import MARGIN

N = 80
MIDDLE = (40.0, 40.0, 40.0)
SPACING = (1.0, 1.0, 1.0)
PLAIN = Variation(1, is_varied=False)
K, R, C = np.meshgrid(*[np.arange(N) - 40.0] * 3, indexing="ij")


def scene_with(*bodies: tuple[np.ndarray, float]) -> Scene:
    """Build a cube of lung of -860 HU, 8 voxels of wall around it, and bodies of some HU in it."""
    rng = np.random.default_rng(0)
    hull = np.zeros((N, N, N), dtype=bool)
    hull[:, 8:-8, 8:-8] = True
    hu = np.where(hull, -860.0, 40.0) + rng.normal(0, 15, hull.shape)
    for where, value in bodies:
        hu[where] = value
    volume = CtVolume(hu.astype(np.int16), np.eye(4))
    grid = grid_over(hull.shape, SPACING, 1.0)
    sides = np.where(hull, np.where(np.arange(N) < 40, RIGHT, LEFT), 0).astype(np.uint8)
    lungs = Lungs(grid, sides, hull & (volume.hu < -400), ())
    level = Level(grid, volume.hu.astype(np.float32), hull)
    return Scene(volume, lungs, level, level, -860.0)


def named(scene: Scene, at: tuple[float, float, float] = MIDDLE) -> str | None:
    depth = ndimage.distance_transform_edt(scene.fine.hull).astype(np.float32)
    return structure_of(scene, depth, Candidate(at, 6.0, 1.0, Channel.SOLID))


def test_a_rod_and_a_fork_are_vessels_and_a_ball_has_no_name() -> None:
    rod = R**2 + C**2 < 9
    fork = (R**2 + C**2 < 9) & (K < 0) | (R**2 + (C - 0.7 * K) ** 2 < 7) & (K >= 0)
    assert named(scene_with((rod, 40))) == "vessel"
    assert named(scene_with((fork, 40))) == "vessel"
    assert named(scene_with((K**2 + R**2 + C**2 < 25, 40))) is None
    assert named(scene_with()) is None


def test_what_lies_on_the_wall_is_pleura_and_with_bone_behind_it_a_rib() -> None:
    at = (40.0, 9.0, 40.0)
    assert named(scene_with(), at) == "pleura"
    bone = (R > -39) & (R < -33) & (abs(K) < 8)
    assert named(scene_with((bone, 700.0)), at) == "rib"


def test_a_dark_lumen_with_a_wall_is_an_airway() -> None:
    wall, lumen = R**2 + C**2 < 36, R**2 + C**2 < 12
    assert named(scene_with((wall, 20), (lumen, -990)), (40.0, 45.0, 40.0)) == "airway"


def test_known_lesions_doubtful_places_and_dense_parts_are_no_negatives() -> None:
    scene = scene_with((R**2 + C**2 < 9, 40))
    avoid = np.zeros((N, N, N), dtype=bool)
    known = avoid.copy()
    avoid[10, 30, 12] = True  # lateral and low: may be a lesion that nobody outlined
    known[40, 40, 37] = avoid[40, 40, 37] = True  # at the root, and known
    avoid[40, 30, 39] = True  # at the root: vessels
    background = Background("site-a", scene.volume, scene.lungs, avoid, known)
    at = [(10, 30, 12), (40, 40, 37), (40, 30, 39), (60, 60, 60), (20, 20, 20)]
    proposed = [Candidate((float(k), float(r), float(c)), 6.0, 1.0, Channel.SOLID) for k, r, c in at]
    kept = mined(background, scene, proposed, [Candidate((60.0, 63.0, 60.0), 6.0, 1.0, Channel.SOLID)])
    assert [negative.centre_krc for negative in kept] == [(40.0, 30.0, 39.0), (20.0, 20.0, 20.0)]


@pytest.fixture
def composite() -> Composite:
    labels = np.zeros((30, 30, 30), dtype=np.uint8)
    labels[10:16, 12:18, 14:20] = 1
    hu = np.full(labels.shape, -860, dtype=np.int16)
    hu[labels == 1] = 30
    return Composite(
        hu=hu,
        labels=labels,
        spacing_krc_mm=SPACING,
        renderer=Renderer.A,
        nodule_type=NoduleType.SOLID,
        diameter_mm=8.5,
        patient_id="LIDC-IDRI-0301",
        annotation_id=7,
        lung="site-a",
        seed=0,
        origin_krc=(20, 22, 24),
    )


def test_a_planted_nodule_is_laid_back_into_its_lung(composite: Composite) -> None:
    scene = scene_with()
    background = Background("site-a", scene.volume, scene.lungs)
    before = scene.volume.hu.copy()
    ratings = {7: Ratings(6, 5, 1, 1, 5, 1)}
    (place,) = of_composite(background, composite, ratings, PLAIN, np.random.default_rng(0))
    fine, coarse = unpacked(place.fine), unpacked(place.coarse)
    middle = FINE.points // 2 + MARGIN
    assert fine[middle - 1 : middle + 1, middle - 1 : middle + 1, middle - 1 : middle + 1].min() > -30
    assert fine[MARGIN, MARGIN, MARGIN] < -700
    assert coarse[:, 0].mean() > -100  # the wall, that the crop does not hold
    assert coarse.shape == (COARSE.points + 2 * MARGIN,) * 3
    assert place.facts.values[Attribute.NODULE] == YES
    assert place.facts.values[Attribute.CALCIFICATION] == NO
    assert (scene.volume.hu == before).all()


def test_a_stretched_lung_has_a_larger_nodule(composite: Composite) -> None:
    scene = scene_with()
    background = Background("site-a", scene.volume, scene.lungs)
    varied = Variation(40, is_varied=True)
    every = of_composite(background, composite, {}, varied, np.random.default_rng(0))
    places = [place for place in every if Attribute.TYPE in place.facts.values]  # the others are blurred
    diameters = np.array([place.told["diameter_mm"] for place in places])
    volumes = np.array([(unpacked(place.fine) > -400).sum() for place in places])
    assert diameters.min() < 0.9 * composite.diameter_mm < 1.1 * composite.diameter_mm < diameters.max()
    assert np.corrcoef(diameters, volumes)[0, 1] > 0.8


@pytest.mark.parametrize(
    ("spacing_mm", "size_mm", "together"),
    [(1.0, 4, [2]), (1.0, 6, [2, 5]), (1.0, 30, [2, 5, 8]), (3.0, 30, [2, 3]), (3.0, 4, []), (8.0, 30, [])],
)
def test_slices_are_averaged_to_no_more_than_the_size_of_what_is_there(
    spacing_mm: float, size_mm: float, together: list[int]
) -> None:
    hu = np.arange(N, dtype=np.int16)[:, None, None] * np.ones((N, 20, 20), dtype=np.int16)
    lung = Lung(CtVolume(hu, np.diag([spacing_mm, 1.0, 1.0, 1.0])))
    assert lung.together(size_mm) == together
    for n in together:
        thick = lung.thick(n).volume
        assert thick.spacing_krc_mm[0] == n * spacing_mm
        assert thick.hu[:, 0, 0].tolist() == [round(i * n + (n - 1) / 2) for i in range(N // n)]


def test_in_slices_as_thick_as_the_nodule_nobody_tells_its_type(composite: Composite) -> None:
    scene = scene_with()
    background = Background("site-a", scene.volume, scene.lungs)
    ratings = {7: Ratings(3, 5, 1, 1, 5, 1)}
    places = list(of_composite(background, composite, ratings, Variation(40, is_varied=True), np.random.default_rng(0)))
    told = [place.facts.values.get(Attribute.TYPE) for place in places]
    assert set(told) == {"solid", None}
    assert 0.05 < told.count(None) / len(told) < 0.4
    assert all(place.facts.is_nodule for place in places)
