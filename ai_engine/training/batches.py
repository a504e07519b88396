"""Composites -> batches: what a step draws is a function of plan, step and composites."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ai_engine.composites import Composite
from ai_engine.sam2 import network as sam2
from ai_engine.sam2 import roi
from ai_engine.training.aim import Aim, Crop, aim_at, crop_of
from ai_engine.training.grain import regrained
from ai_engine.training.material import Pool
from ai_engine.training.plan import Plan

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sample:
    """One prompted clip.

    Attributes
    ----------
    frames : (t, 3, size, size) float32
        As the network sees slices; the prompted one first.
    truth : (t, size, size) float32
        1 on the prompted object, else 0.
    points : (2, 2) float32
        x, y in pixels of the first frame: the corners of a box, or a point and nothing.
    point_labels : (2,) int32
        What the points are.
    """

    frames: Float32Array
    truth: Float32Array
    points: Float32Array
    point_labels: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of equal length, stacked along a new first axis."""

    frames: Tensor
    truth: Tensor
    points: Tensor
    point_labels: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Move to a device."""
        return Batch(*(part.to(device) for part in (self.frames, self.truth, self.points, self.point_labels)))


def batch_of(pool: Pool, plan: Plan, step: int, size: int) -> Batch:
    """Draw the batch of a step; frames are ``size`` pixels wide."""
    kind = plan.kind(step)
    samples = []
    for index in range(kind.size):
        rng = plan.rng(step, index)
        samples.append(sample_of(pool.draw(step, rng), kind.frames, size, rng))
    parts = ("frames", "truth", "points", "point_labels")
    return Batch(*(torch.from_numpy(np.stack([getattr(sample, part) for sample in samples])) for part in parts))


def sample_of(composite: Composite, n_frames: int, size: int, rng: np.random.Generator) -> Sample:
    """Draw one sample of a composite."""
    crop = crop_of(composite, rng)
    return _rendered(crop, aim_at(crop, n_frames, rng), size, rng)


def _rendered(crop: Crop, aim: Aim, size: int, rng: np.random.Generator) -> Sample:
    """Cut out what is shown, change its grain, sample it as the node does."""
    spacing = crop.spacing_krc_mm
    reach = aim.side_mm / 2 / spacing[1] + 3
    low = np.clip(np.floor(aim.centre_rc - reach).astype(int), 0, None)
    high = np.minimum(np.ceil(aim.centre_rc + reach).astype(int) + 1, crop.hu.shape[1:])
    part = (aim.slices, slice(low[0], high[0]), slice(low[1], high[1]))
    hu = regrained(crop.hu[part].astype(np.float32), rng)
    shown = (crop.labels[part] == aim.label) & (aim.label > 0)
    centre = aim.centre_rc - low
    frames = roi.windowed(roi.resampled(hu, spacing, centre, aim.side_mm, size))
    truth = roi.resampled(shown, spacing, centre, aim.side_mm, size) >= 0.5
    points, point_labels = _prompt(aim, spacing, size)
    return Sample(frames, truth.astype(np.float32), points, point_labels)


def _prompt(aim: Aim, spacing_krc_mm: tuple[float, float, float], size: int) -> tuple[Float32Array, NDArray[np.int32]]:
    wanted = aim.box_rc if aim.point_rc is None else np.stack([aim.point_rc, aim.centre_rc])
    points = roi.pixels(wanted, spacing_krc_mm, aim.centre_rc, aim.side_mm, size)
    labels = (sam2.BOX_LOW, sam2.BOX_HIGH) if aim.point_rc is None else (sam2.POSITIVE, sam2.NO_POINT)
    return points, np.array(labels, dtype=np.int32)
