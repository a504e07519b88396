"""The encoder as a stage of the engine, and prompts: what is searched, what is reported, what is refused.

Its weights are chance, so nothing here tells how well it finds: what is tested holds whatever it says.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from ai_engine.candidates import Proposer
from ai_engine.clip import weights as encoder_weights
from ai_engine.clip.patches import views_of
from ai_engine.clip.published import Published, PublishedScorer
from ai_engine.describe import faint_share
from ai_engine.domain import (
    Analysis,
    Candidate,
    Channel,
    ClinicalContext,
    CtVolume,
    Finding,
    FloatArray,
    Laterality,
    PointPrompt,
    Segment,
)
from ai_engine.engine import Engine
from ai_engine.errors import UnknownWords, WeightsCorrupt, WeightsError, WeightsMissing
from ai_engine.geometry import turn_of
from ai_engine.lungs import ThresholdLungs
from ai_engine.scene import Scene, scene_of
from ai_engine.stages import Beside, Tier, weight_free, with_encoder, with_published, without_encoder
from dicom_node.cases.lungs import read_crop
from tests.support.data import data_dir, needs_data
from tests.support.encoder import N_SCANS, PER_SCAN, encoder
from tests.support.plain_thorax import plain_thorax, turned

NOBODY = ClinicalContext()
TWELVE, NINE = (60.0, 10.0, -10.0, 12.0), (-75.0, -20.0, 15.0, 9.0)
THRESHOLD = 0.4
GLASS, NARROW = "ground-glass nodules", "ground-glass nodules in the right lung over 5 mm"
# Share of the candidates of a real scan that shall lie above the threshold.
ABOVE = 0.03


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory) -> Tier:
    """Give a tier with an encoder by chance, at any threshold."""
    return with_encoder(weight_free(), encoder(tmp_path_factory.mktemp("encoder"), THRESHOLD))


@pytest.fixture(scope="module")
def lung() -> CtVolume:
    return read_crop(data_dir() / "ct-backgrounds" / "tcga-de-a4ma.npz")


@pytest.fixture(scope="module")
def set_up(lung: CtVolume, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tier, Scene]:
    """Give a tier that keeps some candidates of the lung, about half of them ground glass to it; and the scene."""
    turned_lung = turn_of(lung).volume(lung)
    scene = scene_of(turned_lung, ThresholdLungs().find(turned_lung))
    folder, candidates = tmp_path_factory.mktemp("encoder"), Proposer().detect(scene)
    tier = with_encoder(weight_free(), encoder(folder, 0.0))
    assert tier.scoring is not None
    threshold = float(np.quantile(tier.scoring.scorer.score(scene, candidates), 1 - ABOVE))
    kept = tier.scoring.above(scene, candidates, threshold)
    middle = float(np.median(likeness(tier, scene, [each.centre_krc for each in kept])))
    return with_encoder(weight_free(), encoder(folder, threshold, bias=-middle)), scene


def likeness(tier: Tier, scene: Scene, places: Sequence[Sequence[float] | FloatArray]) -> FloatArray:
    """Likeness of places (k, r, c) to ``GLASS``, (n,)."""
    assert tier.scoring is not None
    loaded = tier.scoring.scorer.encoder
    return loaded.likeness(loaded.closely(views_of(scene.volume), places), loaded.read([GLASS]))[:, 0]


@pytest.fixture(scope="module")
def told() -> list[tuple[str, float]]:
    """Progress of ``everything``."""
    return []


@pytest.fixture(scope="module")
def everything(set_up: tuple[Tier, Scene], lung: CtVolume, told: list[tuple[str, float]]) -> Analysis:
    return Engine(tier=set_up[0]).analyse(lung, NOBODY, lambda *stage: told.append(stage))


@pytest.fixture(scope="module")
def narrow(set_up: tuple[Tier, Scene], lung: CtVolume) -> Analysis:
    return Engine(tier=set_up[0], asked=NARROW).analyse(lung, NOBODY)


def identity(finding: Finding) -> tuple[object, ...]:
    """All but the number, which is that of the report."""
    same = replace(finding, number=0)
    return (same.candidate, same.measurements, same.location, same.descriptors, same.malignancy, same.lung_rads)


@needs_data
@pytest.mark.slow
def test_a_narrow_prompt_never_changes_what_is_searched(everything: Analysis, narrow: Analysis) -> None:
    assert everything.others == ()
    assert narrow.others
    assert len(everything.findings) == len(narrow.findings) + len(narrow.others)
    found = [*narrow.findings, *narrow.others]
    assert {repr(identity(each)) for each in found} == {repr(identity(each)) for each in everything.findings}
    assert narrow.lung_rads == everything.lung_rads
    assert [each.number for each in found] == list(range(1, len(found) + 1))


@pytest.fixture(scope="module")
def likeness_by_score(set_up: tuple[Tier, Scene]) -> dict[float, float]:
    """How like the narrow prompt each finding is, told by itself, by its score: no two have the same."""
    tier, scene = set_up
    found = Engine(tier=tier).search(scene)
    likes = likeness(tier, scene, [segment.middle_krc for _, segment in found])
    return {candidate.score: float(like) for (candidate, _), like in zip(found, likes, strict=True)}


@needs_data
@pytest.mark.slow
def test_what_is_reported_is_what_was_asked_for(
    likeness_by_score: dict[float, float], everything: Analysis, narrow: Analysis
) -> None:
    assert min(likeness_by_score.values()) <= 0 < max(likeness_by_score.values())
    wanted = {
        each.detection_score
        for each in everything.findings
        if likeness_by_score[each.detection_score] > 0
        and each.location.laterality is Laterality.RIGHT
        and each.measurements.mean_diameter_mm > 5
    }
    assert {each.detection_score for each in narrow.findings} == wanted


@needs_data
@pytest.mark.slow
def test_each_finding_says_how_like_the_words_it_is(
    likeness_by_score: dict[float, float], everything: Analysis, narrow: Analysis
) -> None:
    for each in (*narrow.findings, *narrow.others):
        assert each.likeness == pytest.approx(likeness_by_score[each.detection_score], abs=1e-4)
    assert {each.likeness for each in everything.findings} == {None}


@needs_data
@pytest.mark.slow
def test_findings_score_above_the_threshold_and_are_ranked_by_volume_times_score(everything: Analysis) -> None:
    scores = [finding.detection_score for finding in everything.findings]
    assert len(scores) > 3
    by = everything.algorithm.scored_by
    assert by is not None
    assert by.threshold <= min(scores) < max(scores) < 1
    ranks = [finding.detection_score * finding.measurements.volume_mm3 for finding in everything.findings]
    assert ranks == sorted(ranks, reverse=True)


@needs_data
@pytest.mark.slow
def test_the_stage_is_named_timed_and_told_of(everything: Analysis, told: list[tuple[str, float]]) -> None:
    assert list(everything.seconds) == ["lungs", "candidates", "scoring", "segmentation", "description"]
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert ("scoring", 0.45) in told


@needs_data
@pytest.mark.slow
def test_the_same_findings_are_chosen_however_the_slices_were_written(
    set_up: tuple[Tier, Scene], lung: CtVolume, narrow: Analysis
) -> None:
    other = Engine(tier=set_up[0], asked=NARROW).analyse(turned(lung, (True, True, False)), NOBODY)
    volumes = [[round(each.measurements.volume_mm3) for each in group] for group in (narrow.findings, narrow.others)]
    assert [[round(each.measurements.volume_mm3) for each in group] for group in (other.findings, other.others)] == (
        volumes
    )


def test_the_algorithm_names_the_encoder_its_threshold_and_the_prompt(scoring: Tier) -> None:
    algorithm = Engine(tier=scoring, asked=NARROW).algorithm
    by = algorithm.scored_by
    assert by is not None
    assert (by.threshold, by.false_positives_per_scan, by.n_scans) == (THRESHOLD, PER_SCAN, N_SCANS)
    assert by.sha256[:12] in algorithm.stages["scoring"]
    assert (algorithm.prompt, algorithm.family) == (NARROW, "bundled")


@pytest.mark.parametrize(
    ("asked", "names_lobe"),
    [
        ("nodules in RUL", True),
        ("nodules in the upper lobes of the right lung", True),
        ("nodules in the right upper zone", False),
        ("lobular nodules", False),
    ],
)
def test_the_algorithm_tells_whether_a_lobe_was_understood(scoring: Tier, asked: str, names_lobe: bool) -> None:
    engine = Engine(tier=scoring, asked=asked)
    assert engine.algorithm.prompt_names_lobe is names_lobe
    assert not engine.prompted(PointPrompt(1, 2, 3)).algorithm.prompt_names_lobe


def test_a_threshold_of_the_site_has_no_false_positives_that_are_known(scoring: Tier) -> None:
    by = Engine(0.5, scoring).algorithm.scored_by
    assert by is not None
    assert (by.threshold, by.false_positives_per_scan, by.n_scans) == (0.5, None, None)


def test_the_digest_changes_with_prompt_threshold_and_weights(scoring: Tier, tmp_path: Path) -> None:
    other = with_encoder(weight_free(), encoder(tmp_path, THRESHOLD, seed=5))
    engines = (
        Engine(),
        Engine(tier=scoring),
        Engine(tier=scoring, asked=NARROW),
        Engine(0.5, scoring),
        Engine(tier=other),
    )
    assert len({engine.algorithm.digest for engine in engines}) == len(engines)


def test_what_a_person_points_at_is_neither_scored_nor_chosen(scoring: Tier) -> None:
    algorithm = Engine(tier=scoring, asked=NARROW).prompted(PointPrompt(1, 2, 3)).algorithm
    assert (algorithm.scored_by, algorithm.prompt) == (None, "")
    assert "scoring" not in algorithm.stages


@pytest.fixture(scope="module")
def chest() -> CtVolume:
    """Draw a thorax with a ball of 12 mm on the left and one of 9 mm on the right."""
    return plain_thorax([TWELVE, NINE])


@pytest.mark.parametrize(
    ("asked", "reported"),
    [
        pytest.param("lung nodule", [12, 9], marks=pytest.mark.slow),
        pytest.param("nodules over 10 mm", [12], marks=pytest.mark.slow),
        pytest.param("nodules in the right lung", [9], marks=pytest.mark.slow),
        ("nodules over 10 mm in the right lung", []),
    ],
)
def test_sizes_and_places_are_understood_without_an_encoder(chest: CtVolume, asked: str, reported: list[int]) -> None:
    analysis = Engine(asked=asked).analyse(chest, NOBODY)
    assert [round(each.measurements.mean_diameter_mm) for each in analysis.findings] == reported
    assert len(analysis.findings) + len(analysis.others) == 2


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("purple nodules", "purple"),
        ("malignant nodules", "malignant"),
        ("结节 nodules", "结节"),
        ("a " * 25 + "ground-glass nodule", "more than 24 words"),
    ],
)
def test_what_the_encoder_does_not_know_is_refused_by_name(scoring: Tier, asked: str, named: str) -> None:
    with pytest.raises(UnknownWords, match=named):
        Engine(tier=scoring, asked=asked)


def test_what_an_encoder_alone_could_tell_is_refused_without_one() -> None:
    with pytest.raises(UnknownWords, match=r"ground-glass nodules.*encoder alone"):
        Engine(asked=NARROW)


def test_signs_of_size_are_told_in_ascii() -> None:
    assert Engine(asked="nodules ≥ 6 mm").algorithm.prompt == "nodules >= 6 mm"


def test_weights_that_are_not_there_or_not_those_are_refused(tmp_path: Path) -> None:
    weights = encoder(tmp_path, THRESHOLD)
    with pytest.raises(WeightsMissing, match="nowhere"):
        with_encoder(weight_free(), encoder_weights.weights_of(tmp_path / "nowhere.safetensors", weights.sha256))
    with pytest.raises(WeightsCorrupt):
        with_encoder(weight_free(), encoder_weights.weights_of(weights.path, "0" * 64))
    assert "missing" in without_encoder(weight_free()).names["candidates"]


def test_weights_without_a_threshold_are_refused_whatever_their_training_said(tmp_path: Path) -> None:
    weights = encoder(tmp_path, THRESHOLD)
    beside = weights.path.with_suffix(".json")
    curve = {"curve": [{"thresholds": {"4": 0.9}}], "places": {"validation": {"one": 10, "two": 12}}}
    for told in ({}, curve, {"detection": None}, {"detection": {"threshold": 0.5}}):
        beside.write_text(json.dumps(told))
        with pytest.raises(WeightsError, match=r"at which threshold.*emerald train threshold"):
            with_encoder(weight_free(), weights)


def test_weights_that_lack_a_word_which_candidates_are_scored_by_are_refused(tmp_path: Path) -> None:
    path = encoder(tmp_path, THRESHOLD).path
    file = load_file(path)
    with safe_open(str(path), framework="numpy") as opened:
        header = opened.metadata()
    words = [word for word in json.loads(header["words"]) if word != "bronchus"]
    save_file(file, path, {**header, "words": json.dumps(words)})
    with pytest.raises(WeightsError, match="without words that this version scores by: bronchus"):
        encoder_weights.vocabulary_of(encoder_weights.weights_of(path, "0" * 64))


@pytest.mark.slow
def test_one_place_that_several_searches_proposed_is_one_finding(scoring: Tier, chest: CtVolume) -> None:
    analysis = Engine(0.0, scoring).analyse(chest, NOBODY)
    centres = np.array([finding.candidate.centre_krc for finding in analysis.findings]) * chest.spacing_krc_mm
    apart = np.linalg.norm(centres[:, None] - centres, axis=2) + 1e3 * np.eye(len(centres))
    assert len(centres) >= 2
    assert apart.min() >= 4


class Half(PublishedScorer):
    """Stands for a published network: gives every place one half."""

    def score(self, scene: Scene, candidates: Sequence[Candidate]) -> FloatArray:
        return np.full(len(candidates), 0.5)


def never() -> Published:
    raise AssertionError("no network is needed here")


@pytest.mark.slow
def test_a_published_network_is_shown_beside_ours_and_decides_nothing(chest: CtVolume) -> None:
    tier = replace(weight_free(), beside=Beside("published-clip", "1a2b", Half(never)))
    shown, plain = (Engine(tier=each).analyse(chest, NOBODY) for each in (tier, weight_free()))
    assert [finding.published_scores for finding in shown.findings] == 2 * [{"published-clip": 0.5}]
    assert [identity(each) for each in shown.findings] == [identity(each) for each in plain.findings]


@pytest.mark.slow
@pytest.mark.parametrize("error", [WeightsError("broken"), OSError(5, "read"), RuntimeError("shape"), MemoryError()])
def test_a_published_network_that_fails_is_logged_once_and_fails_no_job(
    chest: CtVolume, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Published:
        raise error

    engine = Engine(tier=replace(weight_free(), beside=Beside("published-clip", "1a2b", PublishedScorer(broken))))
    plain = Engine().analyse(chest, NOBODY)
    for _ in range(2):
        found = engine.analyse(chest, NOBODY)
        assert [identity(each) for each in found.findings] == [identity(each) for each in plain.findings]
        assert not any(finding.published_scores for finding in found.findings)
    (told,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "published-clip" in told.getMessage()
    assert type(error).__name__ in told.getMessage()


def test_the_algorithm_names_the_published_network_and_what_is_in_its_folder(tmp_path: Path) -> None:
    folders = [tmp_path / name / "published-clip" for name in ("one", "same", "other")]
    for folder, weights in zip(folders, (b"1", b"1", b"2"), strict=True):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(weights)
    one, same, other = (Engine(tier=with_published(weight_free(), folder)).algorithm for folder in folders)
    assert one == same
    assert one.stages["published"].startswith("published-clip (")
    assert one.stages["published"] != other.stages["published"]
    assert len({each.digest for each in (one, other, Engine().algorithm)}) == 3


class OnlyVolume:
    """All of a scene that an outline's kind is told from."""

    def __init__(self, volume: CtVolume) -> None:
        self.volume = volume


