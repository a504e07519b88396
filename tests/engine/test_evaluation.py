"""Subjects made of composites, matching, prompts off target, confidence and the tables, on a lung with two balls."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import ndimage

from ai_engine.composites.domain import Composite, Renderer
from ai_engine.domain import CtVolume, NoduleType, Segment
from ai_engine.errors import EmptySegment
from ai_engine.evaluation import baselines, crops, tables
from ai_engine.evaluation.composed import Composed
from ai_engine.evaluation.confidence import confidence_figures
from ai_engine.evaluation.contestants import Contestant, contestant
from ai_engine.evaluation.domain import Material, Protocol, Row, Subject
from ai_engine.evaluation.following import empty_box, on_distractor, on_empty_lung
from ai_engine.evaluation.prompts import BoxPrompt
from ai_engine.evaluation.report import Report, as_json, band_of, bands
from ai_engine.evaluation.scores import score
from ai_engine.evaluation.segmentation import answer, box_rows, detections, match, rng_of, rows_of
from ai_engine.grid import grid_over
from ai_engine.lungs import Lungs
from ai_engine.stages import weight_free

SPACING = (1.25, 0.7, 0.7)
SERIES = (90, 200, 200)
ORIGIN = (15, 40, 50)
SHAPE = (64, 120, 120)
TARGET, DISTRACTOR = ((32, 60, 50), 6.0), ((30, 60, 88), 5.0)


def ball(centre: tuple[int, int, int], radius_mm: float) -> np.ndarray:
    axes = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    return sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, SPACING, strict=True)) <= radius_mm**2


@pytest.fixture(scope="module")
def lungs() -> Lungs:
    """Lung everywhere in the series but for its first 60 mm along c."""
    grid = grid_over(SERIES, SPACING, 2.0)
    sides = np.zeros(grid.shape, dtype=np.uint8)
    sides[:, :, 30:] = 1
    return Lungs(grid, sides, sides > 0, ())


@pytest.fixture(scope="module")
def composite() -> Composite:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    hu = np.full(SHAPE, -860.0)
    for number, where in enumerate((TARGET, DISTRACTOR), start=1):
        labels[ball(*where)] = number
        hu[ball(*where)] = 20
    hu = ndimage.gaussian_filter(hu, 0.6) + np.random.default_rng(0).normal(0, 20, SHAPE)
    return Composite(
        hu=hu.astype(np.int16),
        labels=labels,
        spacing_krc_mm=SPACING,
        renderer=Renderer.B,
        nodule_type=NoduleType.SOLID,
        diameter_mm=12.0,
        patient_id="LIDC-IDRI-0005",
        annotation_id=7,
        lung="a-lung",
        seed=3,
        origin_krc=ORIGIN,
    )


@pytest.fixture(scope="module")
def subject(composite, lungs) -> Subject:
    made = crops.subject_of(composite, crops.crop_of(composite, lungs))
    assert made is not None
    return made


WEIGHT_FREE = contestant(weight_free())


# crops


def test_a_crop_has_the_lungs_of_its_place_in_the_series(composite, lungs):
    crop = crops.crop_of(composite, lungs)
    border = 30 * 2.0 / SPACING[2] - ORIGIN[2]  # in voxels of the crop
    at = crop.lungs.grid.to_volume(np.argwhere(crop.lungs.hull))
    assert at[:, 2].min() == pytest.approx(border, abs=1.5)
    assert at[:, 2].max() > SHAPE[2] - 4


def test_a_composite_that_does_not_say_where_it_lies_is_refused(composite, lungs):
    with pytest.raises(ValueError, match="where in a-lung"):
        crops.crop_of(replace(composite, origin_krc=None), lungs)


def test_only_whole_distractors_are_prompted(composite, lungs):
    labels = composite.labels.copy()
    labels[:, :3, :3] = 3
    made = crops.subject_of(composite, replace(crops.crop_of(composite, lungs), labels=labels))
    assert len(made.distractors) == 1
    assert np.array_equal(made.distractors[0].on(SHAPE), labels == 2)


@pytest.mark.parametrize("step_mm", [0.8, 2.5, 5.0])
def test_other_slices_hold_the_same_nodule_at_the_same_place(composite, lungs, step_mm):
    crop = crops.crop_of(composite, lungs)
    worse = crops.sliced(step_mm)(crop, np.random.default_rng(0))
    assert worse.spacing_krc_mm == (step_mm, *SPACING[1:])

    def millimetres(labels, spacing):
        places = np.add(np.argwhere(labels == 1), (0.5, 0, 0)) * spacing
        return places.mean(axis=0), len(places) * np.prod(spacing)

    centre, volume = millimetres(worse.labels, worse.spacing_krc_mm)
    was, volume_was = millimetres(crop.labels, SPACING)
    assert centre == pytest.approx(was, abs=0.7)
    assert volume == pytest.approx(volume_was, rel=0.05)
    # the hull did not move either: a point of the lungs' grid lies at the same height above the crop's lower end
    (k_was, _, _), (k, _, _) = (each.lungs.grid.to_volume((10, 0, 0)) for each in (crop, worse))
    assert (k + 0.5) * step_mm == pytest.approx((k_was + 0.5) * SPACING[0])


def test_slices_of_the_same_thickness_are_the_same_slices(composite, lungs):
    crop = crops.crop_of(composite, lungs)
    same = crops.sliced(SPACING[0])(crop, np.random.default_rng(0))
    assert np.array_equal(same.hu, crop.hu)
    assert np.array_equal(same.labels, crop.labels)


def test_what_lies_between_thick_slices_is_no_subject(composite, lungs):
    crop = crops.crop_of(composite, lungs)
    labels = np.zeros_like(composite.labels)
    labels[20, 60, 60] = 1
    assert (
        crops.subject_of(composite, crops.sliced(5.0)(replace(crop, labels=labels), np.random.default_rng(0))) is None
    )


def test_sharper_blurred_and_noisy_are_what_they_say(composite, lungs):
    crop = crops.crop_of(composite, lungs)

    def spread_hu(change) -> float:
        return float(change(crop, np.random.default_rng(5)).hu[:15].std())

    was = float(crop.hu[:15].std())
    assert spread_hu(crops.blurred) < 0.5 * was < was < spread_hu(crops.sharpened)
    assert spread_hu(crops.noisy) == pytest.approx(np.hypot(was, 60), rel=0.03)


# rows


def test_the_rows_of_a_subject(subject):
    rows = list(rows_of(subject, [WEIGHT_FREE], detections(subject.scene, [WEIGHT_FREE]), seed=1))
    by_line = {(row.protocol, row.contestant): row for row in rows}
    assert len(by_line) == len(rows) == 7
    for protocol in (Protocol.OWN, Protocol.BOX, Protocol.POINT):
        assert by_line[protocol, "weight-free"].dice > 0.85
    assert by_line[Protocol.BASELINE, baselines.IN_TRUTH_BOX].dice > 0.95  # the truth is a ball
    assert all(row.diameter_mm == pytest.approx(12, abs=0.5) for row in rows)


def test_every_contestant_gets_the_same_box(subject):
    seen = []

    @dataclass(frozen=True)
    class Spy:
        def outline(self, scene, prompt):
            seen.append(prompt)
            raise EmptySegment("a spy says nothing")

    spies = [Contestant(name, WEIGHT_FREE.tier, Spy()) for name in "ab"]
    rows = [row for spy in spies for row in box_rows(subject, spy, rng_of(subject, 1))]
    assert seen[0] == seen[1]
    assert [row.dice for row in rows] == [0, 0]
    assert not any(row.found for row in rows)


def test_of_several_findings_that_are_near_enough_the_one_that_overlaps_most_counts(subject):
    truth = subject.lesion.truths[0].segment
    core = Segment(ndimage.binary_erosion(truth.mask, iterations=3), truth.origin_krc)
    k, r, c = truth.origin_krc
    beside = Segment(truth.mask, (k, r, c + truth.mask.shape[2] // 2 + 1))  # overlaps, but its centre is a radius away
    assert match(subject, [core, truth]) is truth
    assert match(subject, [core, beside]) is core
    assert match(subject, [beside]) is None
    assert match(subject, []) is None


# prompts off target


def test_a_box_on_the_other_nodule_segments_that_one(subject):
    assert on_distractor(subject, WEIGHT_FREE, np.random.default_rng(0)) == (True, False)


def test_a_segmenter_that_ignores_its_prompt_is_caught(subject):
    truth = subject.lesion.truths[0].segment

    @dataclass(frozen=True)
    class Stubborn:
        def outline(self, scene, prompt):
            return truth

    stubborn = Contestant("stubborn", WEIGHT_FREE.tier, Stubborn())
    assert on_distractor(subject, stubborn, np.random.default_rng(0)) == (False, True)
    assert on_empty_lung(subject, stubborn, np.random.default_rng(0)) is False


def test_empty_boxes_lie_in_lung_and_hold_no_nodule(subject):
    labels = subject.lesion.truths[0].segment.on(SHAPE) | subject.distractors[0].on(SHAPE)
    for seed in range(20):
        box = empty_box(subject.scene, np.random.default_rng(seed))
        (r0, c0), (r1, c1) = np.ceil(box.low_rc).astype(int), np.floor(box.high_rc).astype(int)
        assert not labels[box.k, r0 : r1 + 1, c0 : c1 + 1].any()
        assert c0 * SPACING[2] >= 60 - ORIGIN[2] * SPACING[2]
        assert box.side_mm(SPACING) == pytest.approx(10)


def test_where_there_is_no_room_there_is_no_empty_box(subject):
    full = replace(subject.scene, fine=replace(subject.scene.fine, hu=np.full_like(subject.scene.fine.hu, -100)))
    assert empty_box(full, np.random.default_rng(0)) is None


def test_an_answer_that_nothing_is_there_is_none(subject):
    air = CtVolume(np.full(SHAPE, -900, dtype=np.int16), subject.scene.volume.affine)
    scene = replace(subject.scene, volume=air)
    assert answer(replace(subject, scene=scene), WEIGHT_FREE, BoxPrompt(32, (50, 60), (64, 74))) is None


@pytest.mark.slow
def test_all_that_is_asked_of_a_composite(composite, lungs):
    composed = Composed([WEIGHT_FREE], seed=1, n_degraded=1)
    for _ in range(2):
        composed.add(composite, lungs)
    assert len(composed.rows) == 14
    assert {change: len(rows) for change, rows in composed.degraded.items()} == dict.fromkeys(crops.CHANGES, 1)
    assert composed.followed["weight-free", Material.COMPOSITES_B].n_distractors == 2
    told = as_json(report_of(composed))
    assert len(told["rows"]) == 14
    page = tables.markdown(report_of(composed))
    assert "Composites, renderer B" in page
    assert "slices of 5 mm" in page
    assert "2D visual (box): weight-free" in page


def report_of(composed: Composed) -> Report:
    return Report("a test", {}, composed.rows, composed.degraded, list(composed.followed.values()))


# confidence


def row(n_voxels: int | None, confidence: float | None = None, **more) -> Row:
    """Make a row whose mask holds this many voxels of a truth of 100 and nothing else: Dice 2 n / (100 + n)."""
    truth = Segment(np.ones((1, 10, 10), dtype=bool), (0, 0, 0))
    scores = None
    if n_voxels is not None:
        scores = score(truth, Segment((np.arange(100) < n_voxels).reshape(1, 10, 10), (0, 0, 0)), (1, 1, 1))
    values = {
        "subject": "s",
        "material": Material.DEVELOPMENT,
        "protocol": Protocol.OWN,
        "contestant": "weight-free",
        "judge": "reader 1",
        "nodule_type": None,
        "diameter_mm": 10.0,
        "found": n_voxels is not None,
    }
    return Row(**(values | more), scores=scores, confidence=confidence)


def test_confidence_by_hand():
    rows = [row(50, 0.2, is_doubtful=True), row(60, 0.5), row(100, 0.9), row(None, None)]
    figures = confidence_figures("x", rows)
    assert (figures.n, figures.flagged, figures.others) == (3, 1, 2)
    assert figures.rank_correlation == pytest.approx(1)
    assert figures.dice_of_flagged == pytest.approx(2 / 3)
    assert figures.dice_of_others == pytest.approx((0.75 + 1) / 2)
    assert confidence_figures("x", [row(60)]) is None


# tables


def test_development_cases_get_no_mean_and_each_dice():
    rows = [row(60, subject="one"), row(None, subject="two"), row(50, subject="three")]
    page = tables.markdown(Report("a test", {}, rows))
    assert "found in 2 of 3 development cases" in page
    assert "one 0.750, two missed, three 0.667" in page
    for word in ("sensitivity", "radiologist level", "±", " CI", "mean Dice"):
        assert word not in page


def test_misses_are_in_the_mean_and_beside_it_is_that_over_the_detected():
    rows = [row(60, subject=str(n), material=Material.COMPOSITES_A) for n in range(3)]
    rows.append(row(None, subject="missed", material=Material.COMPOSITES_A))
    page = tables.markdown(Report("a test", {}, rows))
    assert "| 3D own detections, misses as 0: weight-free | 4 | 0.562 |" in page
    assert "over the detected | 3 | 0.750 |" in page


def test_only_the_first_judge_of_a_subject_counts_in_a_mean():
    rows = [row(60, judge=judge, material=Material.LIDC) for judge in ("half of the readers", "reader 1")]
    assert len(Report("a test", {}, rows).of(Material.LIDC)) == 1


def test_size_bands_do_not_overlap():
    assert [band_of(value) for value in (5.9, 6.0, 7.9, 8.0, 15.0, 30.0)] == [bands()[i] for i in (0, 1, 1, 2, 3, 4)]
