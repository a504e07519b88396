"""Parts of nodules, named: tokens beside SAM2's prompts, what they are learnt from, how they are judged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from ai_engine.clip.parts import HELD_OUT, WORDINGS, Part
from ai_engine.clip.vocabulary import of_wordings
from ai_engine.composites import Composite
from ai_engine.domain import CtVolume
from ai_engine.errors import WeightsError
from ai_engine.evaluation.parts import NOBODY, ONE_HOT, Judged, interval, judged
from ai_engine.evaluation.parts_report import PartsReport, markdown
from ai_engine.evaluation.scores import segment_of
from ai_engine.sam2 import adapter, parts
from ai_engine.sam2 import network as sam2
from ai_engine.sam2.network import Walk
from ai_engine.training import checkpoints, export
from ai_engine.training.adapter.loop import Lesson, begun_with, train
from ai_engine.training.adapter.material import Examples, examples_of, slices_of
from ai_engine.training.plan import Plan
from ai_engine.training.steps import Told
from tests.support.balls import ball_in_lung
from tests.support.sam2 import by_chance

NUMBERS = {part: torch.eye(16)[number][None] for number, part in enumerate(Part)}
PLAN = Plan(seed=3, steps=4, warm_up=1, slices=4, validate_every=2)


def with_core(seed: int) -> Composite:
    """Let the outer part of a ball be ground glass."""
    ball = ball_in_lung(seed, distractor=False)
    core = ndimage.binary_erosion(ball.labels == 1, np.ones((1, 3, 3)), iterations=3)
    hu = np.where((ball.labels == 1) & ~core, np.int16(-600), ball.hu)
    return replace(ball, hu=hu, core=core)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return by_chance().network


@pytest.fixture(scope="module")
def lesson(network: torch.nn.Module) -> Lesson:
    seen = examples_of(network, [with_core(seed) for seed in range(3)], seed=1)
    return Lesson(network, seen, seen, NUMBERS)


def test_no_paraphrase_is_trained_on_and_the_encoder_knows_every_word() -> None:
    for part in Part:
        assert not set(HELD_OUT[part]) & {text for texts in WORDINGS.values() for text in texts}
        assert len(HELD_OUT[part]) >= 6
        assert not of_wordings().unknown(" ".join((*WORDINGS[part], *HELD_OUT[part])))


def test_without_tokens_sam2_answers_as_before_bit_by_bit_also_after_some_were_used(network: torch.nn.Module) -> None:
    frames = torch.randn(1, 3, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    points, labels = torch.tensor([[[40.0, 44.0], [80.0, 90.0]]]), torch.tensor([[sam2.BOX_LOW, sam2.BOX_HIGH]])
    before = sam2.forward_clip(network, frames, points, labels)
    features = sam2.encode(network, frames[0])
    tokens = torch.randn(1, 4, adapter.channels_of(network), generator=torch.Generator().manual_seed(2))
    named = sam2.forward_seen(network, features, points, labels, tokens)
    after = sam2.forward_clip(network, frames, points, labels)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    # tokens are heard on the prompted slice and on those that memory leads to
    assert ((named[0] - before[0]).abs().amax(dim=(0, 2, 3)) > 1e-3).all()
    plain = Walk(network, 1).step(features.rows(torch.tensor([0])), {"point_coords": points, "point_labels": labels})
    assert torch.equal(plain.object_logits, before[1][:, 0])


@pytest.mark.slow
def test_an_adapter_learns_and_sam2_does_not(lesson: Lesson, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in lesson.network.state_dict().items()}
    run = checkpoints.begin(PLAN, begun_with(lesson, PLAN.seed))
    train(run, lesson, tmp_path, lambda told: None)
    assert all(torch.equal(value, before[name]) for name, value in lesson.network.state_dict().items())
    assert run.step == 4
    assert len(run.curve) == 2
    told = export.export(tmp_path, checkpoints.BEST, {}, tmp_path / "adapter.safetensors")
    read, best = adapter.load(tmp_path / "adapter.safetensors"), checkpoints.read(tmp_path, checkpoints.BEST)
    assert torch.equal(read.tokens, best["average"]["tokens"].half().float())
    assert told["size"] < 1_000_000


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_the_same_way(lesson: Lesson, tmp_path: Path) -> None:
    def begun() -> checkpoints.Run:
        return checkpoints.begin(PLAN, begun_with(lesson, PLAN.seed))

    def cut_off(told: Told) -> None:
        if told.step == 2:
            raise KeyboardInterrupt

    whole, cut, again = begun(), begun(), begun()
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    train(whole, lesson, tmp_path / "whole", lambda told: None)
    with pytest.raises(KeyboardInterrupt):
        train(cut, lesson, tmp_path / "cut", cut_off)
    checkpoints.load(again, tmp_path / "cut")
    assert again.step == 2
    train(again, lesson, tmp_path / "cut", lambda told: None)
    assert again.first_losses == whole.first_losses
    for one, other in zip(again.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_the_image_encoder_said_is_kept(lesson: Lesson, tmp_path: Path) -> None:
    lesson.training.save(tmp_path / "seen.pt")
    read = Examples.read(tmp_path / "seen.pt")
    assert len(read.examples) == 3
    for one, other in zip(lesson.training.examples, read.examples, strict=True):
        assert torch.equal(one.core, other.core)
        assert not (one.core & ~one.whole).any()
        assert one.whole.any(dim=2).any(dim=1).all(), "each slice shows the nodule"
        assert all(torch.equal(a, b) for a, b in zip(one.maps, other.maps, strict=True))


def test_each_slice_comes_with_what_was_seen_on_it(lesson: Lesson) -> None:
    at = [(0, 0), (2, 1), (0, 1)]
    slices = slices_of(lesson.training, at, np.random.default_rng(1))
    for row, (number, k) in enumerate(at):
        example = lesson.training.examples[number]
        assert torch.equal(slices.features.maps[0][row], example.maps[0][k].float())
        (x0, y0), (x1, y1) = slices.boxes[row].tolist()
        middle = torch.nonzero(example.whole[k]).float().mean(dim=0)
        assert y0 < middle[0] < y1
        assert x0 < middle[1] < x1


def test_another_file_is_no_adapter(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="adapter"):
        adapter.load(tmp_path / "other.safetensors")


def test_parts_lie_on_the_slices_of_the_nodule_near_it() -> None:
    composite, loaded = with_core(1), by_chance()
    whole = segment_of(composite.labels == 1)
    assert whole is not None
    tokens = (
        adapter.build([*NUMBERS.values()], adapter.channels_of(loaded.network), 1).eval()(NUMBERS[Part.CORE]).detach()
    )
    volume = CtVolume(composite.hu, np.diag([*composite.spacing_krc_mm, 1.0]))
    found, other = parts.parts_of(volume, whole, loaded, [tokens, -tokens])
    slices = np.flatnonzero((composite.labels == 1).any(axis=(1, 2)))
    assert set(np.flatnonzero(found.any(axis=(1, 2)))) <= set(slices)
    assert not np.array_equal(found, other)
    assert found.shape == composite.hu.shape


def test_all_are_judged_on_the_same_nodules_and_nobody_names_the_nodule_itself() -> None:
    loaded = by_chance()
    own = adapter.build([*NUMBERS.values()], adapter.channels_of(loaded.network), 1).eval()
    named = {ONE_HOT: {part: {str(part): own(vector).detach()} for part, vector in NUMBERS.items()}}
    rows = list(judged(with_core(2), loaded, named, np.random.default_rng(1)))
    assert [(row.by, row.part) for row in rows] == [(by, part) for by in (NOBODY, ONE_HOT) for part in Part]
    core, whole = rows[:2]
    assert (core.named, core.other) == (whole.other, whole.named), "one mask, compared with both"
    told = markdown(PartsReport("emerald evaluate adapter", {}, rows))
    assert told.count("solid component") >= 2


def row(patient: str, nodule: str, named: float) -> Judged:
    return Judged(nodule, patient, "A", ONE_HOT, Part.CORE, "", named, 0.5)


def test_the_mean_counts_each_nodule_once_and_draws_patients() -> None:
    rows = [row("p1", "n1", 0.2), row("p1", "n1", 0.4), row("p1", "n2", 0.9), row("p2", "n3", 0.6)]
    found = interval(rows, lambda each: each.named)
    assert found.value == pytest.approx((0.3 + 0.9 + 0.6) / 3)
    # two patients: the ends are those of either alone
    assert found.low == pytest.approx(0.6)
    assert found.high == pytest.approx(0.6)
