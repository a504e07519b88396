"""Findings for people: one PNG each, outlined, with what chose it and how high it scored."""

import re

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ai_engine.evaluation.reported import Reported, Shown

# Lung window: centre -600 HU, width 1500 HU.
_DARKEST_HU, _BRIGHTEST_HU = -1350, 150
_SIDE, _CAPTION = 320, 40
_INK, _TEXT, _PAPER = (255, 90, 70), (20, 20, 20), (255, 255, 255)


def picture_of(scan: Reported, number: int) -> Image.Image:
    """Draw the finding of this number, from 1: the slice plain, and with its outline."""
    shown = scan.findings[number - 1]
    plain = _grey(shown)
    sheet = Image.new("RGB", (2 * _SIDE, _SIDE + _CAPTION), _PAPER)
    sheet.paste(plain, (0, _CAPTION))
    sheet.paste(_inked(plain, shown), (_SIDE, _CAPTION))
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


def _grey(shown: Shown) -> Image.Image:
    grey = np.clip((shown.hu.astype(np.float32) - _DARKEST_HU) * 255 / (_BRIGHTEST_HU - _DARKEST_HU), 0, 255)
    return Image.fromarray(grey.astype(np.uint8)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).convert("RGB")


def _inked(plain: Image.Image, shown: Shown) -> Image.Image:
    outline = Image.fromarray(shown.outline.astype(np.uint8)).resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
    mask = np.array(outline, dtype=bool)
    colours = np.array(plain)
    colours[ndimage.binary_dilation(mask, iterations=2) & ~mask] = _INK
    return Image.fromarray(colours)
