"""SAM2's network of the `sam2` package's own modules, and its way over a clip of slices. Needs torch.

What differs from the package is what CT needs: frames are slices that were never an image file, and a clip is walked
from its prompted slice away, so that both directions along k are the same walk. One private contract of ``SAM2Base`` is
leaned on, ``track_step`` with its dict of outputs; ``tests/engine/test_sam2_network.py`` holds it against the package's
own ``SAM2VideoPredictor``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

import torch
from torch import Tensor, nn

# Labels of point prompts (sam2/modeling/sam/prompt_encoder.py).
POSITIVE, NEGATIVE, BOX_LOW, BOX_HIGH, NO_POINT = 1, 0, 2, 3, -1

# The configuration that is ours.
OWN = "compact"


def build(config: str, *, image_size: int | None = None, seed: int = 0) -> nn.Module:
    """Make a network with random weights.

    Parameters
    ----------
    config : str
        ``"compact"``, ours, or the name of a published configuration: ``"sam2.1_hiera_t"``, ``_s``, ``_b+``, ``_l``.
    image_size : int, optional
        Side of the frames in pixels instead of the configuration's own; a multiple of 32. No weight depends on it.
    seed : int
        Of the weights; the caller's source of chance stays as it is.

    Returns
    -------
    nn.Module
        ``sam2.modeling.sam2_base.SAM2Base`` on the CPU, in evaluation mode.
    """
    from hydra.utils import instantiate  # noqa: PLC0415
    from omegaconf import OmegaConf  # noqa: PLC0415

    settings = OmegaConf.merge(_configuration(config), {} if image_size is None else _sized(image_size))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = instantiate(settings, _recursive_=True)
    return network.eval()


def _configuration(config: str) -> Any:
    from omegaconf import OmegaConf  # noqa: PLC0415

    if config == OWN:
        return OmegaConf.create(resources.files("ai_engine.sam2").joinpath("configs", f"{config}.yaml").read_text())
    published = resources.files("sam2").joinpath("configs", "sam2.1", f"{config}.yaml")
    model = OmegaConf.create(published.read_text()).model
    # of several masks the first is taken on CT, not the one that the network holds to be best (arXiv:2408.00756)
    return OmegaConf.merge(model, {"multimask_output_in_sam": False, "multimask_output_for_tracking": False})


def _sized(image_size: int) -> dict[str, Any]:
    """Say what of a configuration follows the side of the frames: its own, and the map of rotary encodings."""
    attention = {"feat_sizes": [image_size // 16, image_size // 16]}
    layer = {"self_attention": attention, "cross_attention": attention}
    return {"image_size": image_size, "memory_attention": {"layer": layer}}


def image_size(network: nn.Module) -> int:
    """Return the side of the frames that a network takes, in pixels."""
    return int(network.image_size)  # type: ignore[arg-type]


def forward_clip(network: nn.Module, frames: Tensor, points: Tensor, point_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Segment one object per clip, with gradients: prompt on the first frame, memory attention over those that follow.

    Parameters
    ----------
    network : nn.Module
        Of ``build``; in training mode or not.
    frames : (b, t, 3, size, size) float32
        Slices of ``roi.frames`` in the order of the walk: the prompted slice first, then away from it along k, up or
        down (a clip that is reversed is the same slices the other way round). ``size`` is ``image_size(network)``.
    points : (b, p, 2) float32
        Prompts on the first frame as (x, y) = (column, row) in pixels of the frame, where integers are the centres of
        pixels: the frame reaches from -0.5 to size - 0.5. A box is two points, its low and its high corner.
    point_labels : (b, p) int32 or int64
        ``BOX_LOW`` 2 and ``BOX_HIGH`` 3 for the corners of a box, ``POSITIVE`` 1, ``NEGATIVE`` 0, ``NO_POINT`` -1 to
        fill up.

    Returns
    -------
    mask_logits : (b, t, size, size) float32
        Positive on the object. As the decoder gives them, before an absent object empties them: gradients flow whatever
        the object score says.
    object_logits : (b, t) float32
        Positive where the network says that the object is on the slice at all.

    Notes
    -----
    The memory of a frame is made of the network's own answer, as in SAM2's training (arXiv:2408.00714, section 4), and
    is that of an absent object wherever the object score is negative. The memory of the last frame is not made.
    """
    return forward_seen(network, encode(network, frames.transpose(0, 1).flatten(0, 1)), points, point_labels)


