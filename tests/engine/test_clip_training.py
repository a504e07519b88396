"""A run of the encoder: what it is marked on, that it learns, and that it can be cut off."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ai_engine.clip import network as clip
from ai_engine.clip import sentences
from ai_engine.clip.ensembles import By, ensembles_of, scores
from ai_engine.clip.facts import Attribute, Claim
from ai_engine.clip.loading import Seen, load, placed
from ai_engine.clip.vocabulary import of_wordings
from ai_engine.domain import NoduleType
from ai_engine.errors import TrainingError, WeightsError
from ai_engine.training import checkpoints, journal
from ai_engine.training.encoder import run as runs
from ai_engine.training.encoder.anchors import CLAIMS, Anchors, claims_of
from ai_engine.training.encoder.batches import batch_of
from ai_engine.training.encoder.loop import train
from ai_engine.training.encoder.losses import FALSE_NODULES_WEIGHT, Said, losses, score_of
from ai_engine.training.encoder.places import PlaceFiles, Places
from ai_engine.training.encoder.plan import Plan, Text
from ai_engine.training.encoder.pool import Pool
from ai_engine.training.encoder.run import Run
from ai_engine.training.encoder.validation import Judged, auc
from tests.support.places import place, some_places

PLAN = Plan(seed=3, steps=4, warm_up=2, batch=8, validate_every=2)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return some_places(tmp_path_factory.mktemp("places"))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Make few places, for validations that are only to run."""
    return some_places(tmp_path_factory.mktemp("few"), n=2)


def begun(plan: Plan) -> Run:
    return runs.begin(plan, of_wordings())


def losses_of(folder: Path) -> list[float]:
    return [line["loss"] for line in journal.read(folder) if "loss" in line]


def marked(likeness: torch.Tensor, verdicts: torch.Tensor, nodules: torch.Tensor) -> torch.Tensor:
    """Mark what the words say; everything else is even."""
    even, head = torch.zeros_like(likeness), torch.zeros(len(likeness))
    said = Said(likeness, even, even, torch.tensor(0.0), head, head)
    return losses(said, verdicts, nodules, torch.ones(verdicts.shape[1]), 1.0).text


def test_a_sentence_that_is_true_of_two_places_is_a_positive_of_both() -> None:
    verdicts, nodules = torch.tensor([[1.0], [1.0], [-1.0]]), torch.tensor([1.0, 1.0, 0.0])
    right = marked(torch.tensor([[5.0], [5.0], [-5.0]]), verdicts, nodules)
    one_missed = marked(torch.tensor([[5.0], [-5.0], [-5.0]]), verdicts, nodules)
    assert right < 0.02
    assert one_missed > right + 1


def test_a_pair_whose_truth_is_not_known_does_not_count() -> None:
    verdicts, nodules = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([1.0, 0.0])
    parts = [marked(torch.tensor([[2.0, x], [-2.0, -x]]), verdicts, nodules) for x in (-9.0, 9.0)]
    assert parts[0] == parts[1]


def test_false_pairs_do_not_outweigh_true_ones() -> None:
    logits = torch.zeros(10, 1, requires_grad=True)
    verdicts = torch.tensor([[1.0]] + [[-1.0]] * 9)
    marked(logits, verdicts, torch.zeros(10)).backward()
    assert logits.grad is not None
    assert torch.isclose(logits.grad.sum(), torch.tensor(0.0), atol=1e-6)


def test_nodules_of_another_kind_weigh_more_than_what_is_none() -> None:
    logits = torch.zeros(8, 1, requires_grad=True)
    verdicts, nodules = torch.tensor([[1.0]] + [[-1.0]] * 7), torch.tensor([1.0, 1, 1, 0, 0, 0, 0, 0])
    marked(logits, verdicts, nodules).backward()
    assert logits.grad is not None
    assert torch.isclose(logits.grad[1:3].sum(), -FALSE_NODULES_WEIGHT * logits.grad[0, 0])
    assert torch.isclose(logits.grad[3:].sum(), -logits.grad[0, 0])


def test_what_prompts_choose_by_counts_more_than_what_readers_differ_on(places: Places) -> None:
    batch = batch_of(Pool(places), PLAN, of_wordings(), step=0)
    types = [CLAIMS.index(Claim(Attribute.TYPE, str(kind))) for kind in NoduleType]
    alone = batch.claims.sum(dim=1) == 2
    about_type = batch.claims[:, types].sum(dim=1) > 0
    assert (batch.weights[alone & about_type] > 1).all()
    assert (batch.weights[~alone] == 1).all()


