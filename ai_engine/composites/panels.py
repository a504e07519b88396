"""Sheets of small pictures: planted nodules and real lesions, to be compared by eye."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ai_engine.composites.domain import Composite
from ai_engine.domain import BoolArray, CtVolume, HuArray, UInt8Array

# Lung window: centre -600 HU, width 1500 HU.
DARKEST_HU, BRIGHTEST_HU = -1350, 150
SIDE_MM, TILE, GAP, CAPTION, COLUMNS = 60.0, 150, 4, 16, 5
INK = {1: (255, 90, 70), 2: (80, 160, 255)}
OUTSIDE_HU = -1024


@dataclass(frozen=True, eq=False)
class Picture:
    """One slice through a nodule.

    Attributes
    ----------
    hu : (r, c) int16
        The slice around the nodule's centre.
    labels : (r, c) uint8
        1 the nodule, 2 others.
    caption : str
    """

    hu: HuArray
    labels: UInt8Array
    pixel_mm: float
    caption: str


def of_composites(composites: Iterable[Composite]) -> Iterator[Picture]:
    """Cut the slice of the target's largest area out of each composite that has a target."""
    for composite in composites:
        areas = np.count_nonzero(composite.labels == 1, axis=(1, 2))
        if areas.any():
            k = int(areas.argmax())
            labels = np.minimum(composite.labels[k], 2).astype(np.uint8)
            caption = f"{composite.nodule_type}, {composite.diameter_mm:.0f} mm, {composite.lung}"
            yield _centred(composite.hu[k], labels, composite.spacing_krc_mm[1], caption)


def of_lesion(volume: CtVolume, mask: BoolArray, name: str, n: int) -> Iterator[Picture]:
    """Cut ``n`` slices, evenly spread, through a real lesion."""
    slices = np.nonzero(mask.any(axis=(1, 2)))[0]
    for k in slices[np.unique(np.linspace(0, len(slices) - 1, n).round().astype(int))]:
        yield _centred(volume.hu[k], mask[k].astype(np.uint8), volume.spacing_krc_mm[1], f"{name}, slice {k}")


def sheet(pictures: Sequence[Picture], title: str) -> Image.Image:
    """Draw pictures in rows, each beside itself with its outline."""
    rows = -(-len(pictures) // COLUMNS)
    width, height = 2 * TILE + GAP, TILE + CAPTION
    whole = Image.new("RGB", (COLUMNS * (width + GAP), 24 + rows * (height + GAP)), (255, 255, 255))
    pen = ImageDraw.Draw(whole)
    pen.text((GAP, 4), title, fill=(0, 0, 0), font=ImageFont.load_default(size=14))
    small = ImageFont.load_default(size=11)
    for i, picture in enumerate(pictures):
        left, top = (i % COLUMNS) * (width + GAP), 24 + (i // COLUMNS) * (height + GAP)
        grey = _grey(picture)
        whole.paste(Image.fromarray(grey), (left, top))
        whole.paste(Image.fromarray(_outlined(grey, picture)), (left + TILE, top))
        pen.text((left, top + TILE + 1), picture.caption, fill=(0, 0, 0), font=small)
    return whole


def _centred(hu: HuArray, labels: UInt8Array, pixel_mm: float, caption: str) -> Picture:
    half = round(SIDE_MM / 2 / pixel_mm)
    r, c = (round(float(axis.mean())) for axis in np.nonzero(labels == 1))
    cut = (slice(r, r + 2 * half), slice(c, c + 2 * half))
    around = np.pad(hu, half, constant_values=OUTSIDE_HU)[cut]
    return Picture(around, np.pad(labels, half)[cut], pixel_mm, caption)


def _grey(picture: Picture) -> NDArray[np.uint8]:
    scaled = (np.clip(picture.hu, DARKEST_HU, BRIGHTEST_HU) - DARKEST_HU) / (BRIGHTEST_HU - DARKEST_HU) * 255
    image = Image.fromarray(scaled.astype(np.uint8)).resize((TILE, TILE), Image.Resampling.BILINEAR)
    return np.repeat(np.array(image)[:, :, None], 3, axis=2)


def _outlined(grey: NDArray[np.uint8], picture: Picture) -> NDArray[np.uint8]:
    inked = grey.copy()
    large = np.array(Image.fromarray(picture.labels).resize((TILE, TILE), Image.Resampling.NEAREST))
    for value, ink in INK.items():
        inked[(large == value) & ~ndimage.binary_erosion(large == value)] = ink
    return inked