def forward_seen(
    network: nn.Module, features: "Features", points: Tensor, point_labels: Tensor, tokens: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Segment as ``forward_clip``, on frames that went through the image encoder.

    Parameters
    ----------
    features : Features
        Of ``t * b`` frames: the first of all clips, then the second of all...
    tokens : (b, n, channels) float32, optional
        See ``Walk``.
    """
    n_clips = len(points)
    n_frames = len(features.maps[0]) // n_clips
    rows = torch.arange(n_clips, device=points.device)
    prompt = {"point_coords": points, "point_labels": point_labels.to(torch.int32)}
    walk = Walk(network, n_frames, tokens)
    masks, objects = [], []
    for step in range(n_frames):
        answer = walk.step(features.rows(step * n_clips + rows), prompt if step == 0 else None)
        masks.append(answer.mask_logits)
        objects.append(answer.object_logits)
    return _enlarged(torch.stack(masks, 1), image_size(network)), torch.stack(objects, 1)


@dataclass(frozen=True, eq=False)
class Features:
    """What the image encoder says of n frames.

    Attributes
    ----------
    maps : tuple of Tensor
        Each (n, channels, height, width), finest first.
    position : Tensor
        (1, channels, height, width): the encoding of place on the coarsest map, the same for all frames.
    """

    maps: tuple[Tensor, ...]
    position: Tensor

    def rows(self, index: Tensor) -> "Features":
        """Take frames by their index (m,) int64, repeated if need be."""
        return Features(tuple(level[index] for level in self.maps), self.position)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each level."""
        return [(level.shape[-2], level.shape[-1]) for level in self.maps]

    @property
    def flat_maps(self) -> list[Tensor]:
        """The maps as ``SAM2Base`` wants them: (height * width, n, channels)."""
        return [_flat(level) for level in self.maps]

    @property
    def flat_position(self) -> Tensor:
        """The encoding of place as ``SAM2Base`` wants it: (height * width, n, channels)."""
        return _flat(self.position).expand(-1, len(self.maps[0]), -1)


def _flat(level: Tensor) -> Tensor:
    return level.flatten(2).permute(2, 0, 1)


def encode(network: nn.Module, frames: Tensor) -> Features:
    """Run the image encoder on frames (n, 3, size, size) float32."""
    network_out = network.forward_image(frames)  # type: ignore[operator]
    levels = int(network.num_feature_levels)  # type: ignore[arg-type]
    return Features(tuple(network_out["backbone_fpn"][-levels:]), network_out["vision_pos_enc"][-1][:1])


@dataclass(frozen=True, eq=False)
class Answer:
    """What the network says of one frame for b objects.

    Attributes
    ----------
    mask_logits : (b, size / 4, size / 4) float32
        Before an absent object empties them.
    object_logits : (b,) float32
        Positive where the object is there.
    """

    mask_logits: Tensor
    object_logits: Tensor


class Walk:
    """One way over frames, away from the prompted one; the memory grows with each step.

    Parameters
    ----------
    n_frames : int
        Most steps that will be made.
    tokens : (b, n, channels) float32, optional
        Join the sparse prompts of each frame. Without them nothing is different from SAM2.
    """

    def __init__(self, network: nn.Module, n_frames: int, tokens: Tensor | None = None) -> None:
        self._network: Any = network
        self._n_frames = n_frames
        self._tokens = tokens
        self._outputs: dict[str, dict[int, dict[str, Any]]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        self._step = 0

    def turned(self) -> "Walk":
        """Return a second walk from the same prompted frame, for the other direction."""
        other = Walk(self._network, self._n_frames, self._tokens)
        other._outputs["cond_frame_outputs"] = dict(self._outputs["cond_frame_outputs"])
        other._step = 1
        return other

    def step(
        self, features: Features, prompt: dict[str, Tensor] | None = None, *, mask: Tensor | None = None
    ) -> Answer:
        """Look at the next frame for b objects; the first step needs a prompt, or a mask (b, 1, size, size) float32."""
        first = self._step == 0
        with _ungated(self._network) as seen, _joined(self._network, self._tokens):
            out = self._network.track_step(
                frame_idx=self._step,
                is_init_cond_frame=first,
                current_vision_feats=features.flat_maps,
                current_vision_pos_embeds=[features.flat_position],  # only that of the coarsest map is used
                feat_sizes=features.sizes,
                point_inputs=prompt,
                mask_inputs=mask,
                output_dict=self._outputs,
                # the encoding of how long ago a pointer was seen must not follow the length of the clip
                num_frames=max(self._n_frames, int(self._network.max_obj_ptrs_in_encoder)),
                run_mem_encoder=self._step + 1 < self._n_frames,
            )
        self._outputs["cond_frame_outputs" if first else "non_cond_frame_outputs"][self._step] = out
        self._step += 1
        if mask is not None:
            return Answer(out["pred_masks"][:, 0].float(), mask.flatten(1).amax(1) * 20 - 10)
        return seen[-1]


@contextmanager
def _ungated(network: Any) -> Iterator[list[Answer]]:
    """Listen to the mask decoder: ``SAM2Base`` keeps only masks that its object score has let through."""
    seen: list[Answer] = []

    def listen(_decoder: nn.Module, _inputs: Any, outputs: tuple[Tensor, ...]) -> None:
        seen.append(Answer(outputs[0][:, 0].float(), outputs[3][:, 0].float()))

    handle = network.sam_mask_decoder.register_forward_hook(listen)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def _joined(network: Any, tokens: Tensor | None) -> Iterator[None]:
    """Let tokens stand behind the sparse prompts that the prompt encoder gives."""
    if tokens is None:
        yield
        return

    def join(_encoder: nn.Module, _inputs: Any, outputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        sparse, dense = outputs
        return torch.cat([sparse, tokens.to(sparse.dtype)], dim=1), dense

    handle = network.sam_prompt_encoder.register_forward_hook(join)
    try:
        yield
    finally:
        handle.remove()


def _enlarged(logits: Tensor, size: int) -> Tensor:
    """Bring masks (b, t, n, n) to the size of the frames."""
    return nn.functional.interpolate(logits, (size, size), mode="bilinear", align_corners=False)
