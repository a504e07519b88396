"""Candidates are matched with the truth as LUNA16 does; the tables and pictures say what came out."""

import numpy as np
import pytest

from ai_engine.candidates import Proposer
from ai_engine.candidates.merging import merged, with_scores
from ai_engine.domain import Candidate, Channel, CtVolume, NoduleType
from ai_engine.engine import Engine
from ai_engine.evaluation.detection import (
    OWN,
    Exam,
    OwnScore,
    Standing,
    Truth,
    judged,
    matched,
    proposed,
)
from ai_engine.evaluation.detection_gathering import Gathered, Search
from ai_engine.evaluation.detection_pictures import file_name, picture_of
from ai_engine.evaluation.detection_report import DetectionReport, as_json
from ai_engine.evaluation.detection_tables import markdown
from ai_engine.evaluation.domain import Case, Lesion
from ai_engine.evaluation.domain import Truth as OutlinedBy
from ai_engine.evaluation.reported import as_plain, reported, section
from ai_engine.evaluation.scores import segment_of
from tests.support.plain_thorax import plain_thorax

# Spacing 2, 1, 1 mm.
EMPTY = CtVolume(np.zeros((20, 40, 40), dtype=np.int16), np.diag([2.0, 1.0, 1.0, 1.0]))


def at(k: float, r: float, c: float, diameter_mm: float = 6.0) -> Candidate:
    return Candidate((k, r, c), diameter_mm, 1.0, Channel.SOLID)


def truth(k_mm: float, r_mm: float, c_mm: float, standing: Standing = Standing.TARGET) -> Truth:
    return Truth(f"{k_mm}", (k_mm, r_mm, c_mm), 4.0, 8.0, NoduleType.SOLID, standing)


def test_hits_second_hits_and_what_is_ignored():
    exam = Exam("lung", "scan", EMPTY, (truth(20, 10, 10), truth(20, 30, 30, Standing.IGNORED), truth(4, 4, 4)))
    candidates = [
        at(10, 10, 13.9),  # 3.9 mm off: a hit
        at(11.5, 10, 10),  # 3 mm off, as slices are 2 mm apart: a hit of the same nodule, better
        at(10, 10, 14),  # 4.0 mm off: no hit
        at(10, 30, 31),  # on what is ignored
        at(12.1, 10, 10),  # 4.2 mm off
    ]
    searched = matched(exam, candidates, [0.3, 0.6, 0.9, 0.8, 0.1])
    assert [target.score for target in searched.targets] == [0.6, None]
    assert searched.false_positives == (0.9, 0.1)


def test_a_candidate_between_two_nodules_hits_the_nearer_one():
    exam = Exam("lung", "scan", EMPTY, (truth(20, 10, 10), truth(20, 10, 15)))
    searched = matched(exam, [at(10, 10, 13)], [1.0])
    assert [target.score for target in searched.targets] == [None, 1.0]


def test_without_truth_or_candidates_nothing_is_hit():
    assert matched(Exam("lung", "scan", EMPTY, ()), [at(1, 1, 1)], [0.5]).false_positives == (0.5,)
    searched = matched(Exam("lung", "scan", EMPTY, (truth(20, 10, 10),)), [], [])
    assert searched.targets[0].score is None
    assert searched.false_positives == ()


def kept(candidates: list[Candidate], *scores: float) -> list[tuple[int, float, float]]:
    """Give the columns (mm), scores and diameters of what is left, on voxels of 2 x 1 x 1 mm."""
    left = merged(with_scores(candidates, scores), (2.0, 1.0, 1.0))
    return [(each.centre_krc[2], each.score, each.diameter_mm) for each in left]


def test_of_candidates_in_one_place_the_best_stays():
    candidates = [at(10, 10, 10), at(10, 10, 12), at(10, 10, 14.5), at(10, 30, 30, 30), at(10, 30, 39, 6)]
    assert kept(candidates, 0.5, 0.9, 0.4, 0.3, 0.2) == [(12, 0.9, 6), (30, 0.3, 30)]
    assert kept([]) == []
    assert kept([at(10, 10, 10), at(14, 10, 11)], 0.5, 0.9) == [(11, 0.9, 6), (10, 0.5, 6)], "8 mm apart along k"
    far = [at(10, 40, 10, 60), at(10, 40, 27, 60), at(10, 40, 29, 60)]
    assert kept(far, 0.9, 0.4, 0.3) == [(10, 0.9, 60), (29, 0.3, 60)], "a mass takes no more than 18 mm around"


