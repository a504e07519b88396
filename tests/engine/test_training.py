"""A run: what it is marked on, that it can be cut off and repeated, and what it writes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ai_engine.composites import Composite, Renderer
from ai_engine.domain import BoxPrompt, NoduleType
from ai_engine.errors import TrainingError
from ai_engine.sam2 import network as sam2
from ai_engine.sam2.loading import load
from ai_engine.training import checkpoints, export, journal
from ai_engine.training.checkpoints import Run
from ai_engine.training.loop import Material, train
from ai_engine.training.losses import losses
from ai_engine.training.plan import Plan
from ai_engine.training.steps import FIRST_LOSSES
from ai_engine.training.validation import segmented
from tests.support.balls import ball_in_lung
from tests.support.sam2 import by_chance

PLAN = Plan(seed=3, steps=4, warm_up=2, slices=2, clip_share=(0.5, 0.5), clip_frames=(2, 3), clip_slices=4)


@pytest.fixture(scope="module")
def composites() -> list[Composite]:
    return [ball_in_lung(seed) for seed in range(6)]


def begun(plan: Plan) -> Run:
    return checkpoints.begin(plan, sam2.build("compact", seed=plan.seed))


def losses_of(folder: Path) -> list[float]:
    return [line["loss"] for line in journal.read(folder) if "loss" in line]


def test_the_right_mask_costs_less_than_a_wrong_or_an_empty_one() -> None:
    truth = torch.zeros(1, 1, 32, 32)
    truth[..., 8:20, 8:20] = 1
    present = torch.full((1, 1), 6.0)
    right = losses(truth * 12 - 6, present, truth).total
    empty = losses(torch.full_like(truth, -6), present, truth).total
    shifted = losses(truth.roll(6, dims=-1) * 12 - 6, present, truth).total
    assert right < 0.1 < shifted < empty


def test_an_object_score_is_marked_on_slices_beyond_the_nodule_too() -> None:
    truth = torch.zeros(1, 2, 16, 16)
    truth[:, 0, 4:9, 4:9] = 1
    masks = truth * 12 - 6
    right = losses(masks, torch.tensor([[6.0, -6.0]]), truth)
    goes_on = losses(masks, torch.tensor([[6.0, 6.0]]), truth)
    assert goes_on.objects > right.objects + 2
    assert torch.isclose(goes_on.dice, right.dice)


def test_a_clip_without_the_object_has_no_dice_but_a_mask_loss() -> None:
    truth = torch.zeros(1, 1, 16, 16)
    parts = losses(torch.full_like(truth, 3.0), torch.zeros(1, 1), truth)
    assert parts.dice == 0
    assert parts.masks > 3


def test_the_learning_rate_rises_straight_and_falls_to_its_floor() -> None:
    plan = Plan(steps=1000, warm_up=100, learning_rate=1.0, floor=0.02)
    assert plan.rate(49, plan.progress(49, 0)) == pytest.approx(0.5)
    assert plan.rate(100, plan.progress(100, 0)) == pytest.approx(1.0, abs=0.03)
    assert plan.rate(1000, plan.progress(1000, 0)) == pytest.approx(0.02)


def test_clips_of_any_length_have_about_as_many_slices() -> None:
    plan = Plan(steps=1, clip_share=(1.0, 1.0))
    kinds = {plan.kind(step) for step in range(200)}
    assert {kind.frames for kind in kinds} == set(plan.clip_frames)
    assert all(0.8 <= kind.frames * kind.size / plan.clip_slices <= 1.2 for kind in kinds)


def test_a_run_of_hours_ends_by_the_clock() -> None:
    plan = Plan(hours=2)
    assert plan.progress(10**6, 3600) == 0.5
    assert plan.progress(1, 7200) == 1.0


def test_a_run_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="steps or of hours"):
        Plan()


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(composites: list[Composite], tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    material = Material(composites, composites[:1])
    train(begun(PLAN), material, whole, lambda told: None)

    interrupted = begun(PLAN)
    with pytest.raises(KeyboardInterrupt):
        train(interrupted, material, parts, stop_after(2), clock=iter(range(0, 10**6, 400)).__next__)
    again = begun(PLAN)
    checkpoints.load(again, parts)
    assert again.step == 2
    train(again, material, parts, lambda told: None)

    assert losses_of(parts) == losses_of(whole)
    assert again.first_losses == losses_of(whole)
    with_whole = checkpoints.read(whole)["average"]
    assert all(torch.equal(value, with_whole[name]) for name, value in again.average.state_dict().items())


def stop_after(step: int):  # type: ignore[no-untyped-def]
    def watch(told) -> None:  # type: ignore[no-untyped-def]
        if told.step == step:
            raise KeyboardInterrupt

    return watch


@pytest.mark.slow
def test_a_checkpoint_of_another_seed_is_refused(composites: list[Composite], tmp_path: Path) -> None:
    checkpoints.save(begun(PLAN), tmp_path)
    with pytest.raises(TrainingError, match="seed 3, not 4"):
        checkpoints.load(begun(Plan(seed=4, steps=4)), tmp_path)


@pytest.mark.slow
def test_what_is_exported_is_what_the_node_loads(composites: list[Composite], tmp_path: Path) -> None:
    run = begun(PLAN)
    train(run, Material(composites, composites[:2]), tmp_path, lambda told: None)
    metadata = export.export(tmp_path, checkpoints.BEST, {"commit": "abc"}, tmp_path / "compact.safetensors")
    assert metadata["first_losses"] == run.first_losses
    assert len(metadata["first_losses"]) == PLAN.steps <= FIRST_LOSSES
    assert json.loads((tmp_path / "compact.json").read_text())["commit"] == "abc"
    loaded = load(tmp_path / "compact.safetensors", "compact", 128, "cpu")
    best = checkpoints.read(tmp_path, checkpoints.BEST)["average"]
    for name, value in loaded.network.state_dict().items():
        assert torch.allclose(value, best[name], atol=2e-3), name


def test_log_lines_beyond_the_checkpoint_go(tmp_path: Path) -> None:
    log = journal.Journal(tmp_path, 0)
    for step in (1, 2, 3):
        log.write(step=step, loss=1.0)
    journal.Journal(tmp_path, 2)
    assert [line["step"] for line in journal.read(tmp_path)] == [1, 2]


def test_the_plot_shows_both_curves() -> None:
    lines = [{"step": step, "loss": 1 / step} for step in range(1, 300)]
    without = np.asarray(journal.plot(lines))
    with_dice = np.asarray(journal.plot([*lines, {"step": 150, "dice_3d": 0.5}, {"step": 299, "dice_3d": 0.8}]))
    changed = np.argwhere((without != with_dice).any(axis=2))
    assert np.ptp(changed[:, 1]) > 300  # a line across half of the picture
    assert len(np.unique(without.reshape(-1, 3), axis=0)) > 4


@pytest.mark.slow
def test_a_few_steps_teach_the_network_to_outline_what_is_prompted(tmp_path: Path) -> None:
    balls = [ball_in_lung(seed) for seed in range(24)]
    run = begun(Plan(seed=1, steps=60, warm_up=20))
    train(run, Material(balls, [ball_in_lung(100 + seed) for seed in range(6)]), tmp_path, lambda told: None)
    log = losses_of(tmp_path)
    assert np.mean(log[-10:]) < 0.4 * np.mean(log[:10])
    assert run.best > 0.7
    assert (tmp_path / "curve.png").is_file()


def test_a_network_that_sees_nothing_gives_an_empty_mask(composites: list[Composite]) -> None:
    composite = composites[0]
    k, r, c = (n // 2 for n in composite.hu.shape)
    box = BoxPrompt(k, (r - 8, c - 8), (r + 8, c + 8))
    assert not segmented(by_chance(sees_objects=False), composite, box).any()


def test_balls_are_what_they_should_be(composites: list[Composite]) -> None:
    assert {composite.renderer for composite in composites} == {Renderer.A}
    assert all(composite.nodule_type is NoduleType.SOLID for composite in composites)
