"""The outline of a mask on one slice, along the edges of its pixels."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from ai_engine.domain import BoolArray, Segment

Point = tuple[int, int]
# From a corner of a pixel, the steps (column, row) to try, for each step that led there: right turn first, so that
# pixels that touch at a corner only get outlines of their own.
_TURNS: dict[Point, tuple[Point, Point, Point]] = {
    (1, 0): ((0, 1), (1, 0), (0, -1)),
    (0, 1): ((-1, 0), (0, 1), (1, 0)),
    (-1, 0): ((0, -1), (-1, 0), (0, 1)),
    (0, -1): ((1, 0), (0, -1), (-1, 0)),
}


def outlines(mask: BoolArray) -> list[NDArray[np.float64]]:
    """Trace the borders of a mask.

    Parameters
    ----------
    mask : (r, c) bool
        May be empty.

    Returns
    -------
    list of (n, 2) float64
        Closed polygons of (column, row), first point repeated, the one that encloses most first; holes are borders too.
        Coordinates as in SCOORD (PS3.3 C.18.6): pixel (r, c) fills the square from (c, r) to (c + 1, r + 1).
    """
    steps = _border(mask)
    loops = []
    while steps:
        loops.append(_corners(_walk(steps)))
    return sorted(loops, key=_area, reverse=True)


def on_slice(segment: Segment, k: int) -> list[NDArray[np.float64]]:
    """Return the outlines of a segment on slice ``k`` of its volume, as ``outlines`` does; none where it is not."""
    first_k, first_row, first_column = segment.origin_krc
    if not 0 <= k - first_k < len(segment.mask):
        return []
    origin = np.array([first_column, first_row])
    return [polygon + origin for polygon in outlines(segment.mask[k - first_k])]


def _border(mask: BoolArray) -> dict[Point, set[Point]]:
    """Return the border of the mask as steps of one pixel from corner to corner, the mask on the right-hand side."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    steps: dict[Point, set[Point]] = defaultdict(set)
    for outside, (column, row), step in (
        (~padded[:-2, 1:-1], (0, 0), (1, 0)),
        (~padded[1:-1, 2:], (1, 0), (0, 1)),
        (~padded[2:, 1:-1], (1, 1), (-1, 0)),
        (~padded[1:-1, :-2], (0, 1), (0, -1)),
    ):
        for r, c in np.argwhere(inside & outside):
            steps[int(c) + column, int(r) + row].add(step)
    return steps


def _walk(steps: dict[Point, set[Point]]) -> list[Point]:
    """Take one closed way out of the steps."""
    start = min(steps)
    step = next(iter(steps[start]))
    way, here = [start], start
    while True:
        steps[here].discard(step)
        if not steps[here]:
            del steps[here]
        here = (here[0] + step[0], here[1] + step[1])
        way.append(here)
        if here == start and len(way) > 1:
            return way
        step = next(turn for turn in _TURNS[step] if turn in steps[here])


def _corners(way: list[Point]) -> NDArray[np.float64]:
    points = np.array(way[:-1], dtype=np.float64)
    turns = np.any((points - np.roll(points, 1, axis=0)) != (np.roll(points, -1, axis=0) - points), axis=1)
    corners = points[turns]
    return np.concatenate([corners, corners[:1]])


def _area(polygon: NDArray[np.float64]) -> float:
    x, y = polygon[:-1].T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
