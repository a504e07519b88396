"""Closing the lungs over what is dense in them: vessels, nodules, masses that sit on the chest wall."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

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
        closed = _closed(lung | _costal_dents(lung, side, step_mm, closing), closing.ball_mm / step_mm)
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
    view = _View(lung, side)
    surface = view.surface(lung)
    size = (max(round(closing.height_mm / step_mm), 1), max(round(closing.arc_degrees / BIN_DEGREES), 1))
    padded = np.pad(surface, [(n, n) for n in size], mode="edge")
    smooth = ndimage.grey_closing(padded, size=size)[size[0] : -size[0], size[1] : -size[1]]
    smooth[surface == 0] = 0
    dents = np.zeros(lung.shape, dtype=bool)
    for k, image in enumerate(lung):
        if (smooth[k] > surface[k]).any():
            # no further than straight across: the chest wall is round, and what lies beyond the chord may be rib
            dents[k] = view.between(surface[k], smooth[k]) & ~image & _convex(image)
    return _thick(dents, closing.minimum_depth_mm / 2 / step_mm)


class _View:
    """The costal side of one lung as seen along rays from its middle, in grid steps."""

    def __init__(self, lung: BoolArray, side: int) -> None:
        self._middle = np.median(np.argwhere(lung.any(axis=0)), axis=0)
        self._lateral = -1 if side == RIGHT else 1
        r, c = np.indices(lung.shape[1:], dtype=np.float32)
        down, outwards = r - self._middle[0], (c - self._middle[1]) * self._lateral
        self._radius = np.hypot(down, outwards)
        self._n_bins = round((BACK_DEGREES - FRONT_DEGREES) / BIN_DEGREES)
        self._bin = np.floor((np.rad2deg(np.arctan2(down, outwards)) - FRONT_DEGREES) / BIN_DEGREES).astype(int)
        self._seen = (self._bin >= 0) & (self._bin < self._n_bins)

    def surface(self, lung: BoolArray) -> Float32Array:
        """Radius at which each ray leaves the lung for the last time, (k, ray) float32; 0 where it meets none."""
        angles = np.deg2rad(FRONT_DEGREES + BIN_DEGREES * (np.arange(self._n_bins) + 0.5))[:, None]
        radii = np.arange(0, float(self._radius.max()), 0.5)[None]
        rows = np.round(self._middle[0] + np.sin(angles) * radii).astype(int)
        columns = np.round(self._middle[1] + self._lateral * np.cos(angles) * radii).astype(int)
        inside = (rows >= 0) & (rows < lung.shape[1]) & (columns >= 0) & (columns < lung.shape[2])
        rows, columns = np.where(inside, rows, 0), np.where(inside, columns, 0)
        hit = lung[:, rows, columns] & inside
        last = hit.shape[2] - 1 - hit[:, :, ::-1].argmax(axis=2)
        return np.where(hit.any(axis=2), radii[0][last], 0).astype(np.float32)

    def between(self, near: Float32Array, far: Float32Array) -> BoolArray:
        """Points of one slice that lie between two radii, each given by ray."""
        ray = np.where(self._seen, self._bin, 0)
        return self._seen & (self._radius > near[ray] - 1) & (self._radius <= far[ray]) & (far[ray] > near[ray])


def _convex(image: BoolArray) -> BoolArray:
    """Convex hull of the set points of one slice."""
    edge = np.argwhere(image & ~ndimage.binary_erosion(image))
    try:
        sides = ConvexHull(edge).equations
    except QhullError:  # a line or a point has none
        return image
    points = np.indices(image.shape).reshape(2, -1)
    return (sides[:, :2] @ points + sides[:, 2:] <= 1e-6).all(axis=0).reshape(image.shape)


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
