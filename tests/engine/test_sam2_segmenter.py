"""The stage: candidates and prompts become masks, with a confidence; a stand-in sees what is bright."""

import sys
from dataclasses import replace
from subprocess import run

import numpy as np
import pytest
from scipy import ndimage

from ai_engine.domain import BoxPrompt, Candidate, Channel, ClinicalContext, CtVolume, PointPrompt, Segment
from ai_engine.engine import Engine
from ai_engine.errors import EmptySegment, PromptOutside
from ai_engine.geometry import krc_to_lps_mm, lps_mm_to_krc
from ai_engine.lungs import ThresholdLungs
from ai_engine.sam2.segmenter import Sam2Segmenter, near_lungs
from ai_engine.scene import Scene, scene_of
from ai_engine.stages import Tier, weight_free
from tests.support.plain_thorax import plain_thorax, turned
from tests.support.sam2 import bright, by_chance

NOBODY = ClinicalContext()
TWELVE, NINE = (60.0, 10.0, -10.0, 12.0), (-75.0, -20.0, 15.0, 9.0)
SEGMENTER = Sam2Segmenter(bright, "none")


def tier() -> Tier:
    return replace(weight_free(), family="bundled", segmenter=SEGMENTER)


@pytest.fixture(scope="module")
def chest() -> CtVolume:
    return plain_thorax([TWELVE, NINE])


@pytest.fixture(scope="module")
def scene(chest: CtVolume) -> Scene:
    return scene_of(chest, ThresholdLungs().find(chest))


def voxel(volume: CtVolume, ball: tuple[float, float, float, float]) -> tuple[float, float, float]:
    k, r, c = lps_mm_to_krc(volume.affine, ball[:3])
    return float(k), float(r), float(c)


def truth(volume: CtVolume, ball: tuple[float, float, float, float]) -> np.ndarray:
    at = krc_to_lps_mm(volume.affine, np.moveaxis(np.indices(volume.hu.shape), 0, -1))
    return np.linalg.norm(at - ball[:3], axis=-1) <= ball[3] / 2


def dice(volume: CtVolume, segment: Segment, ball: tuple[float, float, float, float]) -> float:
    mask, true = segment.on(volume.hu.shape), truth(volume, ball)
    return float(2 * (mask & true).sum() / (mask.sum() + true.sum()))


@pytest.mark.parametrize("off_mm", [0.0, 2.5])
@pytest.mark.parametrize("ball", [TWELVE, NINE])
def test_a_candidate_becomes_the_ball_that_it_lies_on(chest, scene, ball, off_mm):
    centre = np.array(voxel(chest, ball)) + off_mm / np.array(chest.spacing_krc_mm)
    segment = SEGMENTER.segment(scene, Candidate(tuple(centre), ball[3], 1.0, Channel.SOLID))
    assert dice(chest, segment, ball) > 0.85
    assert segment.confidence is not None
    assert segment.confidence > 0.8
    assert not segment.is_doubtful


def test_what_only_some_prompts_find_and_nothing_else_agrees_with_is_doubtful(chest, scene):
    k, r, c = voxel(chest, NINE)
    beside = BoxPrompt(round(k), (r - 1, c - 1), (r + 3, c + 5))  # the ball's middle is just inside
    loose = replace(SEGMENTER, other=Sam2Segmenter(_nothing, "none"))
    sure, unsure = SEGMENTER.outline(scene, beside), loose.outline(scene, beside)
    assert unsure.confidence < sure.confidence
    assert unsure.is_doubtful


def _nothing():
    raise EmptySegment("nothing")


def test_no_object_under_the_prompt_is_no_segment(chest, scene):
    k, r, c = voxel(chest, TWELVE)
    with pytest.raises(EmptySegment):
        SEGMENTER.outline(scene, BoxPrompt(round(k), (r + 25, c - 6), (r + 37, c + 6)))
    with pytest.raises(EmptySegment):
        SEGMENTER.segment(scene, Candidate((k, r + 30, c), 10.0, 1.0, Channel.SOLID))


