"""Pictures for people: image, truth and answer side by side, as figures 3 and 4 of EMeRALDS show them.

Which subjects are shown is a matter of rank, not of choice: they are spread evenly from the best Dice to the worst.
"""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ai_engine.domain import BoolArray, HuArray
from ai_engine.evaluation import tiles
from ai_engine.evaluation.domain import Row

_TRUTH_INK, _ANSWER_INK = (80, 220, 100), (255, 90, 70)
_TILE, _GAP, _CAPTION = 256, 6, 34
_PAPER, _TEXT = (255, 255, 255), (20, 20, 20)


def panel(rows: Sequence[Row], title: str) -> Image.Image:
    """Draw one line per row: image, truth outlined, answer outlined, both.

    Parameters
    ----------
    rows : sequence of Row
        With pictures; a row that missed is shown with no outline of an answer.
    """
    drawn = [row for row in rows if row.picture is not None]
    width = 4 * (_TILE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, _CAPTION + len(drawn) * (_TILE + _CAPTION)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    pen.text((_GAP, 8), f"{title}. Image, truth (green), answer (red), both.", fill=_TEXT, font=font)
    for line, row in enumerate(drawn):
        top = _CAPTION + line * (_TILE + _CAPTION)
        pen.text((_GAP, top + 2), _caption(row), fill=_TEXT, font=font)
        for column, tile in enumerate(_tiles(row)):
            sheet.paste(tile, (_GAP + column * (_TILE + _GAP), top + _CAPTION - 12))
    return sheet


def _caption(row: Row) -> str:
    told = f"3D Dice {row.dice:.3f}" if row.scores else "missed"
    words = "not rated" if row.nodule_type is None else str(row.nodule_type)
    return f"{row.subject}: {words}, {row.diameter_mm:.0f} mm; {told}"


def _tiles(row: Row) -> list[Image.Image]:
    picture = row.picture
    if picture is None:
        return []
    grey = _enlarged(picture.hu)
    truth, answer = (_border(tiles.enlarged(mask, grey.size)) for mask in (picture.truth, picture.mask))
    return [
        _square(tiles.inked(grey, marks))
        for marks in ([], [(truth, _TRUTH_INK)], [(answer, _ANSWER_INK)], [(truth, _TRUTH_INK), (answer, _ANSWER_INK)])
    ]


def _enlarged(hu: HuArray) -> Image.Image:
    rows, columns = hu.shape
    scale = _TILE / max(rows, columns)
    return tiles.grey(hu, (max(round(columns * scale), 1), max(round(rows * scale), 1)))


def _border(mask: BoolArray) -> BoolArray:
    return mask & ~ndimage.binary_erosion(mask, iterations=2)


def _square(tile: Image.Image) -> Image.Image:
    square = Image.new("RGB", (_TILE, _TILE), _PAPER)
    square.paste(tile, ((_TILE - tile.width) // 2, (_TILE - tile.height) // 2))
    return square


def spread(rows: Sequence[Row], n: int) -> list[Row]:
    """Pick ``n`` rows with pictures, evenly from the best Dice to the worst, both included."""
    ranked = sorted((row for row in rows if row.picture is not None), key=lambda row: -row.dice)
    if len(ranked) <= n:
        return ranked
    return [ranked[round(i * (len(ranked) - 1) / (n - 1))] for i in range(n)]
