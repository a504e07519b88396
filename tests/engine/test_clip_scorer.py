"""Scores and selections on a real scan, and published networks behind the same interface."""

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ai_engine.candidates import Proposer
from ai_engine.clip import network as clip
from ai_engine.clip import scorer as clip_scorer
from ai_engine.clip.ensembles import By, scores
from ai_engine.clip.loading import Loaded, load, placed, save, shown
from ai_engine.clip.patches import views_of
from ai_engine.clip.published import PublishedScorer, planes
from ai_engine.clip.published import load as load_published
from ai_engine.clip.scorer import Described, TextScorer, scorers
from ai_engine.clip.vocabulary import of_wordings
from ai_engine.clip.weights import weights_of
from ai_engine.domain import Candidate, Channel, CtVolume, FloatArray, Laterality, Location, Zone
from ai_engine.errors import UnknownWords, WeightsMissing
from ai_engine.lungs import ThresholdLungs
from ai_engine.sam2.weights import sha256_of
from ai_engine.scene import Scene, scene_of
from ai_engine.stages import weight_free, with_encoder
from dicom_node.cases.lungs import read_crop
from tests.support.data import data_dir, needs_data
from tests.support.encoder import encoder_file


def by_chance(seed: int = 0) -> Loaded:
    vocabulary = of_wordings()
    return placed(clip.build(clip.Config(len(vocabulary.words)), seed), vocabulary)


@pytest.fixture(scope="module")
def scene() -> Scene:
    volume = read_crop(data_dir() / "ct-backgrounds" / "tcga-de-a4ma.npz")
    return scene_of(volume, ThresholdLungs().find(volume))


@pytest.fixture(scope="module")
def candidates(scene: Scene) -> list[Candidate]:
    return Proposer().detect(scene)[:24]


@needs_data
@pytest.mark.slow
def test_each_candidate_has_one_score_whatever_stands_beside_it(scene: Scene, candidates: list[Candidate]) -> None:
    scorer = TextScorer(by_chance)
    scored = scorer.score(scene, candidates)
    assert scored.shape == (len(candidates),)
    assert ((scored > 0) & (scored < 1)).all()
    assert len(np.unique(scored)) == len(candidates)
    backwards = scorer.score(scene, candidates[::-1])[::-1]
    assert np.allclose(scored, backwards, atol=1e-5)
    assert scorer.score(scene, []).shape == (0,)


@needs_data
@pytest.mark.slow
def test_a_thorough_look_does_not_depend_on_how_the_patient_lies(scene: Scene, candidates: list[Candidate]) -> None:
    loaded, volume = by_chance(), scene.volume
    turned = replace(volume, hu=np.ascontiguousarray(volume.hu[:, ::-1, ::-1]))
    last_r, last_c = volume.hu.shape[1] - 1, volume.hu.shape[2] - 1
    here = [each.centre_krc for each in candidates[:5]]
    there = [(k, last_r - r, last_c - c) for k, r, c in here]
    for is_thorough in (False, True):
        one = loaded.look(views_of(volume), here, is_thorough=is_thorough)
        other = loaded.look(views_of(turned), there, is_thorough=is_thorough)
        assert np.allclose(one.vectors, other.vectors, atol=1e-3) == is_thorough
        assert np.allclose(one.head, other.head, atol=1e-3) == is_thorough


@needs_data
@pytest.mark.slow
def test_all_ways_to_rank_come_from_one_file(scene: Scene, candidates: list[Candidate], tmp_path: Path) -> None:
    loaded = by_chance(3)
    save(loaded.network, loaded.vocabulary, tmp_path / "encoder.safetensors")
    ways = scorers(tmp_path / "encoder.safetensors")
    ranks = {name: np.argsort(way.score(scene, candidates)).tolist() for name, way in ways.items()}
    assert len(ways) == 3
    assert len({tuple(rank) for rank in ranks.values()}) == 3
    other = ways["nodule head alone"].score(scene, candidates[:5])
    assert other.shape == (5,)


class OnlyVolume:
    """All of a scene that a scorer looks at."""

    def __init__(self) -> None:
        hu = np.random.default_rng(0).normal(-850, 100, (30, 64, 64)).astype(np.int16)
        self.volume = CtVolume(hu, np.diag([2.0, 1.0, 1.0, 1.0]))


