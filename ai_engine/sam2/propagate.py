"""From the prompted slice along k, up and down, until the object ends. Needs torch.

SAM2 goes on seeing an object after it has ended (arXiv:2408.00756), so a way stops by rules, and only slices that the
nodule can reach are looked at.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from ai_engine.domain import BoolArray, BoxPrompt, CtVolume, FloatArray
from ai_engine.grid import Float32Array
from ai_engine.sam2 import network as sam2
from ai_engine.sam2 import roi
from ai_engine.sam2.loading import Loaded
from ai_engine.sam2.network import Answer, Walk
from ai_engine.sam2.prompting import Boxes, edges
from ai_engine.sam2.views import View, Views, autocast

# Answers are handed on with this many pixels along a side, or with the network's own if they are more.
_ANSWER_PIXELS = 128
ABSENT = -10.0


@dataclass(frozen=True)
class StopRules:
    """When a way along k ends; the slice that breaks a rule is left out.

    Attributes
    ----------
    growth : float
        The mask is larger than that of the slice before times this: it has run into something else.
    overlap : float
        Less than this share of the smaller of the two masks lies in the other: it is something else.
    object_score : float
        The network's own score, a logit, is below this: the object has ended. A little above 0, because SAM2 lets go of
        a nodule a slice too late; chosen on composites of validation patients.
    """

    growth: float = 2.5
    overlap: float = 0.2
    object_score: float = 0.5


@dataclass(frozen=True, eq=False)
class Followed:
    """What became of n prompts.

    Attributes
    ----------
    logits : (n, slices, size, size) float32
        Of the probability that a pixel belongs to an object that is there: positive on the object, ``ABSENT`` where its
        way had ended.
    object_logits : (n, slices) float32
        Positive where the network says that the object is there; ``ABSENT`` where it was not asked.
    left_out : (n,) float64
        Pixels that may still belong to the object on the slices where its way ended: the sum of their probabilities.
    """

    logits: Float32Array
    object_logits: Float32Array
    left_out: FloatArray

    @property
    def masks(self) -> BoolArray:
        """(n, slices, size, size) bool."""
        return np.asarray(self.logits > 0)

    def certainty(self, index: int) -> float:
        """Soft Dice of one prompt's mask with the probabilities it was cut from; 1 where no pixel is in doubt."""
        p, mask = expit(self.logits[index].astype(np.float64)), self.logits[index] > 0
        return float(2 * (p * mask).sum() / (p.sum() + self.left_out[index] + mask.sum()))


def follow(view: View, ks: range, key: int, boxes_rc: FloatArray, rules: StopRules | None = None) -> Followed:
    """Segment what boxes on one slice hold, along all slices of a view.

    Parameters
    ----------
    ks : range
        Slices that may be looked at, with step 1.
    key : int
        The prompted one, of ``ks``.
    boxes_rc : (n, 2, 2) float64
        Low and high edges of each box as (r, c), in voxel indices.
    rules : StopRules, optional
    """
    labels = torch.tensor([[sam2.BOX_LOW, sam2.BOX_HIGH]] * len(boxes_rc), dtype=torch.int32)
    return _follow(view, ks, key, view.points(boxes_rc), labels, rules or StopRules())


def outlined(volume: CtVolume, box: BoxPrompt, loaded: Loaded) -> BoolArray:
    """Segment what one box holds, as the node's stage does but for the lungs' border: (k, r, c) bool."""
    spacing, (n_slices, n_r, n_c) = volume.spacing_krc_mm, volume.hu.shape
    view = Views(volume, loaded).around(edges(box))
    ks = Boxes().slices(box, spacing, n_slices)
    followed = follow(view, ks, box.k, edges(box)[None])
    mask, (r, c) = roi.on_voxels(followed.logits[0], spacing, view.centre_rc, view.side_mm, (n_r, n_c))
    whole = np.zeros(volume.hu.shape, dtype=bool)
    whole[ks.start : ks.stop, r : r + mask.shape[1], c : c + mask.shape[2]] = mask
    return whole


