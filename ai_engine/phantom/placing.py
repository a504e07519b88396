"""From "left lung, upper third, towards the back" to a point with room for a nodule."""

from dataclasses import dataclass

import numpy as np

from ai_engine.domain import FloatArray, Laterality
from ai_engine.errors import VolumeError
from ai_engine.phantom.anatomy import lung_depth
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
    """Find the point nearest to the position that is at least ``room_mm`` below the pleura and from the volume's ends.

    Returns
    -------
    (3,) float64
        LPS mm.

    Raises
    ------
    VolumeError
        The lung has no such room at this height.
    """
    h = _height(frame, position.height, room_mm)
    x, y = np.meshgrid(np.arange(0, 140.0), np.arange(-95.0, 95.0))
    x *= -1 if position.laterality is Laterality.RIGHT else 1
    depth = lung_depth(x.astype(np.float32), y.astype(np.float32), h)
    rows = np.nonzero((depth > 0).any(axis=1))[0]
    room = depth >= room_mm
    if not room.any():
        raise VolumeError(
            f"no room for {2 * room_mm:.0f} mm in the {position.laterality} lung at {position.height:.2f}"
        )
    row = rows[round(position.front_to_back * (len(rows) - 1))]
    columns = np.nonzero(depth[row] > 0)[0]
    column = columns[round(position.inside_out * (len(columns) - 1))]
    away = np.where(room, np.hypot(x - x[row, column], y - y[row, column]), np.inf)
    best = np.unravel_index(int(np.argmin(away)), away.shape)
    return frame.lps_mm((x[best], y[best], h))


def _height(frame: Frame, share: float, room_mm: float) -> float:
    """Height h in mm at this share of the visible lung, at least ``room_mm`` from the volume's ends."""
    h = np.sort(frame.axes_xyh_mm()[2])
    low, high = max(h[0], 0.0), min(h[-1], NATURAL_LUNG_HEIGHT_MM)
    room = room_mm * frame.stretch
    return float(np.clip(low + share * (high - low), h[0] + room, h[-1] - room))
