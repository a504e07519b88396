"""The figures against an outside judge (SimpleITK's filters, which share no code with ours) and by hand."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ai_engine.domain import Segment
from ai_engine.evaluation import scores

SPACING = (2.5, 0.7, 0.6)


def blob(seed: int, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """Draw a bumpy ball on a 24 x 40 x 44 grid."""
    shape = (24, 40, 44)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2) * 12
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    distance = np.sqrt(sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, SPACING, strict=True)))
    return distance + noise < radius


PAIRS = [
    (blob(1, (12, 20, 22), 8), blob(2, (12, 20, 22), 8)),
    (blob(3, (10, 18, 20), 9), blob(4, (12, 22, 24), 6)),
    (blob(5, (8, 14, 14), 5), blob(6, (16, 28, 30), 5)),
]


def image(mask: np.ndarray) -> SimpleITK.Image:
    made = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    made.SetSpacing(SPACING[::-1])
    return made


@pytest.mark.parametrize(("truth", "mask"), PAIRS)
def test_overlap_equals_simpleitk(truth, mask):
    judge = SimpleITK.LabelOverlapMeasuresImageFilter()
    judge.Execute(image(mask), image(truth))
    ours = scores.overlap(truth, mask)
    assert ours.dice == pytest.approx(judge.GetDiceCoefficient())
    assert ours.iou == pytest.approx(judge.GetJaccardCoefficient())
    assert 1 - ours.precision == pytest.approx(judge.GetFalseDiscoveryRate())
    assert 1 - ours.recall == pytest.approx(judge.GetFalseNegativeError())


@pytest.mark.parametrize(("truth", "mask"), PAIRS)
def test_surface_distances_equal_simpleitk(truth, mask):
    """Contours by LabelContour, distances by Danielsson's exact map: as in SimpleITK's own segmentation notebook."""
    distances = []
    for one, other in ((truth, mask), (mask, truth)):
        contour = SimpleITK.GetArrayFromImage(SimpleITK.LabelContour(image(one), False)).astype(bool)
        other_contour = SimpleITK.LabelContour(image(other), False)
        far = SimpleITK.DanielssonDistanceMap(other_contour, inputIsBinary=True, useImageSpacing=True)
        distances.append(SimpleITK.GetArrayFromImage(far)[contour])
    judged = np.concatenate(distances)
    mean, p95 = scores.surface_distance_mm(truth, mask, SPACING)
    assert mean == pytest.approx(judged.mean(), abs=1e-3)
    assert p95 == pytest.approx(np.percentile(judged, 95), abs=1e-3)


@pytest.mark.parametrize(("truth", "mask"), PAIRS)
def test_the_largest_surface_distance_is_the_hausdorff_distance(truth, mask):
    judge = SimpleITK.HausdorffDistanceImageFilter()
    judge.Execute(image(truth), image(mask))
    assert scores.surface_distances_mm(truth, mask, SPACING).max() == pytest.approx(
        judge.GetHausdorffDistance(), abs=1e-3
    )


def test_two_boxes_by_hand():
    """2 x 4 x 4 = 32 voxels, moved by two columns: 16 common."""
    truth, mask = (np.zeros((4, 8, 8), dtype=bool) for _ in range(2))
    truth[1:3, 2:6, 1:5] = True
    mask[1:3, 2:6, 3:7] = True
    ours = scores.overlap(truth, mask)
    assert (ours.dice, ours.iou, ours.precision, ours.recall) == (0.5, 16 / 48, 0.5, 0.5)
    mask[1:3, 2:6, 1:7] = True  # half as large again
    assert scores.volume_error(truth, mask) == 0.5
    assert scores.overlap(truth, mask).recall == 1


def test_a_plane_moved_by_one_slice_is_one_slice_away():
    truth, mask = (np.zeros((6, 5, 5), dtype=bool) for _ in range(2))
    truth[2] = mask[3] = True
    assert scores.surface_distance_mm(truth, mask, SPACING) == (2.5, 2.5)


def test_a_mask_that_touches_the_border_of_its_array_has_a_surface_there():
    whole = np.ones((3, 3, 3), dtype=bool)
    smaller = whole.copy()
    smaller[2] = False
    # of 26 surface voxels the 9 of the third slice are 1 away; of the other's 18 the one in the middle of the whole
    assert sorted(scores.surface_distances_mm(whole, smaller, (1, 1, 1))) == [0.0] * 34 + [1.0] * 10


def test_the_diameter_error_is_that_of_the_report():
    """Discs of 10 and 14 mm radius, sampled at 0.25 mm: 20 and 28 mm wide."""
    axis = np.arange(-64, 65) * 0.25
    distance = np.hypot(axis[:, None], axis[None])
    truth, mask = (distance[None] <= radius for radius in (10, 14))
    assert scores.diameter_mm(truth, (1, 0.25, 0.25)) == pytest.approx(20, abs=0.3)
    assert scores.diameter_error_mm(truth, mask, (1, 0.25, 0.25)) == pytest.approx(8, abs=0.3)


def test_an_empty_mask_scores_nothing_and_an_empty_truth_is_refused():
    truth = np.ones((1, 2, 2), dtype=bool)
    assert scores.overlap(truth, ~truth) == scores.Overlap(0, 0, 0, 0)
    with pytest.raises(ValueError, match="empty"):
        scores.overlap(~truth, truth)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(0, 6)] * 3), st.tuples(*[st.integers(0, 6)] * 3))
def test_segments_are_scored_as_on_the_whole_grid(seed, at, other_at):
    rng = np.random.default_rng(seed)
    segments = [Segment(rng.random(tuple(rng.integers(1, 6, 3))) < 0.6, origin) for origin in (at, other_at)]
    filled = [
        Segment(segment.mask | True, segment.origin_krc) if not segment.mask.any() else segment for segment in segments
    ]
    one, other = filled
    whole = [segment.on((14, 14, 14)) for segment in (one, other)]
    assert scores.overlap(*scores.together(one, other)) == scores.overlap(*whole)
    ours = scores.surface_distances_mm(*scores.together(one, other), SPACING)
    assert ours == pytest.approx(scores.surface_distances_mm(*whole, SPACING))
