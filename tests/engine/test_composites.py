"""Composites: what is planted is labelled, looks as asked, and nothing else changes. Real lungs, plain shapes."""

import ast
import inspect
from dataclasses import replace

import numpy as np
import pytest

from ai_engine.composites import Background, Composite, NoduleShape, Renderer, Shards, compose, compose_scan, sham
from ai_engine.composites import renderer_a as a
from ai_engine.composites import renderer_b as b
from ai_engine.domain import NoduleType
from ai_engine.errors import NoRoom
from ai_engine.geometry import turn_of
from ai_engine.lungs import ThresholdLungs
from tests.support.chest import background as crop
from tests.support.data import needs_data

pytestmark = needs_data

SPACING = (1.25, 0.7, 0.7)


def ball(diameter_mm: float = 14.0, **ratings: int) -> NoduleShape:
    reach = diameter_mm / 2
    axes = [np.arange(-np.floor(reach / s), np.floor(reach / s) + 1) * s for s in SPACING]
    k, r, c = np.meshgrid(*axes, indexing="ij")
    rated = {"texture": 5, "calcification": 6, "margin": 5, "spiculation": 1, "lobulation": 1, "subtlety": 5} | ratings
    return NoduleShape(k**2 + r**2 + c**2 <= reach**2, SPACING, "LIDC-IDRI-0300", 7, **rated)


def lung_of(name: str) -> Background:
    volume = crop(name)
    volume = turn_of(volume).volume(volume)
    lungs = ThresholdLungs().find(volume)
    return Background(name, volume, lungs, np.zeros(lungs.hull.shape, dtype=bool))


@pytest.fixture(scope="module")
def lung() -> Background:
    return lung_of("tcga-de-a4ma")


def before(composite: Composite, lung: Background) -> np.ndarray:
    """Return the same crop of the lung, as it was."""
    k, r, c = (slice(o, o + n) for o, n in zip(composite.origin_krc, composite.hu.shape, strict=True))
    return lung.volume.hu[k, r, c]


def several(lung: Background, renderer: Renderer, shape: NoduleShape, n: int) -> list[Composite]:
    rng, found = np.random.default_rng(4), []
    while len(found) < n:
        try:
            found.append(compose(shape, [], lung, renderer, rng))
        except NoRoom:
            continue
    return found


@pytest.mark.parametrize("renderer", Renderer)
def test_the_label_is_the_readers_outline_in_the_lung(lung, renderer):
    shape = ball(16)
    wanted = shape.mask.sum() * np.prod(SPACING)
    shares = [
        np.count_nonzero(each.labels == 1) * np.prod(each.spacing_krc_mm) / wanted
        for each in several(lung, renderer, shape, 12)
    ]
    assert max(shares) == pytest.approx(1, abs=0.08), "one that lies free has the outline's volume"
    assert min(shares) >= 0.5


@pytest.mark.parametrize("renderer", Renderer)
def test_solid_nodules_are_soft_tissue_and_stand_out(lung, renderer):
    for each in several(lung, renderer, ball(16), 12):
        if each.nodule_type is NoduleType.SOLID:
            assert -120 < np.median(each.hu[each.labels == 1]) < 200


@pytest.mark.parametrize("renderer", Renderer)
def test_ground_glass_is_the_local_lung_and_80_to_350_hu(lung, renderer):
    glass = [each for each in several(lung, renderer, ball(22, texture=1), 12) if each.nodule_type == "ground-glass"]
    assert len(glass) >= 4
    for each in glass:
        was = before(each, lung)
        inner = (each.labels == 1) & (was < -700)
        raised = each.hu[inner].astype(float) - was[inner]
        assert 55 <= np.median(raised) <= 350
        assert np.corrcoef(each.hu[inner], was[inner])[0, 1] > 0.2, "what was there shows through"


@pytest.mark.parametrize("renderer", Renderer)
def test_the_core_of_a_part_solid_nodule_is_known_and_is_what_is_dense_in_it(lung, renderer):
    made = several(lung, renderer, ball(22, texture=3), 10)
    assert {each.core is not None for each in made if each.nodule_type is NoduleType.PART_SOLID} == {True}
    assert all(each.core is None for each in made if each.nodule_type is not NoduleType.PART_SOLID)
    cores = [each for each in made if each.core is not None and each.core.sum() > 20]
    assert len(cores) >= 2
    for each in cores:
        assert not (each.core & (each.labels != 1)).any()
        around = (each.labels == 1) & ~each.core & (before(each, lung) < -700)
        assert np.median(each.hu[each.core]) > np.median(each.hu[around]) + 200


@pytest.mark.parametrize("renderer", Renderer)
def test_nothing_changes_away_from_the_nodules(lung, renderer):
    for each in several(lung, renderer, ball(12, spiculation=5, margin=1), 6):
        changed = each.hu != before(each, lung)
        for axis, at, step in zip(np.nonzero(changed), np.nonzero(each.labels == 1), each.spacing_krc_mm, strict=True):
            # half of the nodule may lie in the chest wall, where it has no label
            assert (at.min() - axis.min()) * step < 12 + 6
            assert (axis.max() - at.max()) * step < 12 + 6


