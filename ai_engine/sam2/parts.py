"""A named part of a nodule that was outlined before: its core, say. Needs torch.

Each slice of the nodule is prompted anew, with the box around the nodule there and the tokens that name the part, in a
region of its own that shows the nodule larger. No memory leads from slice to slice: a core begins and ends within the
nodule, and SAM2's memory, made for whole objects, pulls back to the whole.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ai_engine.domain import BoolArray, CtVolume, FloatArray, Segment
from ai_engine.grid import Float32Array
from ai_engine.sam2 import network as sam2
from ai_engine.sam2 import roi
from ai_engine.sam2.loading import Loaded
from ai_engine.sam2.views import View, autocast


def parts_of(volume: CtVolume, whole: Segment, loaded: Loaded, named: Sequence[Tensor]) -> list[BoolArray]:
    """Outline parts of a nodule.

    Parameters
    ----------
    volume : CtVolume
        Turned.
    whole : Segment
        The nodule on it.
    named : sequence of (1, n_tokens, channels) float32
        What names each part (``adapter.Adapter``).

    Returns
    -------
    list of (k, r, c) bool
        Each on the whole grid of the volume; empty where the nodule has no such part, and not cut to the nodule.
    """
    planes = {whole.origin_krc[0] + k: plane for k, plane in enumerate(whole.mask) if plane.any()}
    boxes = np.stack([_edges(plane) for plane in planes.values()]) + whole.origin_krc[1:]
    low, high = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
    side_mm = roi.part_side_for(float(((high - low) * volume.spacing_krc_mm[1:]).max()))
    view = View(volume, (low + high) / 2, side_mm, loaded)
    return [_on_voxels(view, list(planes), _asked(view, list(planes), boxes, tokens)) for tokens in named]


@torch.inference_mode()
def _asked(view: View, ks: Sequence[int], boxes_rc: FloatArray, tokens: Tensor) -> Float32Array:
    """Ask for the part in each box: logits (n, size, size) that a pixel belongs to a part that is there."""
    labels = torch.tensor([[sam2.BOX_LOW, sam2.BOX_HIGH]] * len(ks), device=view.loaded.device)
    every = tokens.to(view.loaded.device).expand(len(ks), -1, -1)
    with autocast(view.loaded):
        masks, objects = sam2.forward_seen(view.loaded.network, view.clip(ks), view.points(boxes_rc), labels, every)
    p = nn.functional.sigmoid(masks[:, 0].float()) * objects.float().sigmoid()[..., None]
    return torch.logit(p, eps=1e-6).cpu().numpy()


def _on_voxels(view: View, ks: Sequence[int], logits: Float32Array) -> BoolArray:
    spacing, (_, n_r, n_c) = view.volume.spacing_krc_mm, view.volume.hu.shape
    masks, (r, c) = roi.on_voxels(logits, spacing, view.centre_rc, view.side_mm, (n_r, n_c))
    on = np.zeros(view.volume.hu.shape, dtype=bool)
    on[list(ks), r : r + masks.shape[1], c : c + masks.shape[2]] = masks
    return on


def _edges(plane: BoolArray) -> FloatArray:
    """Edges of the tight box around a mask (r, c): (2, 2) float64."""
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return np.array([[rows[0] - 0.5, columns[0] - 0.5], [rows[-1] + 0.5, columns[-1] + 0.5]])
