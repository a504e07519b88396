"""Outlines the part of a nodule that a prompt names: text encoder, adapter, SAM2. No torch before the first nodule."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ai_engine.clip.parts import Part
from ai_engine.domain import BoolArray, CtVolume, Segment

if TYPE_CHECKING:
    from ai_engine.clip.loading import Loaded as LoadedEncoder
    from ai_engine.sam2.adapter import Adapter
    from ai_engine.sam2.loading import Loaded


@dataclass(frozen=True)
class PartOutliner:
    """What outlines parts by name.

    Attributes
    ----------
    load : callable
        Gives the encoder, the adapter that was trained with it, and SAM2; called once.
    weights : str
        SHA-256 of the adapter's.
    """

    load: "Callable[[], tuple[LoadedEncoder, Adapter, Loaded]]" = field(compare=False, repr=False)
    weights: str

    def outline(self, volume: CtVolume, whole: Segment, name: str) -> Segment | None:
        """Outline a named part within the outline of a nodule on the turned volume; None where none is seen.

        What the adapter understands as the whole nodule is that outline itself.
        """
        import torch  # noqa: PLC0415 - takes seconds, and is not for every process

        from ai_engine.sam2.parts import parts_of  # noqa: PLC0415

        encoder, adapter, sam2 = self._loaded
        vector = torch.from_numpy(encoder.read([name])).float()
        with torch.no_grad():
            if tuple(Part)[int(adapter.named(vector).argmax())] is Part.WHOLE:
                return whole
            (found,) = parts_of(volume, whole, sam2, [adapter(vector)])
        return _within(whole, found[whole.box])

    @cached_property
    def _loaded(self) -> "tuple[LoadedEncoder, Adapter, Loaded]":
        return self.load()


def _within(whole: Segment, found: BoolArray) -> Segment | None:
    """Cut what was found in the box of a nodule to the nodule, and to its own box."""
    part = found & whole.mask
    if not part.any():
        return None
    box = ndimage.find_objects(part.astype(np.uint8))[0]
    k, r, c = (int(origin + axis.start) for origin, axis in zip(whole.origin_krc, box, strict=True))
    return Segment(np.ascontiguousarray(part[box]), (k, r, c))