def test_the_crop_reaches_as_far_as_promised(lung):
    for each in several(lung, Renderer.A, ball(12), 8):
        _, r, c = (int(axis.mean()) for axis in np.nonzero(each.labels == 1))
        whole, origin = lung.volume.hu.shape, each.origin_krc
        for axis, (at, step) in enumerate(zip((r, c), each.spacing_krc_mm[1:], strict=True), start=1):
            assert at * step >= 40 or origin[axis] == 0
            assert (each.hu.shape[axis] - at) * step >= 40 or origin[axis] + each.hu.shape[axis] == whole[axis]
        slices = np.nonzero((each.labels == 1).any(axis=(1, 2)))[0]
        assert slices[0] >= 6 or origin[0] == 0
        assert each.hu.shape[0] - 1 - slices[-1] >= 6 or origin[0] + each.hu.shape[0] == whole[0]


def test_the_same_generator_gives_the_same_composite(lung):
    one, same, other = (compose(ball(), [ball(8)], lung, Renderer.B, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.hu, same.hu)
    assert np.array_equal(one.labels, same.labels)
    assert one.seed == same.seed != other.seed


def test_distractors_lie_beside_the_target(lung):
    rng, seen = np.random.default_rng(2), 0
    for _ in range(8):
        each = compose(ball(10), [ball(8), ball(9)], lung, Renderer.A, rng)
        target = np.argwhere(each.labels == 1).mean(axis=0)
        for number in range(2, int(each.labels.max()) + 1):
            other = np.argwhere(each.labels == number)
            if len(other):
                seen += 1
                apart = np.linalg.norm((other.mean(axis=0) - target) * each.spacing_krc_mm)
                assert 5 < apart < 40
    assert seen >= 6


def test_nothing_is_planted_where_it_is_to_be_avoided(lung):
    half = lung.lungs.hull.copy()
    half[:, :, half.shape[2] // 2 :] = False
    for each in several(replace(lung, avoid=half), Renderer.A, ball(10), 6):
        k, r, c = np.argwhere(each.labels == 1).mean(axis=0) + each.origin_krc
        assert not half[tuple(np.rint(lung.lungs.grid.from_volume((k, r, c))).astype(int))]
    with pytest.raises(NoRoom):
        compose(ball(10), [], replace(lung, avoid=lung.lungs.hull), Renderer.A, np.random.default_rng(0))


def test_a_sham_changes_the_lung_and_labels_nothing(lung):
    rng = np.random.default_rng(3)
    for renderer in Renderer:
        each = sham(ball(14), lung, renderer, rng)
        assert each.is_sham
        assert not each.labels.any()
        assert each.nodule_type is None
        k, r, c = (round(v) for v in each.sham_centre_krc)
        assert np.any(each.hu[k, r, c] != before(each, lung)[k, r, c])
        assert np.count_nonzero(each.hu != before(each, lung)) > 100


def test_several_nodules_in_one_scan(lung):
    shapes = [ball(d) for d in (8, 12, 20, 30)]
    scan = compose_scan(shapes, lung, Renderer.B, np.random.default_rng(1))
    assert len(scan.nodules) >= 3
    assert scan.volume.hu.shape == scan.labels.shape == lung.volume.hu.shape
    assert sorted(set(np.unique(scan.labels)) - {0}) == [nodule.number for nodule in scan.nodules]
    changed = np.count_nonzero(scan.volume.hu != lung.volume.hu)
    assert changed < 30 * np.count_nonzero(scan.labels)


def test_the_renderers_share_no_constant():
    def constants(module) -> set[str]:
        tree = ast.parse(inspect.getsource(module))
        tuples = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
        return {name.id for target in tuples for name in ast.walk(target) if isinstance(name, ast.Name)}

    assert len(constants(a)) > 15
    assert len(constants(b)) > 15
    assert not constants(a) & constants(b)
    assert "renderer_b" not in inspect.getsource(a)
    assert "renderer_a" not in inspect.getsource(b)


def told(composite: Composite) -> dict[str, object]:
    return {name: value for name, value in vars(composite).items() if name not in ("hu", "labels", "core")}


def test_shards_give_back_what_was_written(lung, tmp_path):
    rng = np.random.default_rng(5)
    made = [compose(ball(), [ball(8)], lung, Renderer.A, rng) for _ in range(3)]
    made.append(sham(ball(), lung, Renderer.A, rng))
    shards = Shards(tmp_path / "cache")
    assert not shards.holds(0)
    shards.write(0, made[:2])
    shards.write(1, made[2:])
    assert shards.holds(1)
    read = shards.read()
    assert len(read) == 4
    for wrote, got in zip(made, read, strict=True):
        assert np.array_equal(wrote.hu, got.hu)
        assert np.array_equal(wrote.labels, got.labels)
        assert told(wrote) == told(got)
    assert [each.seed for each in read[1:3]] == [each.seed for each in made[1:3]]
    # a cache does not change with what is known of cores: those that were made before stay valid
    cored = replace(made[0], core=made[0].labels == 1)
    Shards(tmp_path / "cored").write(0, [cored, made[1]])
    assert (tmp_path / "cored" / "00000.npz").read_bytes() == (tmp_path / "cache" / "00000.npz").read_bytes()
    assert (tmp_path / "cored" / "00000.json").read_bytes() == (tmp_path / "cache" / "00000.json").read_bytes()
    shards.clear()
    assert not shards.holds(0)
    assert len(shards.read()) == 0