def test_sentences_of_one_claim_have_one_anchor_and_those_of_others_another() -> None:
    anchors = Anchors(128, seed=1)
    rng = np.random.default_rng(0)
    glass, solid = (Claim(Attribute.TYPE, kind) for kind in ("ground-glass", "solid"))
    said = [sentences.said([claim], rng) for claim in (glass, glass, solid)]
    one, again, other = anchors(claims_of(said)).detach()
    assert torch.allclose(one, again)
    assert float(one @ other) < 0.8


def test_kinds_that_are_rare_are_drawn_as_often_as_they_are_asked_for(tmp_path: Path) -> None:
    files = PlaceFiles(tmp_path)
    rare = place("nodule", 999, nodule_type=NoduleType.GROUND_GLASS)
    made = [place("nodule", i) for i in range(19)] + [rare] + [place("candidate", 50 + i) for i in range(4)]
    files.write("site-a", made, {"cut": 1})
    pool, plan = Pool(files.read()), Plan(steps=1)
    drawn = [pool.draw(plan, 0, np.random.default_rng(i))[0].facts.values[Attribute.TYPE] for i in range(200)]
    assert 0.2 < drawn.count("ground-glass") / 200 < 0.5


def test_what_was_hard_is_drawn_again_and_what_was_easy_is_not(places: Places) -> None:
    pool, plan = Pool(places), Plan(steps=1, sham_share=0.0)
    spots = [pool.draw(plan, plan.batch - 1, np.random.default_rng(i))[1] for i in range(200)]
    hard = spots[0]
    for _ in range(2):
        pool.learn(spots, torch.tensor([5.0 if spot == hard else 0.01 for spot in spots]))
    again = [pool.draw(plan, plan.batch - 1, np.random.default_rng(500 + i))[1] for i in range(200)]
    assert again.count(hard) > 3 * spots.count(hard)
    assert len(set(again)) > 1


def test_shams_and_nodules_have_no_spot_to_learn(places: Places) -> None:
    place, spot = Pool(places).draw(PLAN, 0, np.random.default_rng(0))
    assert place.facts.is_nodule
    assert spot is None


def test_the_score_is_what_says_nodule_against_what_says_none() -> None:
    likeness = torch.tensor([[4.0, 2.0, -3.0, -3.0, 9.0], [-4.0, -4.0, 5.0, 1.0, 9.0]])
    says_nodule, says_none = (
        torch.tensor([True, True, False, False, False]),
        torch.tensor([False, False, True, True, False]),
    )
    score = score_of(likeness, says_nodule, says_none)
    assert torch.allclose(score[0], torch.tensor(6.0))
    assert score[1] < -7


def test_half_of_a_batch_are_nodules_and_no_text_stands_twice(places: Places) -> None:
    batch = batch_of(Pool(places), PLAN, of_wordings(), step=0)
    assert batch.nodules.sum() == PLAN.batch / 2
    assert len({tuple(row.tolist()) for row in batch.words}) >= 0.9 * len(batch.words)
    assert set(batch.verdicts.unique().tolist()) <= {-1.0, 0.0, 1.0}
    for i in range(PLAN.batch):
        assert batch.verdicts[i, i] != -1  # each place's own sentence comes first, where no text stands twice


def test_shuffled_text_deals_the_same_truths_to_other_sentences(places: Places) -> None:
    pool, vocabulary = Pool(places), of_wordings()
    right = batch_of(pool, PLAN, vocabulary, step=1)
    wrong = batch_of(pool, Plan(**{**PLAN.as_json(), "text": Text.SHUFFLED}), vocabulary, step=1)
    assert torch.equal(right.words, wrong.words)
    assert not torch.equal(right.verdicts, wrong.verdicts)
    assert torch.equal(right.verdicts.sort(dim=1).values, wrong.verdicts.sort(dim=1).values)


