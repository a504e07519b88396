"""SAM2 with weights by chance, and a stand-in that sees what is bright: enough to test all around the weights."""

from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from ai_engine.sam2 import network as sam2
from ai_engine.sam2 import roi
from ai_engine.sam2.loading import Loaded, placed

SIZE = 128
# where there is a GPU the same tests run on it too
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
_STRIDE = 4


def by_chance(seed: int = 0, *, sees_objects: bool = True, device: str = "cpu") -> Loaded:
    """Build a compact network of random weights; its occlusion head sees objects everywhere, or nowhere."""
    network = sam2.build("compact", seed=seed)
    with torch.no_grad():
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(5.0 if sees_objects else -5.0)
    return placed(network, "compact", device)


def bright() -> Loaded:
    """Build a stand-in with the interface of ``SAM2Base`` that outlines what is brighter than lung, piece by piece."""
    return Loaded(BrightSam2(), torch.device("cpu"), roi.windowed)


class _Decoder(nn.Module):
    def forward(self, masks: Tensor, objects: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return masks, objects, objects, objects


class BrightSam2(nn.Module):
    """On the prompted frame the bright pieces whose middle lies in the box; later those that touch the mask before."""

    def __init__(self) -> None:
        super().__init__()
        self.image_size, self.num_feature_levels, self.max_obj_ptrs_in_encoder = SIZE, 1, 8
        self.sam_mask_decoder = _Decoder()
        self.encoded = 0

    def forward_image(self, frames: Tensor) -> dict[str, list[Tensor]]:
        self.encoded += len(frames)
        small = nn.functional.avg_pool2d(frames[:, :1], _STRIDE)
        return {"backbone_fpn": [small], "vision_pos_enc": [torch.zeros_like(small)]}

    def track_step(
        self, *, frame_idx: int, current_vision_feats: list[Tensor], point_inputs: Any, output_dict: Any, **_: Any
    ) -> dict[str, Tensor]:
        side = SIZE // _STRIDE
        pictures = current_vision_feats[0][..., 0].T.reshape(-1, side, side).numpy()
        before = [None] * len(pictures) if point_inputs else _masks_before(output_dict, frame_idx)
        boxes = point_inputs["point_coords"].numpy() if point_inputs else [None] * len(pictures)
        logits = np.stack([_look(*each) for each in zip(pictures, before, boxes, strict=True)])
        objects = torch.tensor([[5.0 if (one > 0).any() else -5.0] for one in logits])
        masks, *_rest = self.sam_mask_decoder(torch.from_numpy(logits)[:, None], objects)
        return {"pred_masks": masks}


def _masks_before(outputs: dict[str, dict[int, dict[str, Tensor]]], step: int) -> np.ndarray:
    known = outputs["cond_frame_outputs"] | outputs["non_cond_frame_outputs"]
    return known[step - 1]["pred_masks"][:, 0].numpy() > 0


def _look(picture: np.ndarray, before: np.ndarray | None, box: np.ndarray | None) -> np.ndarray:
    logits = ((picture - (-0.4)) * 10).astype(np.float32)  # -0.4 in the first window is -580 HU
    pieces, n = ndimage.label(logits > 0)
    if before is not None:
        wanted = set(np.unique(pieces[before])) - {0}
    else:
        assert box is not None
        (x0, y0), (x1, y1) = (box[0], box[-1]) if len(box) > 1 else (box[0] - 4, box[0] + 4)
        middles = ndimage.center_of_mass(pieces > 0, pieces, range(1, n + 1))
        inside = [x0 <= _STRIDE * (x + 0.5) <= x1 and y0 <= _STRIDE * (y + 0.5) <= y1 for y, x in middles]
        wanted = {index for index, is_in in enumerate(inside, start=1) if is_in}
    near = ndimage.binary_dilation(np.isin(pieces, list(wanted)))
    return np.where(near, logits, np.float32(-10))
