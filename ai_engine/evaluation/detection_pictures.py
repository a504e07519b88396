"""False positives for people: one PNG each, with what scored it and how high."""

import re

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ai_engine.evaluation.detection import FalsePositive

# Lung window: centre -600 HU, width 1500 HU.
_DARKEST_HU, _BRIGHTEST_HU = -1350, 150
_SIDE, _CAPTION = 320, 40
_INK, _TEXT, _PAPER = (255, 90, 70), (20, 20, 20), (255, 255, 255)


def picture_of(wrong: FalsePositive, rank: int, scorer: str) -> Image.Image:
    """Draw the slice through a false positive's centre, a ring of its diameter around it."""
    grey = np.clip((wrong.hu.astype(np.float32) - _DARKEST_HU) * 255 / (_BRIGHTEST_HU - _DARKEST_HU), 0, 255)
    tile = Image.fromarray(grey.astype(np.uint8)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).convert("RGB")
    radius = (wrong.candidate.diameter_mm / 2 + 2) / wrong.pixel_mm * _SIDE / wrong.hu.shape[1]
    middle = _SIDE / 2
    ImageDraw.Draw(tile).ellipse((middle - radius, middle - radius, middle + radius, middle + radius), outline=_INK)
    sheet = Image.new("RGB", (_SIDE, _SIDE + _CAPTION), _PAPER)
    sheet.paste(tile, (0, _CAPTION))
    k, r, c = (round(value) for value in wrong.candidate.centre_krc)
    words = [
        f"{wrong.scan}, number {rank}: score {wrong.score:.4g}",
        f"{wrong.candidate.channel}, {wrong.candidate.diameter_mm:.0f} mm at k {k}, r {r}, c {c}; {scorer}",
    ]
    font = ImageFont.load_default(size=12)
    for line, text in enumerate(words):
        ImageDraw.Draw(sheet).text((4, 3 + 17 * line), text, fill=_TEXT, font=font)
    return sheet


def file_name(wrong: FalsePositive, rank: int, scorer: str) -> str:
    """Name the picture's file."""
    return re.sub(r"[^a-z0-9.]+", "-", f"{wrong.scan} {scorer} {rank:02d}".lower()) + ".png"