def test_a_patient_that_is_left_out_is_not_drawn(tmp_path: Path) -> None:
    found = some_places(tmp_path, ("site-a", "site-b/one", "site-b/two"), n=2)
    assert [series.lung for series in found.without(["site-b"]).series] == ["site-a"]
    assert found.without(()).series == found.series


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(places: Places, few: Places, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    judged = Judged(few)
    train(begun(PLAN), places, judged, whole, lambda told: None)

    with pytest.raises(KeyboardInterrupt):
        train(begun(PLAN), places, judged, parts, stop_after(3), clock=iter(range(0, 10**6, 400)).__next__)
    again = begun(PLAN)
    runs.restore(again, parts)
    assert again.step == 3
    train(again, places, judged, parts, lambda told: None)

    assert losses_of(parts) == losses_of(whole)
    with_whole = checkpoints.read(whole)["average"]
    assert all(torch.equal(value, with_whole[name]) for name, value in again.average.state_dict().items())


def test_a_close_look_that_learns_alone_sees_nodules_most_of_the_time(places: Places) -> None:
    shares = [
        float(
            batch_of(Pool(places), Plan(steps=1, batch=20, only_close=is_alone), of_wordings(), step=0).nodules.mean()
        )
        for is_alone in (False, True)
    ]
    assert shares == pytest.approx([0.5, 0.9])


@pytest.mark.slow
def test_the_close_look_can_learn_alone_and_what_ranks_stays(places: Places, few: Places, tmp_path: Path) -> None:
    first, then = tmp_path / "first", tmp_path / "then"
    first.mkdir()
    then.mkdir()
    train(begun(PLAN), places, Judged(few), first, lambda told: None)
    plan = replace(PLAN, only_close=True)
    run = runs.begin(plan, of_wordings(), first)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    run.best = 2.0  # no step is worth so much
    train(run, places, Judged(few), then, lambda told: None)
    assert checkpoints.read(then, checkpoints.BEST)["step"] == plan.steps
    for network in (run.network, run.average):
        changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
        assert "close.image_out.weight" in changed
        assert all(name.startswith("close.") for name in changed)


def test_a_run_without_a_close_look_can_be_begun_with(tmp_path: Path) -> None:
    runs.write(begun(PLAN), tmp_path, checkpoints.BEST)
    state = checkpoints.read(tmp_path, checkpoints.BEST)
    state["average"] = {name: value for name, value in state["average"].items() if not name.startswith("close.")}
    checkpoints.write(state, tmp_path, checkpoints.BEST)
    network = runs.begin(PLAN, of_wordings(), tmp_path).network
    assert all(torch.equal(network.state_dict()[name], value) for name, value in state["average"].items())


def stop_after(step: int):  # type: ignore[no-untyped-def]
    def watch(told) -> None:  # type: ignore[no-untyped-def]
        if told.step == step:
            raise KeyboardInterrupt

    return watch


def test_a_checkpoint_of_another_fold_is_refused(tmp_path: Path) -> None:
    runs.write(begun(PLAN), tmp_path)
    other = Plan(**{**PLAN.as_json(), "held_out": ("site-b",)})
    with pytest.raises(TrainingError, match=r"held_out \(\), not \('site-b',\)"):
        runs.restore(begun(other), tmp_path)


@pytest.mark.slow
def test_a_few_steps_teach_text_to_find_balls_among_rods(places: Places, tmp_path: Path) -> None:
    plan = Plan(seed=1, steps=60, warm_up=10, batch=16, learning_rate=3e-3, ema=0.95, validate_every=60)
    run = begun(plan)
    judged = some_places(tmp_path / "others", ("site-c",), n=16)
    train(run, places, Judged(judged), tmp_path, lambda told: None)
    log = losses_of(tmp_path)
    assert np.mean(log[-10:]) < 0.7 * np.mean(log[:10])
    assert run.curve[-1]["auc"] > 0.9


@pytest.mark.slow
def test_what_is_exported_is_what_is_loaded(places: Places, few: Places, tmp_path: Path) -> None:
    run = begun(PLAN)
    train(run, places, Judged(few), tmp_path, lambda told: None)
    metadata = runs.export(tmp_path, checkpoints.BEST, {"commit": "abc"}, tmp_path / "encoder.safetensors")
    assert metadata["commit"] == "abc"
    assert metadata["size"] < 8e6
    loaded = load(tmp_path / "encoder.safetensors")
    assert loaded.vocabulary == of_wordings()
    best = checkpoints.read(tmp_path, checkpoints.BEST)["average"]
    for name, value in loaded.network.state_dict().items():
        assert torch.allclose(value.float(), best[name].float(), atol=2e-3), name


def test_a_file_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="does not hold"):
        load(path)


def test_the_score_follows_the_words_and_not_the_head() -> None:
    vocabulary = of_wordings()
    loaded = placed(clip.build(clip.Config(len(vocabulary.words)), seed=5), vocabulary)
    words = ensembles_of(loaded)
    like_nodule, like_vessel = words.nodule, words.others[0]
    seen = Seen(np.stack([like_nodule, like_vessel]), np.array([-9.0, 9.0]))
    by_text, by_head, shuffled = (scores(loaded, words, seen, by) for by in (By.TEXT, By.HEAD, By.SHUFFLED))
    assert by_text[0] > by_text[1]
    assert by_head[0] < by_head[1]
    assert shuffled[0] < shuffled[1]


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert auc(np.array([0.9, 0.4]), np.array([0.1, 0.4, 0.5])) == pytest.approx((3 + 1.5) / 6)