def at_point(view: View, key: int, point_rc: FloatArray) -> Followed:
    """Segment what lies at a point (2,), (r, c) in voxel indices, on one slice alone."""
    points = view.points(point_rc[None, None])
    return _follow(view, range(key, key + 1), key, points, torch.tensor([[sam2.POSITIVE]]), StopRules())


@torch.inference_mode()
def _follow(view: View, ks: range, key: int, points: Tensor, labels: Tensor, rules: StopRules) -> Followed:
    n = len(points)
    size = max(_ANSWER_PIXELS, view.size // 4)
    found = _Found(n, ks, size)
    prompt = {"point_coords": points, "point_labels": labels.to(view.loaded.device, torch.int32)}
    with autocast(view.loaded):
        walk = Walk(view.loaded.network, len(ks))
        found.note(key, _Frame.of(walk.step(view.features(key, n), prompt), size))
        other_way = walk.turned()
        for way, slices in ((walk, range(key + 1, ks.stop)), (other_way, range(key - 1, ks.start - 1, -1))):
            _go(view, way, slices, found, key, rules)
    return Followed(found.logits, found.object_logits, found.left_out)


def _go(view: View, walk: Walk, slices: Iterable[int], found: "_Found", key: int, rules: StopRules) -> None:
    """Walk one way until all objects have ended."""
    before = found.at(key)
    going: NDArray[np.bool_] = np.asarray(before.any(axis=(1, 2)))
    for k in slices:
        if not going.any():
            return
        frame = _Frame.of(walk.step(view.features(k, len(before))), found.size)
        now = np.asarray(frame.logits > 0)
        goes = going & (frame.object_logits >= rules.object_score) & goes_on(before, now, rules)
        found.end(frame, going & ~goes)
        found.note(k, frame, goes)
        before, going = now, goes


def goes_on(before: BoolArray, now: BoolArray, rules: StopRules) -> NDArray[np.bool_]:
    """Tell for masks (n, r, c) of neighbouring slices whether the later one may still be the same object: (n,) bool."""
    area_before, area = before.sum(axis=(1, 2)), now.sum(axis=(1, 2))
    common = (before & now).sum(axis=(1, 2))
    smaller = np.minimum(area_before, area)
    return np.asarray((area > 0) & (area <= rules.growth * area_before) & (common >= rules.overlap * smaller))


@dataclass(frozen=True, eq=False)
class _Frame:
    """Answers for n objects on one slice: logits (n, size, size) of what is there, and scores (n,)."""

    logits: Float32Array
    object_logits: Float32Array

    @classmethod
    def of(cls, answer: Answer, size: int) -> "_Frame":
        """Weigh each pixel with the probability that the object is there: an unsure slice keeps its sure pixels."""
        large = nn.functional.interpolate(
            answer.mask_logits[:, None], (size, size), mode="bilinear", align_corners=False
        )
        p = large[:, 0].float().sigmoid() * answer.object_logits.float().sigmoid()[:, None, None]
        return cls(torch.logit(p, eps=1e-6).cpu().numpy(), answer.object_logits.float().cpu().numpy())


class _Found:
    """Collects answers by slice."""

    def __init__(self, n: int, ks: range, size: int) -> None:
        self.size = size
        self._first = ks.start
        self.logits = np.full((n, len(ks), size, size), ABSENT, dtype=np.float32)
        self.object_logits = np.full((n, len(ks)), ABSENT, dtype=np.float32)
        self.left_out = np.zeros(n)

    def end(self, frame: _Frame, of: NDArray[np.bool_]) -> None:
        """Keep what may still belong to objects whose way ends on this slice."""
        self.left_out[of] += expit(frame.logits[of].astype(np.float64)).sum(axis=(1, 2))

    def note(self, k: int, frame: _Frame, of: NDArray[np.bool_] | slice = slice(None)) -> None:
        self.logits[of, k - self._first] = frame.logits[of]
        self.object_logits[of, k - self._first] = frame.object_logits[of]

    def at(self, k: int) -> BoolArray:
        return np.asarray(self.logits[:, k - self._first] > 0)
