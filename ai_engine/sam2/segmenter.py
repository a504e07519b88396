"""SAM2 as the segmentation stage: a candidate, or a person's box or point, becomes a mask and how sure it is.

Torch is loaded when the first candidate comes, never by importing this.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.candidates.prompted import candidate_of
from ai_engine.domain import (
    BoolArray,
    BoxPrompt,
    Candidate,
    FloatArray,
    PointPrompt,
    Prompt,
    Segment,
)
from ai_engine.errors import EmptySegment
from ai_engine.sam2 import roi
from ai_engine.sam2.confidence import Agreement, Confidence
from ai_engine.sam2.prompting import Boxes, box_of_largest, edges
from ai_engine.scene import Scene
from ai_engine.segment import RegionGrowing

if TYPE_CHECKING:
    from ai_engine.sam2.loading import Loaded
    from ai_engine.sam2.propagate import Followed
    from ai_engine.sam2.views import Views

# What a point shows around itself to find the box of what lies there.
_AROUND_A_POINT_MM = 16.0


class Outliner(Protocol):
    """What outlines a candidate without weights, for comparison."""

    def segment(self, scene: Scene, candidate: Candidate) -> Segment:
        """Segment one candidate; raises ``EmptySegment``."""
        ...


@dataclass(frozen=True)
class Sam2Segmenter:
    """Prompts SAM2 with a box on one slice and follows the nodule up and down.

    Attributes
    ----------
    load : callable
        Gives the network; asked once. What it gives is named by ``weights``.
    weights : str
        SHA-256 of the weights, for the digest of the algorithm.
    refine : bool
        Where the detector chose the slice: follow the nodule once, then prompt again with its own box on the slice
        where it is largest.
    most_refined : float
        A box of its own that is wider than the first one times this is a leak, and the first one stays.
    n_jitters : int
        Jittered prompts that the confidence is told from.
    beyond_lungs_mm : float
        How far a nodule may reach out of the lungs' hull.
    seed : int
        Of the jitter.
    confidence : Confidence
        How the agreements become one number, and below which a mask is doubtful.
    """

    load: "Callable[[], Loaded]" = field(compare=False, repr=False)
    weights: str
    refine: bool = True
    most_refined: float = 2.0
    n_jitters: int = 5
    beyond_lungs_mm: float = 3.0
    seed: int = 1
    confidence: Confidence = field(default_factory=Confidence)
    boxes: Boxes = field(default_factory=Boxes)
    other: Outliner = field(default_factory=RegionGrowing)

    def segment(self, scene: Scene, candidate: Candidate) -> Segment:
        """Segment one candidate on the turned grid.

        Returns
        -------
        Segment
            ``confidence`` is told from what the mask agrees with (``Agreement``).

        Raises
        ------
        EmptySegment
            SAM2 sees no object under the prompt.
        """
        return self._judged(*self.agreed(scene, candidate))

    def outline(self, scene: Scene, prompt: Prompt) -> Segment:
        """Segment what a person, or a judge, points at; the slice stays the one that was chosen.

        Raises
        ------
        EmptySegment
            SAM2 sees no object under the prompt.
        """
        return self._judged(*self.agreed(scene, candidate_of(scene, prompt)))

    def agreed(self, scene: Scene, candidate: Candidate) -> tuple[Segment, Agreement]:
        """Segment one candidate, and say what the mask agrees with; raises ``EmptySegment``."""
        box = self._box(scene, candidate)
        rng = np.random.default_rng(self.seed)
        (first, *jittered), followed = self._masks(scene, box, self.boxes.jittered(edges(box), self.n_jitters, rng))
        if first is None:
            raise EmptySegment(f"SAM2 sees no object in the box on slice {box.k}")
        with_jittered = float(np.mean([_dice(first, other) for other in jittered]))
        lead = candidate if candidate.prompt is None else candidate_of(scene, box)
        return first, Agreement(with_jittered, _dice(first, self._grown(scene, lead)), followed.certainty(0))

    def _judged(self, segment: Segment, agreement: Agreement) -> Segment:
        told = self.confidence.of(agreement)
        return replace(segment, confidence=told, is_doubtful=told < self.confidence.flag_below)

    def _box(self, scene: Scene, candidate: Candidate) -> BoxPrompt:
        """Return the box of a prompt, or find that of a detector's candidate."""
        if isinstance(candidate.prompt, PointPrompt):
            return self._box_at(scene, candidate.prompt)
        shape, spacing = scene.volume.hu.shape, scene.volume.spacing_krc_mm
        box = candidate.prompt or self.boxes.of_candidate(candidate, spacing, shape[0])
        if candidate.prompt is not None or not self.refine:
            return box
        (rough,), _ = self._masks(scene, box, edges(box)[None])
        if rough is None:
            raise EmptySegment(f"SAM2 sees no object at the candidate on slice {box.k}")
        refined = box_of_largest(rough.mask, rough.origin_krc)
        return refined if refined.side_mm(spacing) <= self.most_refined * box.side_mm(spacing) else box

    def _grown(self, scene: Scene, candidate: Candidate) -> Segment | None:
        try:
            return self.other.segment(scene, candidate)
        except EmptySegment:
            return None

    def _masks(self, scene: Scene, box: BoxPrompt, boxes_rc: FloatArray) -> tuple[list[Segment | None], "Followed"]:
        """Follow boxes (n, 2, 2) on the slice of ``box``, None where one gives nothing; and what was followed."""
        from ai_engine.sam2.propagate import follow  # noqa: PLC0415 - torch only where a candidate is

        view = self._views(scene).around(edges(box))
        spacing, (n_slices, *shape_rc) = scene.volume.spacing_krc_mm, scene.volume.hu.shape
        ks = self.boxes.slices(box, spacing, n_slices)
        followed = follow(view, ks, box.k, boxes_rc)
        n_r, n_c = shape_rc
        on_voxels = [roi.on_voxels(each, spacing, view.centre_rc, view.side_mm, (n_r, n_c)) for each in followed.logits]
        masks, (r, c) = [mask for mask, _ in on_voxels], on_voxels[0][1]
        origin = (ks.start, r, c)
        allowed = near_lungs(scene, origin, masks[0].shape, self.beyond_lungs_mm)
        return [_largest_piece(mask & allowed, origin) for mask in masks], followed

    def _box_at(self, scene: Scene, point: PointPrompt) -> BoxPrompt:
        """Ask for what lies at a point, on its slice alone, and draw the box around it."""
        from ai_engine.sam2.propagate import at_point  # noqa: PLC0415

        at = np.array([point.r, point.c], dtype=np.float64)
        spacing = scene.volume.spacing_krc_mm
        half = _AROUND_A_POINT_MM / 2 / np.array(spacing[1:])
        view = self._views(scene).around(np.array([at - half, at + half]))
        n_r, n_c = scene.volume.hu.shape[1:]
        logits = at_point(view, point.k, at).logits[0]
        mask, (r, c) = roi.on_voxels(logits, spacing, view.centre_rc, view.side_mm, (n_r, n_c))
        if not mask.any():
            raise EmptySegment(f"SAM2 sees no object at voxel {point.k}, {point.r}, {point.c}")
        return box_of_largest(mask, (point.k, r, c))

    def _views(self, scene: Scene) -> "Views":
        """Return the regions of a scene that were seen; they go with the scene."""
        from ai_engine.sam2.views import Views  # noqa: PLC0415

        if scene not in self._seen:
            self._seen[scene] = Views(scene.volume, self._loaded)
        return self._seen[scene]

    @cached_property
    def _loaded(self) -> "Loaded":
        return self.load()

    @cached_property
    def _seen(self) -> "WeakKeyDictionary[Scene, Views]":
        return WeakKeyDictionary()


