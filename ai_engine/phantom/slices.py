"""Paint one axial slice of the thorax without its vessels."""

from collections.abc import Iterable

import numpy as np

from ai_engine.phantom.anatomy import (
    ABDOMEN,
    AIR_HU,
    CARTILAGE_HU,
    CORTEX_HU,
    DISC_HU,
    FAT_HU,
    LIVER_HU,
    MARROW_HU,
    MEDIASTINUM,
    MUSCLE_HU,
    MUSCLES,
    RIB_PITCH_MM,
    SCAPULAE,
    VERTEBRA_PITCH_MM,
    Organ,
    Plane,
    cavity_depth,
    diaphragm_h,
    ellipse_depth,
    gutters,
    lung_depth,
)


class Canvas:
    """One slice being painted; edges are as soft as a pixel is wide.

    Attributes
    ----------
    hu : (r, c) float32
        Hounsfield units so far.
    x, y : (1, c) and (r, 1) float32
        mm, as in ``frame.py``.
    """

    def __init__(self, x: Plane, y: Plane, h: float, blood_hu: float) -> None:
        self.x, self.y, self.h, self.blood_hu = x, y, h, blood_hu
        self.edge_mm = max(float(abs(x[0, 1] - x[0, 0])), 0.5)
        self.hu = np.full((y.size, x.size), AIR_HU, dtype=np.float32)

    def fill(self, depth_mm: Plane, value: float | Plane) -> None:
        """Set the value where the depth is positive."""
        cover = np.clip(depth_mm / self.edge_mm + 0.5, 0, 1)
        self.hu += cover * (value - self.hu)

    def organs(self, organs: Iterable[Organ]) -> None:
        """Paint the cuts of these organs at this height."""
        for organ in organs:
            semi = organ.at(self.h)
            if semi is not None and min(semi) > self.edge_mm / 2:
                value = self.blood_hu if organ.hu is None else organ.hu
                self.ellipse(organ.centre_mm[:2], semi, value, organ.tilt_degrees)

    def ellipse(
        self, centre: tuple[float, float], semi: tuple[float, float], value: float, tilt_degrees: float = 0.0
    ) -> None:
        """Fill an ellipse, its first axis turned from x towards y."""
        reach = max(semi) + self.edge_mm
        c0, c1 = np.searchsorted(self.x[0], (centre[0] - reach, centre[0] + reach))
        r0, r1 = np.searchsorted(self.y[:, 0], (centre[1] - reach, centre[1] + reach))
        x, y = self.x[:, c0:c1] - np.float32(centre[0]), self.y[r0:r1] - np.float32(centre[1])
        cos, sin = np.float32(np.cos(np.radians(tilt_degrees))), np.float32(np.sin(np.radians(tilt_degrees)))
        depth = ellipse_depth(x * cos + y * sin, y * cos - x * sin, (0, 0), semi)
        window = self.hu[r0:r1, c0:c1]
        window += np.clip(depth / self.edge_mm + 0.5, 0, 1) * (np.float32(value) - window)


def paint(x: Plane, y: Plane, h: float, blood_hu: float, parenchyma: Plane) -> tuple[Plane, Plane]:
    """Paint one slice.

    Parameters
    ----------
    x, y : (1, c) and (r, 1) float32
        Pixel centres, mm.
    h : float
        Height of the slice, mm below the apex, for lungs 240 mm high.
    blood_hu : float
        Attenuation of blood.
    parenchyma : (r, c) float32
        Attenuation of lung tissue without visible vessels, HU.

    Returns
    -------
    hu : (r, c) float32
    depth : (r, c) float32
        Depth below the pleura, mm; negative outside the lungs.
    """
    canvas = Canvas(x, y, h, blood_hu)
    cavity = cavity_depth(x, y, h)
    _soft_parts(canvas, cavity)
    _ribs(canvas, cavity)
    _spine(canvas)
    depth = lung_depth(x, y, h)
    canvas.fill(depth, parenchyma)
    return canvas.hu, depth


