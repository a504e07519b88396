"""The adapter around SAM2's own modules, held against the package's own video predictor."""

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

from ai_engine.sam2 import network as sam2
from tests.support.sam2 import DEVICES

BOX = [[40.0, 44.0], [80.0, 90.0]]


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def clip(n: int = 1, frames: int = 10) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(n, frames, 3, 128, 128, generator=generator)


def box(n: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([BOX] * n), torch.tensor([[sam2.BOX_LOW, sam2.BOX_HIGH]] * n)


def with_objects(network: torch.nn.Module) -> torch.nn.Module:
    """Let random weights see an object everywhere: else all masks and memories are the same emptiness."""
    with torch.no_grad():
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(5.0)
    return network


def test_same_seed_gives_the_same_network_and_leaves_the_callers_chance_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, second, other = (sam2.build("compact", seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.rand(1) == expected
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("device", DEVICES)
def test_clip_gives_masks_and_object_scores_and_every_part_that_is_used_learns(device: str) -> None:
    network = with_objects(sam2.build("compact")).train().to(device)
    points, labels = (value.to(device) for value in box(2))
    masks, objects = sam2.forward_clip(network, clip(2, 3).to(device), points, labels)
    assert masks.shape == (2, 3, 128, 128)
    assert objects.shape == (2, 3)
    (masks.square().mean() + objects.square().mean()).backward()
    silent = {name.split(".")[0] for name, value in network.named_parameters() if value.grad is None}
    # the mask prompt's own convolutions; the rest of the prompt encoder learns. no_mem_pos_enc serves another setting
    assert silent <= {"mask_downsample", "no_mem_pos_enc", "sam_prompt_encoder", "sam_mask_decoder", "no_obj_ptr"}
    for part in ("memory_attention", "memory_encoder", "image_encoder"):
        assert all(value.grad is not None for value in getattr(network, part).parameters())


def test_absent_object_still_gives_a_gradient_to_the_mask() -> None:
    network = sam2.build("compact").train()
    with torch.no_grad():
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(-5.0)
    masks, objects = sam2.forward_clip(network, clip(1, 1), *box())
    assert (objects < 0).all()
    masks.square().mean().backward()
    gradient = network.sam_mask_decoder.mask_tokens.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_memory_and_prompt_both_reach_the_later_frames() -> None:
    network = with_objects(sam2.build("compact"))
    frames = clip(1, 4)
    with torch.no_grad():
        masks, _ = sam2.forward_clip(network, frames, *box())
        moved, _ = sam2.forward_clip(network, frames, box()[0] + 25, box()[1])
        brighter, _ = sam2.forward_clip(
            network, frames + torch.tensor([0.0, 9.0, 0.0, 0.0])[:, None, None, None], *box()
        )
    assert not torch.allclose(masks[:, 3], moved[:, 3], atol=1e-4)
    assert not torch.equal(masks[:, 3], brighter[:, 3])
    assert torch.equal(masks[:, 0], brighter[:, 0])


def test_walk_agrees_with_the_packages_video_predictor_both_ways() -> None:
    frames, key = clip(1, 11)[0], 4
    network = with_objects(sam2.build("compact"))
    expected = video_predictor_masks(network.state_dict(), frames, key)
    with torch.no_grad():
        up, _ = sam2.forward_clip(network, frames[None, key:], *box())
        down, _ = sam2.forward_clip(network, frames[None, : key + 1].flip(1), *box())
    ours = torch.cat([down.flip(1)[0, :-1], up[0]])
    assert torch.allclose(ours, expected, atol=2e-5)  # without memory they differ by 3e-3


def video_predictor_masks(weights: dict[str, torch.Tensor], frames: torch.Tensor, key: int) -> torch.Tensor:
    """Run ``SAM2VideoPredictor`` on frames (n, 3, s, s) with a box on frame ``key``, forward and in reverse."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    settings = OmegaConf.merge(
        sam2._configuration("compact"), {"_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor"}
    )
    predictor = instantiate(settings, _recursive_=True).eval()
    predictor.load_state_dict(weights)
    state = {name: {} for name in ("point_inputs_per_obj", "mask_inputs_per_obj", "cached_features", "constants")}
    state |= {name: {} for name in ("output_dict_per_obj", "temp_output_dict_per_obj", "frames_tracked_per_obj")}
    state |= {"obj_id_to_idx": OrderedDict(), "obj_idx_to_id": OrderedDict(), "obj_ids": []}
    cpu = torch.device("cpu")
    state |= {"images": frames, "num_frames": len(frames), "video_height": 128, "video_width": 128}
    state |= {"offload_video_to_cpu": False, "offload_state_to_cpu": False, "device": cpu, "storage_device": cpu}
    masks = torch.zeros(len(frames), 128, 128)
    with torch.no_grad():
        for reverse in (False, True):
            # else the way down would remember the way up
            predictor.reset_state(state)
            predictor.add_new_points_or_box(state, key, 1, box=np.array(BOX).reshape(4))
            for index, _, logits in predictor.propagate_in_video(state, key, reverse=reverse):
                masks[index] = logits[0, 0]
    return masks
