"""Closing the lungs over what is dense in them: vessels, nodules, masses that sit on the chest wall."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.domain import BoolArray
from ai_engine.grid import Float32Array
from ai_engine.lungs.body import bounding_box
from ai_engine.lungs.sides import LEFT, RIGHT


@dataclass(frozen=True)
class Closing:
    """How the hull is closed.

    Attributes
    ----------
    ball_mm : float
        Radius of the ball that closes everywhere. Larger ones would close over the mediastinum.
    arc_degrees, height_mm : float
        Dents of the costal surface up to this wide, or up to this tall, are filled: masses on the ribs.
    minimum_depth_mm : float
        Dents thinner than this are ribs and muscle, and stay outside.
    """

    ball_mm: float = 8.0
    arc_degrees: float = 40.0
    height_mm: float = 50.0
    minimum_depth_mm: float = 8.0


# Seen from the middle of a lung, 0 is lateral and 90 the back: the costal surface. Further round lies the heart.
FRONT_DEGREES, BACK_DEGREES = -60.0, 95.0
BIN_DEGREES = 2.0


def hull_of(sides: NDArray[np.uint8], step_mm: float, closing: Closing) -> NDArray[np.uint8]:
    """Close each lung; a point claimed by both stays with its own, then with the right.

    Parameters
    ----------
    sides : (k, r, c) uint8
        Aerated lung by side, turned.
    """
    hull = sides.copy()
    for side in (RIGHT, LEFT):
        if not (sides == side).any():
            continue
        box = bounding_box(sides == side, margin=1)
        lung, here = sides[box] == side, hull[box]
        closed = _closed(lung, closing.ball_mm / step_mm) | _costal_dents(lung, side, step_mm, closing)
        here[closed & (here == 0)] = side
    return hull


def _closed(mask: BoolArray, radius: float) -> BoolArray:
    """Close with a ball of this radius (grid steps) and fill the holes of each axial slice."""
    pad = int(np.ceil(radius)) + 1
    # the lung is taken to go on beyond the ends of the scan, not beyond its sides
    padded = np.pad(np.pad(mask, ((pad, pad), (0, 0), (0, 0)), mode="edge"), ((0, 0), (pad, pad), (pad, pad)))
    grown = ndimage.distance_transform_edt(~padded) <= radius
    closed = ndimage.distance_transform_edt(grown) > radius
    closed = closed[pad:-pad, pad:-pad, pad:-pad] | mask
    return np.stack([ndimage.binary_fill_holes(image) for image in closed])


def _costal_dents(lung: BoolArray, side: int, step_mm: float, closing: Closing) -> BoolArray:
    """Find the dents of the costal surface, seen from the lung's middle as a map of radius by angle and height."""
    radius, angle_bin, n_bins = _polar(lung, side)
    surface = np.zeros((lung.shape[0], n_bins), dtype=np.float32)
    for k, image in enumerate(lung):
        at = image & (angle_bin >= 0)
        np.maximum.at(surface[k], angle_bin[at], radius[at])
    size = (max(round(closing.height_mm / step_mm), 1), max(round(closing.arc_degrees / BIN_DEGREES), 1))
    padded = np.pad(surface, [(n, n) for n in size], mode="edge")
    smooth = ndimage.grey_closing(padded, size=size)[size[0] : -size[0], size[1] : -size[1]]
    smooth[surface == 0] = 0
    dents = np.zeros(lung.shape, dtype=bool)
    for k in range(len(lung)):
        within = np.where(angle_bin >= 0, smooth[k][angle_bin], 0)
        dents[k] = (radius <= within) & (radius > np.where(angle_bin >= 0, surface[k][angle_bin], 0) - 1)
    return _thick(dents & ~lung, closing.minimum_depth_mm / 2 / step_mm)


def _polar(lung: BoolArray, side: int) -> tuple[Float32Array, NDArray[np.int_], int]:
    """Radius and angle bin (-1 outside of the costal range) of each point of an axial slice, from the lung's middle."""
    middle = np.median(np.argwhere(lung.any(axis=0)), axis=0)
    r, c = np.indices(lung.shape[1:], dtype=np.float32)
    down, lateral = r - middle[0], (c - middle[1]) * (-1 if side == RIGHT else 1)
    degrees = np.rad2deg(np.arctan2(down, lateral))
    bins = np.floor((degrees - FRONT_DEGREES) / BIN_DEGREES).astype(int)
    n_bins = round((BACK_DEGREES - FRONT_DEGREES) / BIN_DEGREES)
    bins[(bins < 0) | (bins >= n_bins)] = -1
    return np.hypot(down, lateral).astype(np.float32), bins, n_bins


def _thick(mask: BoolArray, radius: float) -> BoolArray:
    """Keep the parts that hold a ball of this radius."""
    if not mask.any():
        return mask
    labels, count = ndimage.label(mask)
    depth = ndimage.distance_transform_edt(mask)
    deepest = ndimage.maximum(depth, labels, np.arange(count + 1))
    keep = np.asarray(deepest) >= radius
    keep[0] = False
    return keep[labels]
