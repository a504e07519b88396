"""The chest wall, the organs and the outline of the lungs, written down as ellipses in mm.

All in the frame of ``frame.py`` for lungs 240 mm high. The numbers are those of a middle-sized adult with raised arms,
set by eye; nothing is measured from a patient.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

AIR_HU, FAT_HU, MUSCLE_HU, LIVER_HU = -1000.0, -105.0, 52.0, 60.0
CORTEX_HU, MARROW_HU, CARTILAGE_HU, DISC_HU = 620.0, 170.0, 110.0, 75.0
BLOOD = None  # an organ's value that the caller sets: with or without contrast medium

CAVITY_MM = (132.0, 88.0)
RIB_PITCH_MM = 25.0
VERTEBRA_PITCH_MM = 24.0


def ellipse_depth(
    x: Plane, y: Plane, centre: tuple[float, float], semi_axes: tuple[float | Plane, float | Plane]
) -> Plane:
    """Distance in mm to the edge of an axis-parallel ellipse, positive inside; exact to first order at the edge."""
    a, b = semi_axes
    u, v = (x - centre[0]) / a, (y - centre[1]) / b
    q = np.sqrt(u * u + v * v) + np.float32(1e-6)
    return np.asarray((1 - q) * q / (np.hypot(u / a, v / b) + np.float32(1e-9)), dtype=np.float32)


def _dome(h: Plane | float, middle: float, height: float) -> Plane:
    """Width, 0 to 1, of an ellipse that is full from ``middle`` downwards and closes ``height`` above it."""
    above = np.clip((middle - np.asarray(h, dtype=np.float32)) / height, 0, 1)
    return np.asarray(np.sqrt(1 - above * above), dtype=np.float32)


def gutters(x: Plane, y: Plane) -> Plane:
    """How far in mm the back of the chest bulges beside the spine: what makes a chest kidney-shaped."""
    u = (x / 58) ** 2
    return np.asarray(13 * u * np.exp(1 - u) * np.clip((y + 20) / 70, 0, 1), dtype=np.float32)


def cavity_depth(x: Plane, y: Plane, h: Plane | float) -> Plane:
    """Depth in mm below the inner surface of the rib cage."""
    y = y - gutters(x, y)
    width = np.maximum(_dome(h, 130, 150), np.float32(0.05))
    centre_y = -3 + 24 * (1 - width)
    return ellipse_depth(x, y - centre_y, (0, 0), (np.float32(CAVITY_MM[0]) * width, np.float32(CAVITY_MM[1]) * width))


def _mediastinum_depth(x: Plane, y: Plane, h: Plane | float) -> Plane:
    """Depth in mm below the mediastinal pleura: the great vessels' column, spine, heart and hila."""
    column = ellipse_depth(x, y, (1, 4), (34, 86))
    spine = ellipse_depth(x, y, (0, 70), (31, 33))
    depth = np.maximum(column, spine)
    for centre, semi in (((28, -24, 176), (64, 52, 66)), ((-36, 8, 112), (15, 17, 22)), ((38, 8, 108), (14, 17, 22))):
        width = np.sqrt(np.clip(1 - ((np.asarray(h, dtype=np.float32) - centre[2]) / semi[2]) ** 2, 1e-4, 1))
        depth = np.maximum(depth, ellipse_depth(x, y, centre[:2], (semi[0] * width, semi[1] * width)))
    return depth


def diaphragm_h(x: Plane, y: Plane) -> Plane:
    """Height h in mm at which the diaphragm lies below each (x, y)."""
    top = np.where(x > 0, np.float32(188), np.float32(178))
    bowl = ((np.abs(x) - 66) / 70) ** 2 + ((y + 8) / 78) ** 2
    return np.asarray(np.minimum(top + 50 * bowl, 240), dtype=np.float32)