@pytest.mark.slow
@pytest.mark.parametrize("by", By)
def test_what_ranks_chooses_what_is_looked_at_thoroughly(
    by: By, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_scorer, "_LOOKED_AT_THOROUGHLY", 3)
    save(by_chance(3).network, by_chance(3).vocabulary, tmp_path / "encoder.safetensors")
    ways, loaded = scorers(tmp_path / "encoder.safetensors"), load(tmp_path / "encoder.safetensors")
    scene, places = OnlyVolume(), [(15, 6 * i, 60 - 5 * i) for i in range(1, 11)]
    candidates = [Candidate(place, 8.0, 1.0, Channel.SOLID) for place in places]
    found = {name: way.score(scene, candidates) for name, way in ways.items()}[by]
    views, ensembles = views_of(scene.volume), TextScorer(lambda: loaded).ensembles
    once, thorough = (
        scores(loaded, ensembles, loaded.look(views, places, is_thorough=is_thorough), by)
        for is_thorough in (False, True)
    )
    best = np.argsort(-once)[:3]
    assert np.allclose(found[best], thorough[best], atol=1e-6)
    others = np.setdiff1d(np.arange(len(places)), best)
    assert np.allclose(found[others], once[others], atol=1e-6)
    assert not np.allclose(once, thorough, atol=1e-6)


@pytest.mark.slow
def test_the_zero_beside_the_weights_is_where_a_score_is_one_half_and_changes_no_rank(tmp_path: Path) -> None:
    path, scene = encoder_file(tmp_path, 0.5), OnlyVolume()
    candidates = [Candidate((15, 6 * i, 60 - 5 * i), 8.0, 1.0, Channel.SOLID) for i in range(1, 11)]
    before = {name: way.score(scene, candidates) for name, way in scorers(path).items()}
    told = json.loads(path.with_suffix(".json").read_text())
    zeros = {By.TEXT: float(logits(before[By.TEXT])[3]), By.HEAD: -1.0}
    path.with_suffix(".json").write_text(json.dumps({**told, "detection": told["detection"] | {"zeros": zeros}}))
    after = {name: way.score(scene, candidates) for name, way in scorers(path).items()}
    assert after[By.TEXT][3] == pytest.approx(0.5)
    for by in By:
        assert logits(after[by]) == pytest.approx(logits(before[by]) - zeros.get(by, 0.0), abs=1e-6)
        assert np.array_equal(scorers(path, {})[by].score(scene, candidates), before[by])
    scoring = with_encoder(weight_free(), weights_of(path, sha256_of(path))).scoring
    assert scoring is not None
    assert np.array_equal(scoring.scorer.score(scene, candidates), after[By.TEXT])


def logits(scores: FloatArray) -> FloatArray:
    return np.log(scores / (1 - scores))


def test_what_is_certain_is_not_held_to_the_likeness_of_a_cosine_of_one() -> None:
    loaded, views = by_chance(), views_of(OnlyVolume().volume)
    places = [(15, 30, 20), (12, 20, 40)]
    usual = loaded.look(views, places)
    assert np.allclose(np.linalg.norm(usual.vectors, axis=1), 1, atol=1e-4)
    with torch.no_grad():
        loaded.network.certainty.bias.fill_(8.0)
    certain = loaded.look(views, places)
    assert np.allclose(certain.vectors, 8 * usual.vectors, atol=0.01)
    ensembles = TextScorer(lambda: loaded).ensembles
    further = abs(scores(loaded, ensembles, certain) - 0.5) > abs(scores(loaded, ensembles, usual) - 0.5)
    assert further.all()


def test_a_close_look_sees_with_its_own_eyes_and_changes_nothing_that_ranks() -> None:
    loaded, views, places = by_chance(), views_of(OnlyVolume().volume), [(15, 30, 20), (12, 20, 40)]
    usual, before = loaded.look(views, places), loaded.closely(views, places)
    with torch.no_grad():
        loaded.network.get_parameter("image_out.weight").normal_()
    assert np.array_equal(loaded.closely(views, places), before)
    with torch.no_grad():
        loaded.network.get_parameter("image_out.weight").copy_(by_chance().network.image_out.weight)
        loaded.network.get_parameter("close.image_out.weight").normal_()
    close = loaded.closely(views, places)
    assert not np.allclose(close, before, atol=0.01)
    assert not np.allclose(close, usual.vectors, atol=0.01)
    assert np.array_equal(loaded.look(views, places).vectors, usual.vectors)
    assert loaded.closely(views, []).shape == (0, before.shape[1])


def ball() -> CtVolume:
    """Draw a ball in the middle of some lung: it is the same however it is turned."""
    k, r, c = np.ogrid[-19:20, -19:20, -19:20]
    return CtVolume(np.where(k**2 + r**2 + c**2 <= 16, 40, -850).astype(np.int16), np.eye(4))