@pytest.mark.parametrize(
    ("core_mm", "share", "channel"),
    [(-1.0, (1, 1), Channel.GROUND_GLASS), (8.0, (0.6, 0.9), Channel.GROUND_GLASS), (14.4, (0, 0), Channel.SOLID)],
    ids=["ground glass", "part-solid", "solid with an outermost layer that is part lung"],
)
def test_the_outline_tells_subsolid_from_solid_whatever_lies_in_the_middle(
    scoring: Tier, core_mm: float, share: tuple[float, float], channel: Channel
) -> None:
    volume, segment = ball_of_16_mm(core_mm)
    found = faint_share(volume, segment)
    assert found is not None
    assert share[0] <= found <= share[1]
    assert scoring.scoring is not None
    for before in (Channel.SOLID, Channel.GROUND_GLASS):
        candidate = Candidate((10, 20, 20), 16.0, 0.9, before)
        told = scoring.scoring.outlined(OnlyVolume(volume), candidate, segment)  # type: ignore[arg-type]
        assert told == replace(candidate, channel=channel)


def test_a_segment_that_is_all_edge_tells_nothing_of_its_kind() -> None:
    volume, _ = ball_of_16_mm(8.0)
    assert faint_share(volume, Segment(np.ones((2, 3, 3), dtype=bool), (9, 19, 19))) is None


def ball_of_16_mm(core_mm: float) -> tuple[CtVolume, Segment]:
    """Draw a ball of ground glass with a solid core, and outline all of it."""
    k, r, c = (mm * (np.arange(n) - n // 2) for n, mm in ((21, 2.0), (41, 0.8), (41, 0.8)))
    far = np.sqrt(k[:, None, None] ** 2 + r[:, None] ** 2 + c**2)
    hu = np.where(far <= core_mm / 2, 30, np.where(far <= 8, -600, -870)).astype(np.int16)
    return CtVolume(hu, np.diag([2.0, 0.8, 0.8, 1.0])), Segment(far <= 8, (0, 0, 0))