def test_the_same_candidate_gives_the_same_segment(chest, scene):
    candidate = Candidate(voxel(chest, TWELVE), 12.0, 1.0, Channel.SOLID)
    one, two = (Sam2Segmenter(bright, "none").segment(scene, candidate) for _ in range(2))
    assert one.confidence == two.confidence
    assert one.origin_krc == two.origin_krc
    assert np.array_equal(one.mask, two.mask)


@pytest.mark.slow
def test_near_the_lungs_is_their_hull_and_a_little_more(scene):
    shape = scene.volume.hu.shape
    hull, more = near_lungs(scene, (0, 0, 0), shape, 0.0), near_lungs(scene, (0, 0, 0), shape, 3.0)
    far_mm = ndimage.distance_transform_edt(~hull, sampling=scene.volume.spacing_krc_mm)
    assert more[far_mm < 1.5].all()
    assert not more[far_mm > 4.5].any()
    part = near_lungs(scene, (10, 40, 30), (6, 50, 40), 3.0)
    assert np.array_equal(part, more[10:16, 40:90, 30:70])


@pytest.mark.slow
@pytest.mark.parametrize("flips", [((False, False, False), False), ((True, False, True), True)])
def test_the_engine_outlines_what_a_person_points_at_however_the_slices_were_written(chest, flips):
    volume = turned(chest, *flips)
    k, r, c = (round(i) for i in voxel(volume, NINE))
    for prompt in (PointPrompt(k, r, c), BoxPrompt(k, (r - 7.0, c - 7.0), (r + 7.0, c + 7.0))):
        engine = Engine(tier=tier()).prompted(prompt)
        (finding,) = engine.analyse(volume, NOBODY).findings
        assert dice(volume, finding.segment, NINE) > 0.85
        assert finding.candidate.prompt == prompt
        assert "person" in engine.algorithm.stages["candidates"]


def test_a_prompt_outside_of_the_volume_is_refused(chest):
    with pytest.raises(PromptOutside, match=r"point 400,10,10 is not in these images: \d+ slices"):
        Engine(tier=tier()).prompted(PointPrompt(400, 10, 10)).analyse(chest, NOBODY)


@pytest.mark.slow
def test_findings_carry_their_confidence_and_progress_moves_with_each(chest):
    told: list[tuple[str, float]] = []
    analysis = Engine(tier=tier()).analyse(chest, NOBODY, lambda stage, fraction: told.append((stage, fraction)))
    assert len(analysis.findings) == 2
    assert all(finding.segment.confidence > 0.8 for finding in analysis.findings)
    within = [fraction for stage, fraction in told if stage == "segmentation"]
    assert len(set(within)) >= 2
    assert within == sorted(within)


def test_the_digest_follows_the_weights_and_the_prompt_and_not_the_place_of_a_file():
    plain = Engine(tier=tier())
    moved = Engine(tier=replace(tier(), segmenter=Sam2Segmenter(by_chance, "none")))
    other = Engine(tier=replace(tier(), segmenter=Sam2Segmenter(bright, "others")))
    assert plain.algorithm.digest == moved.algorithm.digest
    assert (
        len({plain.algorithm.digest, other.algorithm.digest, plain.prompted(PointPrompt(1, 2, 3)).algorithm.digest})
        == 3
    )


@pytest.mark.slow
def test_no_torch_before_the_first_candidate():
    code = "import sys, dicom_node.node; assert not {'torch', 'sam2', 'safetensors'} & set(sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("most", "regions"), [(2.0, 1), (9.0, 2)])
def test_a_mask_that_leaks_does_not_make_the_next_box(chest, scene, most, regions):
    small = Candidate(voxel(chest, TWELVE), 4.0, 1.0, Channel.SOLID)  # the ball is three times as wide as this says
    loaded = bright()
    Sam2Segmenter(lambda: loaded, "none", most_refined=most).segment(scene, small)
    slices_of_one = len(SEGMENTER.boxes.slices(BoxPrompt(15, (0, 0), (3, 3)), chest.spacing_krc_mm, 40))
    assert (loaded.network.encoded > slices_of_one) == (regions > 1)
