"""Composites as the adapter learns from them: what the frozen image encoder says of their slices, and the two parts.

The image encoder never changes, so it is asked once; a step then costs no more than SAM2's decoder and memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ai_engine.clip.parts import Part
from ai_engine.composites import Composite
from ai_engine.domain import BoolArray, FloatArray
from ai_engine.grid import Float32Array
from ai_engine.sam2 import network as sam2
from ai_engine.sam2 import roi
from ai_engine.sam2.network import Features
from ai_engine.training.aim import box_of, crop_of
from ai_engine.training.grain import regrained

_OFF_CENTRE = 0.12
# By what share of the extent an edge of a box lies inwards: SAM2 leaves some of the ground glass out, and it is the box
# of what it outlined that a part is looked for with.
_INWARDS = (-0.1, 0.25)
# Stands for the core among the labels while a composite is turned.
_CORE = 255


@dataclass(frozen=True, eq=False)
class Example:
    """One nodule, seen in one region.

    Attributes
    ----------
    maps : tuple of Tensor
        What the image encoder says of the slices that show it, each (t, channels, height, width) float16.
    whole, core : (t, size, size) bool
        The parts, on the pixels of the frames; a slice may show no core.
    """

    maps: tuple[Tensor, ...]
    whole: Tensor
    core: Tensor

    def truth(self, part: Part) -> Tensor:
        """Mask of a part, (t, size, size) bool."""
        return self.core if part is Part.CORE else self.whole


@dataclass(frozen=True, eq=False)
class Examples:
    """All that a run learns from, or is judged by; ``position`` as in ``Features``."""

    position: Tensor
    examples: tuple[Example, ...]

    def save(self, path: Path) -> None:
        """Write them."""
        torch.save({"position": self.position, "examples": [vars(each) for each in self.examples]}, path)

    @classmethod
    def read(cls, path: Path) -> "Examples":
        """Read what ``save`` wrote."""
        told = torch.load(path, weights_only=True)
        return cls(told["position"], tuple(Example(**each) for each in told["examples"]))


def examples_of(network: nn.Module, composites: Iterable[Composite], seed: int) -> Examples:
    """Show composites with a core to the image encoder: turned, thickened, in another grain, by chance.

    Parameters
    ----------
    network : nn.Module
        SAM2, in evaluation mode.
    """
    position = torch.empty(0)
    examples = []
    for number, composite in enumerate(composites):
        frames, whole, core = _shown(composite, sam2.image_size(network), np.random.default_rng((seed, number)))
        with torch.no_grad():
            features = sam2.encode(network, frames)
        position = features.position
        examples.append(Example(tuple(level.half() for level in features.maps), whole, core))
    return Examples(position, tuple(examples))


def _shown(composite: Composite, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    assert composite.core is not None
    crop = crop_of(replace(composite, labels=np.where(composite.core, np.uint8(_CORE), composite.labels)), rng)
    whole = (crop.labels == 1) | (crop.labels == _CORE)
    box, spacing = box_of(whole.any(axis=0)), crop.spacing_krc_mm
    side_mm = roi.part_side_for(float((box[1] - box[0]).max()) * spacing[1]) * rng.uniform(0.87, 1.15)
    centre = box.mean(axis=0) + rng.uniform(-_OFF_CENTRE, _OFF_CENTRE, 2) * side_mm / spacing[1]

    def seen(values: NDArray[np.generic]) -> Float32Array:
        return roi.resampled(values, spacing, centre, side_mm, size)

    masks = [torch.from_numpy(seen(mask) >= 0.5) for mask in (whole, crop.labels == _CORE)]
    there = masks[0].any(dim=2).any(dim=1)
    hu = regrained(crop.hu[there.numpy()].astype(np.float32), rng)
    return torch.from_numpy(roi.windowed(seen(hu))), masks[0][there], masks[1][there]


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices of examples, each prompted with a box around the nodule on it.

    Attributes
    ----------
    features : Features
        Of n slices.
    boxes : (n, 2, 2) float32
        Low and high corners as (x, y), in pixels.
    """

    features: Features
    boxes: Tensor


def slices_of(examples: Examples, at: Sequence[tuple[int, int]], rng: np.random.Generator) -> Slices:
    """Take slices by the numbers of their example and of the slice in it; the edges of boxes are off by chance."""
    taken = [(examples.examples[number], k) for number, k in at]
    maps = zip(*([level[k] for level in example.maps] for example, k in taken), strict=True)
    features = Features(tuple(torch.stack(level).float() for level in maps), examples.position)
    return Slices(features, torch.stack([_box(example.whole[k].numpy(), rng) for example, k in taken]))


def _box(mask: BoolArray, rng: np.random.Generator) -> Tensor:
    edges: FloatArray = box_of(mask)
    inwards = rng.uniform(*_INWARDS, (2, 2)) * (edges[1] - edges[0])
    jittered = edges + np.array([[1.0], [-1.0]]) * inwards
    return torch.from_numpy(jittered[:, ::-1].astype(np.float32).copy())
