"""Findings for people: one PNG each, outlined, with what chose it and how high it scored."""

import re

from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ai_engine.domain import BoolArray
from ai_engine.evaluation import tiles
from ai_engine.evaluation.reported import Reported, Shown

_SIDE, _CAPTION = 320, 40
_INK, _TEXT, _PAPER = (255, 90, 70), (20, 20, 20), (255, 255, 255)


def picture_of(scan: Reported, number: int) -> Image.Image:
    """Draw the finding of this number, from 1: the slice plain, and with its outline."""
    shown = scan.findings[number - 1]
    plain = tiles.grey(shown.hu, (_SIDE, _SIDE))
    sheet = Image.new("RGB", (2 * _SIDE, _SIDE + _CAPTION), _PAPER)
    sheet.paste(plain, (0, _CAPTION))
    sheet.paste(tiles.inked(plain, [(_border(shown), _INK)]), (_SIDE, _CAPTION))
    k, r, c = (round(value) for value in shown.candidate.centre_krc)
    touched = ", ".join(shown.lesions) or "nothing"
    words = [
        f"{scan.scan}, number {number}: score {shown.candidate.score:.4g}; touches {touched}",
        f"{shown.candidate.channel}, {shown.candidate.diameter_mm:.0f} mm at k {k}, r {r}, c {c}; {scan.by}",
    ]
    font = ImageFont.load_default(size=12)
    for line, text in enumerate(words):
        ImageDraw.Draw(sheet).text((4, 3 + 17 * line), text, fill=_TEXT, font=font)
    return sheet


def file_name(scan: Reported, number: int) -> str:
    """Name the picture's file."""
    return re.sub(r"[^a-z0-9.]+", "-", f"{scan.scan} {number:02d}".lower()) + ".png"


def _border(shown: Shown) -> BoolArray:
    """Draw around the outline, so that nothing of it is hidden."""
    mask = tiles.enlarged(shown.outline, (_SIDE, _SIDE))
    return ndimage.binary_dilation(mask, iterations=2) & ~mask
