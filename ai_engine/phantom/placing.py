"""From "left lung, upper third, towards the back" to a point with room for a nodule."""

from dataclasses import dataclass

import numpy as np

from ai_engine.domain import FloatArray, Laterality
from ai_engine.errors import VolumeError
from ai_engine.phantom.anatomy import Plane, lung_depth
from ai_engine.phantom.frame import NATURAL_LUNG_HEIGHT_MM, Frame


@dataclass(frozen=True)
class LungPosition:
    """A place in one lung, as shares of the part of that lung that the volume shows.

    Attributes
    ----------
    height : float
        0 top, 1 bottom.
    front_to_back : float
        0 front, 1 back of the lung at that height.
    inside_out : float
        0 beside the mediastinum, 1 at the ribs.
    """

    laterality: Laterality
    height: float = 0.5
    front_to_back: float = 0.5
    inside_out: float = 0.5


def place(frame: Frame, position: LungPosition, room_mm: float) -> FloatArray:
    """Find a point near the position that is at least ``room_mm`` below the pleura and from the volume's ends.

    Where the lung is too narrow at the wanted height, the nearest height towards its middle is taken.

    Returns
    -------
    (3,) float64
        LPS mm.

    Raises
    ------
    VolumeError
        The lung has no such room.
    """
    x, y = np.meshgrid(np.arange(0, 140.0), np.arange(-95.0, 95.0))
    x *= -1 if position.laterality is Laterality.RIGHT else 1
    plane = x.astype(np.float32), y.astype(np.float32)
    for h in _heights(frame, position.height, room_mm):
        room = np.logical_and.reduce([lung_depth(*plane, h + up * frame.stretch) >= r for up, r in _ball(room_mm)])
        if room.any():
            row, column = _within(lung_depth(*plane, h), position)
            away = np.where(room, np.hypot(x - x[row, column], y - y[row, column]), np.inf)
            best = np.unravel_index(int(np.argmin(away)), away.shape)
            return frame.lps_mm((x[best], y[best], h))
    raise VolumeError(f"no room for {2 * room_mm:.0f} mm in the {position.laterality} lung")


def _ball(radius_mm: float) -> list[tuple[float, float]]:
    """Cuts through a ball: offset from its centre, radius of the cut; mm."""
    return [(radius_mm * float(np.sin(a)), radius_mm * float(np.cos(a))) for a in np.linspace(-np.pi / 2, np.pi / 2, 7)]


def _heights(frame: Frame, share: float, room_mm: float) -> list[float]:
    """Heights h in mm to try: at this share of the visible lung, then towards its middle; never too near the ends."""
    h = np.sort(frame.axes_xyh_mm()[2])
    room = room_mm * frame.stretch
    low, high = max(h[0], 0.0), min(h[-1], NATURAL_LUNG_HEIGHT_MM)
    wanted, middle = low + share * (high - low), (low + high) / 2
    steps = np.linspace(wanted, middle, 1 + int(abs(middle - wanted) / 2))
    return [float(step) for step in steps if h[0] + room <= step <= h[-1] - room]


def _within(depth: Plane, position: LungPosition) -> tuple[int, int]:
    """Row and column at the wanted shares of the lung's extent (r, c) at one height."""
    rows = np.nonzero((depth > 0).any(axis=1))[0]
    row = rows[round(position.front_to_back * (len(rows) - 1))]
    columns = np.nonzero(depth[row] > 0)[0]
    return int(row), int(columns[round(position.inside_out * (len(columns) - 1))])
