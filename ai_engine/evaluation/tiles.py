"""Slices as tiles for people, in the lung window, with outlines inked in."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from ai_engine.domain import BoolArray, HuArray

# Lung window: centre -600 HU, width 1500 HU.
_DARKEST_HU, _BRIGHTEST_HU = -1350, 150

Ink = tuple[int, int, int]


def grey(hu: HuArray, size: tuple[int, int]) -> Image.Image:
    """Enlarge a slice (r, c) to so many columns and rows."""
    values = np.clip((hu.astype(np.float32) - _DARKEST_HU) * 255 / (_BRIGHTEST_HU - _DARKEST_HU), 0, 255)
    return Image.fromarray(values.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def enlarged(mask: BoolArray, size: tuple[int, int]) -> BoolArray:
    """Enlarge a mask (r, c) as ``grey`` does its slice."""
    return np.array(Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST), dtype=bool)


def inked(tile: Image.Image, marks: Iterable[tuple[BoolArray, Ink]]) -> Image.Image:
    """Ink pixels of a tile, later marks over earlier ones."""
    colours = np.array(tile.convert("RGB"))
    for where, ink in marks:
        colours[where] = ink
    return Image.fromarray(colours)