def test_what_scores_as_a_nodule_all_along_the_rim_of_one_is_one_place_in_its_middle():
    rim = [at(10, 10, 6 * i) for i in range(5)]
    assert kept(rim, 0.9, 0.9, 0.9, 0.1, 0.1) == [(6, 0.9, 12), (18, 0.1, 6)], "from 0 to 12 mm"
    assert kept(rim, 0.9, 0.9, 0.9, 0.6, 0.6) == [(6, 0.9, 12), (18, 0.6, 6)], "18 mm from the best it ends"
    [(middle, _, wide), *_] = kept(rim, 0.99, 0.5, 0.9, 0.1, 0.1)
    # weights -ln(1 - score): 4.61, 0.69, 2.30
    assert (middle, wide) == pytest.approx((4.18, 2 * (12 - 4.18)), abs=0.02), "the surest counts most"
    assert 0 < kept(rim, 1.0, 0.9, 0.9, 0.1, 0.1)[0][0] < 3, "and not alone"
    assert kept(rim, 0.9, 0.4, 0.7, 0.1, 0.1) == [(0, 0.9, 6), (12, 0.7, 6), (24, 0.1, 6)], "nothing links them"
    assert kept(rim[:2], 0.9, 0.8) == [(0, 0.9, 6)], "what lies beside the best alone leaves it where it is"


@pytest.fixture(scope="module")
def exam() -> Exam:
    """Draw a chest with a ball in each lung, of which one is known."""
    volume = plain_thorax([(70, 10, 0, 10), (-70, -10, 20, 14)])
    k, r, c = (float(n) for n in (19.5 * 2.5, 119.5 * 1.4 + 10, 119.5 * 1.4 + 70))
    return Exam("plain", "plain 1", volume, (Truth("ball", (k, r, c), 5.0, 10.0, NoduleType.SOLID),))


@pytest.mark.slow
def test_a_scan_is_searched_and_told_of(exam):
    found = proposed(exam, Proposer())
    best = judged(exam, found, {OWN: OwnScore()})[OWN]
    assert [target.name for target in best.targets] == ["ball"]
    assert best.targets[0].score is not None


@pytest.mark.slow
def test_a_scan_is_reported_as_the_node_would(exam, tmp_path):
    ball = np.zeros(exam.volume.hu.shape, dtype=bool)
    ball[17:22, 122:131, 165:174] = True
    lesion = Lesion("ball", NoduleType.SOLID, (OutlinedBy("reader 1", segment_of(ball)),))
    scan = reported(Case("plain/1", exam.volume, (lesion,)), Engine(), "nobody")
    assert [each.lesions for each in scan.findings].count(("ball",)) == scan.untouched == 1
    number = next(n for n, each in enumerate(scan.findings, start=1) if not each.lesions)
    other = scan.findings[number - 1]
    near = np.array(other.candidate.centre_krc) * exam.volume.spacing_krc_mm
    assert np.linalg.norm(near - np.array([19.5 * 2.5 + 20, 119.5 * 1.4 - 10, 119.5 * 1.4 - 70])) < 7
    image = picture_of(scan, number)
    image.save(tmp_path / file_name(scan, number))
    assert [path.name for path in tmp_path.iterdir()] == [f"plain-1-0{number}.png"]
    reddish = np.array(image)[..., 0].astype(int) - np.array(image)[..., 2]
    assert (reddish[:, :320] > 100).sum() == 0
    assert (reddish[:, 320:] > 100).sum() > 50, "it is outlined"
    page = "\n\n".join(section([scan]))
    assert f"| plain/1 | nobody | ball | no. {3 - number}, " in page
    assert f"| plain/1 | {number} | {other.candidate.score:.4g} |" in page
    assert [len(each["lesions"]) for each in as_plain(scan)["findings"]] == [
        int(bool(e.lesions)) for e in scan.findings
    ]


@pytest.mark.slow
def test_the_report_holds_every_lung_stage_and_real_lesion(exam):
    gathered = Gathered(Search(Proposer()))
    scorers = {OWN: OwnScore()}
    before = gathered.add_planted(exam, "A", scorers)
    gathered.add_worse("blurred", exam, before, scorers)
    gathered.add_real(exam, scorers)
    report = DetectionReport(
        "emerald evaluate detection",
        gathered.facts(),
        gathered.proposed,
        gathered.scored,
        gathered.worse,
        gathered.real,
    )
    page = markdown(report)
    assert "| plain | 1 | 1 | 1.000 | 1.000 | 1.000 | 1.000 |" in page
    assert "| solid | - | - | 1.000 (1) | - | - |" in page
    assert f"| blurred | {OWN} | 1 | 1.000 | 1.000 |" in page
    assert "| found |" in page
    plain = as_json(report)
    assert plain["figures"][OWN]["6 mm and more"]["4"] == 1.0
    assert plain["real"][0]["targets"][0]["name"] == "ball"