def lung_depth(x: Plane, y: Plane, h: Plane | float) -> Plane:
    """Depth in mm below the pleura of the lung on that side (right for x < 0); negative outside the lungs."""
    apex = np.maximum(_dome(h, 100, 100), 0.02)
    depth = np.minimum(cavity_depth(x, y, h), ellipse_depth(np.abs(x), y, (61, 8), (74 * apex, 96 * apex)))
    depth = np.minimum(depth, -_mediastinum_depth(x, y, h))
    depth = np.minimum(depth, np.abs(x) - 2.5)
    return np.minimum(depth, 0.7 * (diaphragm_h(x, y) - h))


@dataclass(frozen=True)
class Organ:
    """An ellipsoid, or a straight column when ``column``; ``hu`` None is blood."""

    centre_mm: tuple[float, float, float]
    semi_axes_mm: tuple[float, float, float]
    hu: float | None
    tilt_degrees: float = 0.0
    column: bool = False

    def at(self, h: float) -> tuple[float, float] | None:
        """Semi-axes in mm of the cut at height h, or None where there is none."""
        off = abs(h - self.centre_mm[2]) / self.semi_axes_mm[2]
        if off >= 1:
            return None
        width = 1.0 if self.column else float(np.sqrt(1 - off * off))
        return self.semi_axes_mm[0] * width, self.semi_axes_mm[1] * width


#: Below the diaphragm, painted first.
ABDOMEN = (
    Organ((62, -20, 250), (52, 46, 55), 35),  # stomach
    Organ((62, -44, 250), (34, 20, 45), AIR_HU),  # its air
    Organ((92, 40, 250), (30, 34, 45), 55),  # spleen
)
MUSCLES = (
    *(Organ((s * 30, 94, 120), (27, 15, 400), MUSCLE_HU, column=True) for s in (-1, 1)),  # erector spinae
    *(Organ((s * 78, -86, 40), (62, 11, 110), MUSCLE_HU, tilt_degrees=s * 28) for s in (-1, 1)),  # pectoralis
    *(Organ((s * 118, 62, 100), (52, 17, 190), MUSCLE_HU, tilt_degrees=-s * 48) for s in (-1, 1)),  # latissimus
)
MEDIASTINUM = (
    Organ((28, -24, 176), (58, 46, 60), 42, tilt_degrees=28),  # heart muscle
    Organ((36, -20, 178), (36, 27, 44), BLOOD, tilt_degrees=28),  # its left chambers
    Organ((-14, -26, 172), (24, 26, 44), BLOOD),  # its right chambers
    Organ((-10, -24, 105), (15, 15, 38), BLOOD, column=True),  # ascending aorta
    Organ((8, 8, 72), (37, 12.5, 12), BLOOD, tilt_degrees=62),  # aortic arch
    Organ((22, 44, 172), (12, 12, 102), BLOOD, column=True),  # descending aorta
    Organ((-27, -16, 90), (9, 10, 58), BLOOD, column=True),  # superior vena cava
    Organ((-13, -8, 36), (6, 6, 34), BLOOD, column=True),  # brachiocephalic trunk
    Organ((6, -4, 36), (4.5, 4.5, 34), BLOOD, column=True),  # left common carotid artery
    Organ((19, 10, 36), (5, 5, 34), BLOOD, column=True),  # left subclavian artery
    Organ((16, -26, 112), (14, 16, 20), BLOOD),  # pulmonary trunk
    Organ((-12, -6, 110), (34, 9, 11), BLOOD, tilt_degrees=-12),  # right pulmonary artery
    Organ((28, 4, 104), (18, 10, 11), BLOOD, tilt_degrees=30),  # left pulmonary artery
    Organ((7, 37, 110), (9, 5.5, 140), 32, column=True),  # oesophagus
)
SCAPULAE = tuple(Organ((s * 104, 78, 60), (44, 5, 90), CORTEX_HU * 0.6, tilt_degrees=-s * 36) for s in (-1, 1))
