"""What is asked in words, and how what comes back is counted."""

from itertools import chain

import numpy as np
import pytest

from ai_engine.candidates import Proposer
from ai_engine.clip import facts as clip_facts
from ai_engine.clip import wordings
from ai_engine.clip.prompt import understand
from ai_engine.clip.scorer import Described, Selected
from ai_engine.clip.vocabulary import of_wordings
from ai_engine.domain import Laterality, Location, NoduleType, Zone
from ai_engine.evaluation.detection import Exam, Truth, hits, proposed
from ai_engine.evaluation.froc import Searched, Target
from ai_engine.evaluation.language import About, Answered, Asked, Planted, answered, figures
from ai_engine.evaluation.language_prompts import KINDS, asked_of
from ai_engine.evaluation.language_report import LanguageReport, as_json, markdown
from ai_engine.segment import RegionGrowing
from tests.support.plain_thorax import plain_thorax

WORDS = of_wordings()
ALL = asked_of(WORDS)
UPPER = Location(Laterality.RIGHT, Zone.UPPER)


def planted(kind: NoduleType, diameter_mm: float = 12.0, location: Location = UPPER, lung: str = "site-a") -> Planted:
    facts = clip_facts.of_nodule(kind, diameter_mm, None)
    return Planted(f"{kind} {diameter_mm}", lung, "B", str(kind), facts, diameter_mm, location)


def test_every_wording_that_is_asked_is_new_and_understood() -> None:
    taught = [phrase for group in (wordings.BEFORE, wordings.AFTER) for said in group.values() for phrase in said]
    for asked in ALL:
        if asked.about is About.TYPE:
            said = next(
                phrase
                for claim in asked.claims
                if claim in wordings.HELD_OUT
                for phrase in chain(*wordings.HELD_OUT[claim])
                if phrase in asked.wording
            )
            assert not [phrase for phrase in taught if said in phrase], said
        assert not WORDS.unknown(asked.prompt.words)


def test_each_kind_is_asked_for_in_every_new_pattern() -> None:
    for kind in KINDS:
        texts = [asked.prompt.text for asked in ALL if asked.about is About.TYPE and asked.meaning == kind]
        for pattern in wordings.HELD_OUT_PATTERNS:
            assert any(text.startswith(pattern.split("{")[0]) for text in texts)


def asked(text: str, kind: str | None = None) -> Asked:
    claims = frozenset() if kind is None else frozenset({KINDS[kind]})
    return Asked(About.SEVERAL, text, text, understand(text, WORDS), claims)


@pytest.mark.parametrize(
    ("nodule", "is_meant"),
    [
        (planted(NoduleType.GROUND_GLASS), True),
        (planted(NoduleType.SOLID), False),
        (planted(NoduleType.GROUND_GLASS, diameter_mm=9), False),
        (planted(NoduleType.GROUND_GLASS, location=Location(Laterality.LEFT, Zone.UPPER)), False),
    ],
)
def test_a_nodule_is_meant_where_words_size_and_place_are_true_of_it(nodule: Planted, is_meant: bool) -> None:
    prompt = asked("ground-glass nodules in the right upper lobe over 10 mm", "ground-glass")
    assert nodule.is_meant(prompt) is is_meant


def test_precision_and_recall_count_what_was_meant_and_what_was_selected() -> None:
    prompt = asked("ground-glass nodules", "ground-glass")
    glass, solid = planted(NoduleType.GROUND_GLASS), planted(NoduleType.SOLID)
    answers = [
        Answered(glass, 8.0, frozenset({0}), (1.0,)),
        Answered(glass, 8.0, frozenset(), (-1.0,)),
        Answered(solid, 8.0, frozenset({0}), (1.0,)),
        Answered(solid, 8.0, frozenset(), (-1.0,)),
        Answered(solid, 8.0, frozenset({0}), (1.0,)),
    ]
    found = figures({0: prompt}, answers)
    assert (found.n_meant, found.n_selected, found.n_both) == (2, 3, 1)
    assert found.recall == 0.5
    assert found.precision == pytest.approx(1 / 3)
    assert figures({0: prompt}, []).precision is None


