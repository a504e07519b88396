"""The written course of a run: a JSON line per step, and the picture of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ai_engine.domain import FloatArray

NAME = "log.jsonl"

_SIZE = (900, 420)
_FRAME = (60, 30, 840, 370)  # left, top, right, bottom of the axes, in pixels
_LOSS = (200, 80, 40)
_DICE = (30, 90, 170)
_GREY = (150, 150, 150)


class Journal:
    """Appends to ``log.jsonl`` of a run's folder.

    Parameters
    ----------
    step : int
        Steps that the run has done: lines beyond them, of a run that was cut off after its last checkpoint, go.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / NAME
        kept = [line for line in read(folder) if line["step"] <= step]
        self.path.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")

    def write(self, **values: Any) -> None:
        """Add a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(values)}\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """Read all whole lines; a last line that was cut off is left out."""
    path = folder / NAME
    return list(_lines(path)) if path.is_file() else []


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def plot(lines: list[dict[str, Any]]) -> Image.Image:
    """Draw the loss (means over a hundredth of the run, scale on the left) and the validation Dice (on the right)."""
    steps = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    dice = [(line["step"], line["dice_3d"]) for line in lines if "dice_3d" in line]
    last = max((step for step, _ in steps + dice), default=1)
    loss = _smoothed(np.array(steps, dtype=float).reshape(-1, 2))
    top = float(loss[:, 1].max()) if len(loss) else 1.0
    image = Image.new("RGB", _SIZE, "white")
    draw = ImageDraw.Draw(image)
    _axes(draw, last, top)
    _curve(draw, loss, last, top, _LOSS)
    _curve(draw, np.array(dice, dtype=float).reshape(-1, 2), last, 1.0, _DICE)
    return image


def _smoothed(points: FloatArray) -> FloatArray:
    """Means of up to 100 runs of points (n, 2)."""
    parts = np.array_split(points, min(100, max(1, len(points))))
    return np.array([part.mean(axis=0) for part in parts if len(part)]).reshape(-1, 2)


def _axes(draw: ImageDraw.ImageDraw, last: float, top: float) -> None:
    left, upper, right, lower = _FRAME
    draw.rectangle(_FRAME, outline=_GREY)
    for tenth in range(0, 11, 2):
        y = lower - (lower - upper) * tenth / 10
        x = left + (right - left) * tenth / 10
        draw.line((left, y, right, y), fill=(230, 230, 230))
        draw.text((left - 40, y - 6), f"{top * tenth / 10:.2f}", fill=_LOSS)
        draw.text((right + 10, y - 6), f"{tenth / 10:.1f}", fill=_DICE)
        draw.text((x - 12, lower + 8), f"{last * tenth / 10:.0f}", fill=_GREY)
    draw.text((left, 8), "loss", fill=_LOSS)
    draw.text((right - 110, 8), "validation 3D Dice", fill=_DICE)
    draw.text(((left + right) // 2 - 15, lower + 24), "step", fill=_GREY)


def _curve(
    draw: ImageDraw.ImageDraw, points: FloatArray, last: float, top: float, colour: tuple[int, int, int]
) -> None:
    """Draw a line through points (n, 2): step, value."""
    left, upper, right, lower = _FRAME
    x = left + (right - left) * points[:, 0] / max(last, 1)
    y = lower - (lower - upper) * np.clip(points[:, 1] / max(top, 1e-9), 0, 1)
    where = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    if len(where) > 1:
        draw.line(where, fill=colour, width=2)
    for a, b in where if len(where) <= 60 else []:
        draw.ellipse((a - 2, b - 2, a + 2, b + 2), fill=colour)
