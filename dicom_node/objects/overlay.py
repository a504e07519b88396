"""The slice that shows a nodule best, drawn with its outline: for key images and for people without a viewer.

Knows pixels and colours, no DICOM attributes. The picture has no patient data in it.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ai_engine.domain import HuArray
from dicom_node.objects.colours import Rgb, colour
from dicom_node.objects.ct_series import CtSeries
from dicom_node.objects.outline import on_slice
from dicom_node.objects.tracking import TrackedFinding

# Lung window: centre -600 HU, width 1500 HU.
_DARKEST_HU, _BRIGHTEST_HU = -1350, 150
# Drawn at twice the size, the outline of a small nodule leaves the nodule visible.
_SCALE = 2
_MARGIN = 8
_WHITE: Rgb = (255, 255, 255)
_WARNING = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"


def draw(series: CtSeries, found: Sequence[TrackedFinding], subject: TrackedFinding) -> Image.Image:
    """Draw the key slice of one nodule, with the outlines of all nodules on it.

    Parameters
    ----------
    found : sequence of TrackedFinding
        All findings of the series.
    subject : TrackedFinding
        The one whose key slice is drawn and whose size stands in the corner.

    Returns
    -------
    Image
        RGB, twice the rows and columns of the slice.
    """
    k = subject.finding.measurements.key_slice_k
    picture = _windowed(series.volume.hu[k])
    pen = ImageDraw.Draw(picture)
    for each in found:
        _outline(pen, each, k)
    _captions(pen, series, subject, k, picture.size)
    return picture


def _windowed(hu: HuArray) -> Image.Image:
    span = _BRIGHTEST_HU - _DARKEST_HU
    grey = np.clip((hu.astype(np.float32) - _DARKEST_HU) * (255 / span), 0, 255).astype(np.uint8)
    rows, columns = grey.shape
    large = Image.fromarray(grey).resize((columns * _SCALE, rows * _SCALE), Image.Resampling.BICUBIC)
    return large.convert("RGB")


def _outline(pen: ImageDraw.ImageDraw, each: TrackedFinding, k: int) -> None:
    borders = on_slice(each.finding.segment, k)
    if not borders:
        return
    ink = colour(each.finding.number)
    for border in borders:
        pen.line([tuple(point) for point in border * _SCALE], fill=ink, width=1)
    column, row = borders[0].max(axis=0)[0] * _SCALE + 4, borders[0].min(axis=0)[1] * _SCALE - 8
    _write(pen, (column, row), each.tracked.identifier, ink, "la")


def _captions(
    pen: ImageDraw.ImageDraw, series: CtSeries, subject: TrackedFinding, k: int, size: tuple[int, int]
) -> None:
    width, height = size
    measured = subject.finding.measurements
    heading = (
        f"{subject.tracked.identifier}: {measured.mean_diameter_mm:.1f} mm "
        f"({measured.long_axis.length_mm:.1f} x {measured.short_axis.length_mm:.1f} mm), {measured.volume_mm3:.0f} mm3"
    )
    left, right = sides(series)
    _write(pen, (_MARGIN, _MARGIN), heading, _WHITE, "la")
    _write(pen, (_MARGIN, height - _MARGIN), _WARNING, _WHITE, "ld")
    _write(
        pen, (width - _MARGIN, height - _MARGIN), f"slice {k + 1} of {len(series.slices)} from the feet", _WHITE, "rd"
    )
    _write(pen, (_MARGIN, height / 2), left, _WHITE, "lm")
    _write(pen, (width - _MARGIN, height / 2), right, _WHITE, "rm")


def _write(
    pen: ImageDraw.ImageDraw,
    where: tuple[float, float],
    text: str,
    ink: Rgb,
    anchor: Literal["la", "ld", "rd", "lm", "rm"],
) -> None:
    font = ImageFont.load_default(size=16)
    pen.text(where, text, fill=ink, font=font, anchor=anchor, stroke_width=1, stroke_fill=(0, 0, 0))


def sides(series: CtSeries) -> tuple[str, str]:
    """Return which side of the patient lies at the left and the right edge of the slices: L, R, A, P, H or F."""
    step = series.volume.affine[:3, 2]
    return letter(-step), letter(step)


def letter(direction_lps: NDArray[np.float64]) -> str:
    """Return the letter of the patient's side that a direction points to most (PS3.3 C.7.6.1.1.1)."""
    axis = int(np.argmax(np.abs(direction_lps)))
    return ("LR", "PA", "HF")[axis][int(direction_lps[axis] < 0)]