def _soft_parts(canvas: Canvas, cavity: Plane) -> None:
    x, y, h = canvas.x, canvas.y, canvas.h
    neck = 34 * float(np.exp(-max(h + 20, 0) / 40))  # the chest is narrower at the top, and more of it is muscle
    body = ellipse_depth(x, y - 0.6 * gutters(x, y), (0, 1), (170 - neck, 115 - neck / 2))
    canvas.fill(body, FAT_HU)
    canvas.organs(MUSCLES)
    canvas.fill(np.minimum(cavity + 15 + neck, body - 6), MUSCLE_HU)
    canvas.organs(SCAPULAE)
    canvas.fill(6 - body, FAT_HU)  # below the skin, whatever muscle reaches there
    canvas.fill(2 - body, 0.0)  # skin
    canvas.fill(-body, AIR_HU)
    canvas.fill(cavity + 1, FAT_HU)
    below = np.minimum(cavity, 0.7 * (h - diaphragm_h(x, y)))
    canvas.fill(below, np.where(x < 18, np.float32(LIVER_HU), np.float32(FAT_HU)))
    if h > 195:
        canvas.organs(ABDOMEN)
    canvas.organs(MEDIASTINUM)
    _couch(canvas)


def _couch(canvas: Canvas) -> None:
    """Paint the table: a thin shell below the back."""
    surface = canvas.y - 128 + (canvas.x / 60) ** 2
    inside = np.minimum(np.minimum(surface, 40 - surface), 190 - np.abs(canvas.x))
    canvas.fill(inside, -960.0)
    canvas.fill(np.minimum(inside, 2.0 - inside), -650.0)


def _ribs(canvas: Canvas, cavity: Plane) -> None:
    """Paint ribs, sloping down to the front so that a slice cuts each obliquely, and the sternum."""
    where = np.nonzero((cavity < -0.5) & (cavity > -14))
    x, y = canvas.x[0, where[1]], canvas.y[where[0], 0]
    around = np.abs(np.arctan2(x, y + 3)) / np.pi  # 0 at the back, 1 in front
    along = canvas.h - 78 * np.minimum(around, 0.8) + 60 * np.maximum(around - 0.8, 0) + 30
    across = (along + RIB_PITCH_MM / 2) % RIB_PITCH_MM - RIB_PITCH_MM / 2
    q = np.hypot(across / 6.5, (-cavity[where] - 6.5) / 4.2)
    q[(around < 0.1) | (along < -12) | (along > 265)] = 9
    bone = np.where(q > 0.62, np.float32(CORTEX_HU), np.float32(MARROW_HU))
    value = np.where(around > 0.83, np.float32(CARTILAGE_HU), bone)
    cover = np.clip((1 - q) * 4.5 / canvas.edge_mm + 0.5, 0, 1)
    canvas.hu[where] += cover * (value - canvas.hu[where])
    if 25 < canvas.h < 190:
        front = float(canvas.y[:, 0][np.argmax(cavity[:, cavity.shape[1] // 2] > 0)])
        canvas.ellipse((0, front - 8), (20, 6), CORTEX_HU)
        canvas.ellipse((0, front - 8), (18, 4.2), MARROW_HU)


def _spine(canvas: Canvas) -> None:
    """Vertebral body or disc, pedicles, lamina, processes and canal."""
    phase = canvas.h % VERTEBRA_PITCH_MM
    canvas.ellipse((0, 64), (19, 15), DISC_HU if phase < 5 else CORTEX_HU)
    if phase >= 6.5:
        canvas.ellipse((0, 64), (17.4, 13.4), MARROW_HU)
    for side in (-1, 1):
        canvas.ellipse((side * 9, 82), (4, 10), CORTEX_HU * 0.7)
        if phase > 9:
            canvas.ellipse((side * 24, 88), (17, 5), CORTEX_HU * 0.6, tilt_degrees=side * 14)
    canvas.ellipse((0, 92), (11, 4.5), CORTEX_HU * 0.8)
    if phase > 4:
        canvas.ellipse((0, 104), (3.2, 11), CORTEX_HU * 0.6)
    canvas.ellipse((0, 84), (8.5, 7.5), 25.0)