class Asking:
    """Stands for a scorer: ranks all alike, and selects by size and place alone."""

    def score(self, scene, candidates):  # type: ignore[no-untyped-def]
        return np.zeros(len(candidates))

    def closely(self, views, findings):  # type: ignore[no-untyped-def]
        return np.zeros((len(findings), 1))

    def chosen(self, vectors, findings: list[Described], prompt):  # type: ignore[no-untyped-def]
        return [Selected(0.0, True, prompt.allows(each.diameter_mm, each.location)) for each in findings]


@pytest.fixture(scope="module")
def exam() -> Exam:
    """Draw a chest with a ball of 10 mm and one of 20 mm."""
    volume = plain_thorax([(70, 10, 0, 10), (-70, -10, 20, 20)])
    places = {"small": (48.75, 177.3, 237.3), "large": (68.75, 157.3, 97.3)}
    sizes = {"small": 10.0, "large": 20.0}
    truths = [Truth(name, place, sizes[name] / 2, sizes[name], NoduleType.SOLID) for name, place in places.items()]
    nowhere = Truth("nowhere", (10.0, 10.0, 10.0), 5.0, 10.0, NoduleType.SOLID)
    return Exam("plain", "plain 1", volume, (*truths, nowhere))


@pytest.mark.slow
def test_the_best_candidate_on_each_nodule_is_its_hit(exam: Exam) -> None:
    found = proposed(exam, Proposer())
    scores = np.arange(len(found.candidates), dtype=float)
    best = hits(exam, found.candidates, scores)
    assert set(best) == {"small", "large"}
    searched = {target.name: target.score for target in found.searched.targets}
    assert searched["nowhere"] is None
    for name, i in best.items():
        off = np.array(found.candidates[i].centre_krc) * exam.volume.spacing_krc_mm
        truth = next(truth for truth in exam.truths if truth.name == name)
        assert np.linalg.norm(off - truth.centre_mm) < truth.radius_mm


@pytest.mark.slow
def test_prompts_are_asked_of_what_the_node_itself_outlines(exam: Exam) -> None:
    truths = {name: planted(NoduleType.SOLID, size) for name, size in (("small", 10.0), ("large", 20.0))}
    prompts = [asked("nodules over 15 mm"), asked("nodules in the left lung")]
    found = list(
        answered(exam, proposed(exam, Proposer()), Asking(), RegionGrowing(), prompts, truths)  # type: ignore[arg-type]
    )
    by_size = {answer.planted.diameter_mm: answer.selected for answer in found}
    assert by_size == {10.0: {1}, 20.0: {0}}, "x = 70 mm is the left"
    assert all(answer.measured_mm == pytest.approx(answer.planted.diameter_mm, abs=1.5) for answer in found)


def test_the_report_has_a_row_for_each_wording_and_way_to_rank() -> None:
    glass, solid = planted(NoduleType.GROUND_GLASS), planted(NoduleType.SOLID, lung="site-b")
    right = frozenset(n for n, each in enumerate(ALL) if glass.is_meant(each))
    answers = [
        Answered(glass, glass.diameter_mm + 1.5, right, ()),
        Answered(solid, 8.0, frozenset(range(len(ALL))), ()),
    ]
    scans = [Searched("site-a", "1", (Target("1", NoduleType.SOLID, 8.0, 0.9),), (0.5, 0.1))]
    report = LanguageReport("emerald evaluate text", {}, ALL, answers, {"calcified": 2}, {"text": scans})
    page = markdown(report)
    wordings_asked = {each.wording for each in ALL if each.about is About.TYPE}
    assert all(f"| {wording} |" in page for wording in wordings_asked)
    assert "| ground-glass | faint hazy lung nodules | 1 | 0.50 | 1.00 | missed | 1.00 | - | 1.00 | - |" in page
    assert "Without a candidate, and counted nowhere below: 2 calcified." in page
    assert f"| {glass.lung} (1) | +1.5 | - |" in page
    assert "| text | 1 | 1.000 | 1.000 | 1.000 | 1.000 |" in page
    told = as_json(report)
    assert told["prompts"][0]["n_selected"] == len([a for a in answers if 0 in a.selected])
    assert told["nodules"][0]["kind"] == "ground-glass"