def near_lungs(scene: Scene, origin_krc: tuple[int, int, int], shape: tuple[int, ...], beyond_mm: float) -> BoolArray:
    """Tell which voxels of a box of the volume lie in the lungs' hull or within so many mm of it: (k, r, c) bool."""
    grid, step = scene.fine.grid, scene.fine.grid.step_mm
    ends = grid.from_volume(np.array([origin_krc, np.add(origin_krc, shape) - 1]))
    margin = beyond_mm / step + 2
    size = np.array(scene.fine.hull.shape)
    low = np.clip(np.floor(ends[0] - margin).astype(int), 0, size - 1)
    high = np.clip(np.ceil(ends[1] + margin).astype(int) + 1, low + 1, size)
    hull = scene.fine.hull[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    if not hull.any():
        return np.zeros(shape, dtype=bool)
    near = ndimage.distance_transform_edt(~hull) * step <= beyond_mm
    stride = 1 / grid.stride_krc
    on_voxels = ndimage.affine_transform(
        near.astype(np.float32), stride, ends[0] - low, shape, order=1, mode="constant"
    )
    return np.asarray(on_voxels >= 0.5)


def _largest_piece(mask: BoolArray, origin_krc: tuple[int, int, int]) -> Segment | None:
    """Keep the largest connected piece of a mask, cut to its box; None if there is none."""
    labels, n = ndimage.label(mask)
    if n == 0:
        return None
    largest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    box = ndimage.find_objects(labels)[largest - 1]
    k, r, c = (int(start + part.start) for start, part in zip(origin_krc, box, strict=True))
    return Segment(np.ascontiguousarray(labels[box] == largest), (k, r, c))


def _dice(one: Segment, other: Segment | None) -> float:
    if other is None:
        return 0.0
    low = np.maximum(one.origin_krc, other.origin_krc)
    high = np.minimum(np.add(one.origin_krc, one.mask.shape), np.add(other.origin_krc, other.mask.shape))
    if (high <= low).any():
        return 0.0
    common = (_cut(one, low, high) & _cut(other, low, high)).sum()
    return float(2 * common / (one.mask.sum() + other.mask.sum()))


def _cut(segment: Segment, low: NDArray[np.int_], high: NDArray[np.int_]) -> BoolArray:
    at = (slice(a - o, b - o) for a, b, o in zip(low, high, segment.origin_krc, strict=True))
    return segment.mask[tuple(at)]
