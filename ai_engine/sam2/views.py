"""What the image encoder said of the slices of one region: asked once, used for every prompt and both directions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ai_engine.domain import CtVolume, FloatArray
from ai_engine.sam2 import network as sam2
from ai_engine.sam2 import roi
from ai_engine.sam2.loading import Loaded
from ai_engine.sam2.network import Features

# Slices that go through the encoder at once: enough for its speed, few enough for its memory.
_AT_ONCE = 4


@dataclass(eq=False)
class View:
    """A square region of a volume, on as many slices as were asked for.

    Attributes
    ----------
    centre_rc, side_mm : (2,) float64, float
        The region.
    """

    volume: CtVolume
    centre_rc: FloatArray
    side_mm: float
    loaded: Loaded
    _features: dict[int, Features] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Pixels along a side."""
        return sam2.image_size(self.loaded.network)

    def encode(self, ks: Iterable[int]) -> None:
        """Make sure that these slices went through the image encoder."""
        new = [k for k in ks if k not in self._features]
        for first in range(0, len(new), _AT_ONCE):
            some = new[first : first + _AT_ONCE]
            features = sam2.encode(self.loaded.network, self._frames(some))
            for index, k in enumerate(some):
                self._features[k] = features.rows(torch.tensor([index], device=self.loaded.device))

    def features(self, k: int, n: int) -> Features:
        """Return what the encoder says of one slice, for n objects on it."""
        self.encode([k])
        return self._features[k].rows(torch.zeros(n, dtype=torch.int64, device=self.loaded.device))

    def clip(self, ks: Sequence[int]) -> Features:
        """Return what the encoder says of several slices, once each."""
        self.encode(ks)
        maps = zip(*(self._features[k].maps for k in ks), strict=True)
        return Features(tuple(torch.cat(level) for level in maps), self._features[ks[0]].position)

    def points(self, points_rc: FloatArray) -> Tensor:
        """Map voxel indices (n, p, 2) as (r, c) to pixels (n, p, 2) as (x, y), a float32 tensor."""
        where = roi.pixels(points_rc, self.volume.spacing_krc_mm, self.centre_rc, self.side_mm, self.size)
        return torch.from_numpy(np.ascontiguousarray(where)).to(self.loaded.device)

    def _frames(self, ks: list[int]) -> Tensor:
        hu = self.volume.hu[ks]
        sampled = roi.resampled(hu, self.volume.spacing_krc_mm, self.centre_rc, self.side_mm, self.size)
        return torch.from_numpy(self.loaded.look(sampled)).to(self.loaded.device)


@dataclass(eq=False)
class Views:
    """The regions of one volume that were looked at last; a nodule beside another is seen in the same one."""

    volume: CtVolume
    loaded: Loaded
    most: int = 4
    _views: list[View] = field(default_factory=list)

    def around(self, box_rc: FloatArray) -> View:
        """Return a view that shows a box (2, 2), low and high edges as (r, c) in voxel indices, in its inner part."""
        spacing = np.array(self.volume.spacing_krc_mm[1:])
        side_mm = roi.side_for(float(((box_rc[1] - box_rc[0]) * spacing).max()))
        centre = box_rc.mean(axis=0)
        for view in self._views:
            off_mm = np.abs((centre - view.centre_rc) * spacing).max()
            if side_mm / 1.25 <= view.side_mm <= 1.25 * side_mm and off_mm <= 0.15 * view.side_mm:
                return view
        view = View(self.volume, centre, side_mm, self.loaded)
        self._views = [view, *self._views[: self.most - 1]]
        return view


def autocast(loaded: Loaded) -> Any:
    """Return the context in which a network runs: bfloat16 on CUDA, as SAM2 was published; float32 elsewhere."""
    return torch.autocast(loaded.device.type, torch.bfloat16, enabled=loaded.device.type == "cuda")