def test_from_near_the_place_itself_is_looked_at_and_what_ranks_is_looked_at_from_beside() -> None:
    loaded, views, middle = by_chance(), views_of(ball()), np.array([[19.0, 19.0, 19.0]])
    once, around = (loaded.look(views, middle, is_thorough=is_thorough) for is_thorough in (False, True))
    assert not np.allclose(once.vectors, around.vectors, atol=1e-3)
    cubes = (*views.cubes(middle[0]), views.close(middle[0]))
    with torch.no_grad():
        here = loaded.network.closely(*(shown(cube[None]) for cube in cubes)).numpy()
    assert np.allclose(loaded.closely(views, middle), here, atol=1e-4)


def test_a_network_without_a_close_look_selects_by_what_it_has(tmp_path: Path) -> None:
    vocabulary, file = of_wordings(), tmp_path / "encoder.safetensors"
    save(clip.build(clip.Config(len(vocabulary.words), close_widths=None), 0), vocabulary, file)
    loaded, views, middle = load(file), views_of(ball()), [(19, 19, 19)]
    assert np.allclose(loaded.closely(views, middle), loaded.look(views, middle).vectors, atol=1e-4)


def test_what_was_seen_goes_with_its_scene(tmp_path: Path) -> None:
    save(by_chance().network, by_chance().vocabulary, tmp_path / "encoder.safetensors")
    ways, scene = scorers(tmp_path / "encoder.safetensors"), OnlyVolume()
    for way in ways.values():
        way.score(scene, [Candidate((15, 32, 20), 8.0, 1.0, Channel.SOLID)])
    volume = weakref.ref(scene.volume)
    del scene
    gc.collect()
    assert volume() is None


@needs_data
@pytest.mark.slow
def test_a_prompt_selects_by_words_size_and_place(scene: Scene, candidates: list[Candidate]) -> None:
    scorer = TextScorer(by_chance)
    right = Location(Laterality.RIGHT, Zone.UPPER)
    findings = [Described(candidate.centre_krc, 4.0 + i, right) for i, candidate in enumerate(candidates)]
    all_of_them = scorer.selection(scene, findings)
    assert all(selected.is_asked_for for selected in all_of_them)
    large = scorer.selection(scene, findings, scorer.understood("nodules over 9 mm in the right lung"))
    assert [selected.is_asked_for for selected in large] == [finding.diameter_mm > 9 for finding in findings]
    left = scorer.selection(scene, findings, scorer.understood("nodules in the left lung"))
    assert not any(selected.is_asked_for for selected in left)
    glass = scorer.selection(scene, findings, scorer.understood("ground-glass nodules"))
    assert [selected.by_words for selected in glass] == [selected.likeness > 0 for selected in glass]


def test_a_scorer_refuses_words_it_does_not_know() -> None:
    with pytest.raises(UnknownWords, match="blue"):
        TextScorer(by_chance, prompt="blue nodules").understood()


def test_pictures_for_published_networks_show_the_candidate_in_the_middle() -> None:
    hu = np.full((40, 100, 100), -850, dtype=np.int16)
    hu[18:23, 58:63, 38:43] = 50
    volume = CtVolume(hu, np.diag([2.0, 1.0, 1.0, 1.0]))
    for picture in planes(volume, Candidate((20, 60, 40), 6.0, 1.0, Channel.SOLID)):
        assert picture.shape == (64, 64)
        middle = np.argwhere(picture > 0.8).mean(axis=0)
        assert np.allclose(middle, 31.5, atol=2.5)


@pytest.fixture(scope="module")
def published_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny CLIP of random weights, as transformers writes it."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": 52, "eos_token_id": 53, "pad_token_id": 53, "vocab_size": len(words)}
    config = CLIPConfig(
        text_config={**small, **ends},
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_published_network_stands_behind_the_same_interface(published_folder: Path) -> None:
    candidates = [Candidate((15, 32, c), 8.0, 1.0, Channel.SOLID) for c in (20, 30, 40)]
    scorer = PublishedScorer(lambda: load_published(published_folder))
    scored = scorer.score(OnlyVolume(), candidates)  # type: ignore[arg-type]
    assert scored.shape == (3,)
    assert ((scored > 0) & (scored < 1)).all()


@pytest.mark.slow
def test_a_published_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="nowhere"):
        load_published(tmp_path / "nowhere")
