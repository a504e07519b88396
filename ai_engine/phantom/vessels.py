"""Trees of vessels and airways that fill the lungs and taper, and the tubes that draw them.

A tree grows from the hilum by halving a cloud of end points along its longest direction; calibres follow Murray's law
(Murray 1926), with the exponent 2.7 that is found in lungs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ai_engine.domain import FloatArray
from ai_engine.phantom.anatomy import lung_depth
from ai_engine.phantom.frame import NATURAL_LUNG_HEIGHT_MM

CALIBRE_EXPONENT = 2.7


@dataclass(frozen=True)
class Tube:
    """A truncated cone between two points (x, y, h) in mm."""

    start_mm: FloatArray
    end_mm: FloatArray
    start_radius_mm: float
    end_radius_mm: float


def lung_points(rng: np.random.Generator, side: int, n: int, margin_mm: float) -> FloatArray:
    """Scatter n points (n, 3) in one lung (side -1 right, 1 left), at least ``margin_mm`` below the pleura."""
    found = np.empty((0, 3))
    while len(found) < n:
        xyh = rng.uniform((0, -95, 0), (135, 90, NATURAL_LUNG_HEIGHT_MM), size=(8 * n, 3)) * (side, 1, 1)
        x, y, h = xyh.astype(np.float32).T
        found = np.concatenate([found, xyh[lung_depth(x, y, h) > margin_mm]])
    return found[:n]


def tree(rng: np.random.Generator, root_mm: FloatArray, ends_mm: FloatArray, end_radius_mm: float) -> Iterator[Tube]:
    """Grow a tree from the root to all end points (n, 3); yields its tubes from the trunk outwards."""
    waiting = [(root_mm, ends_mm)]
    while waiting:
        start, ends = waiting.pop()
        radius = end_radius_mm * len(ends) ** (1 / CALIBRE_EXPONENT)
        if len(ends) == 1:
            yield from _bent(rng, start, ends[0], radius, 0.6 * radius)
            continue
        fork = start + (ends.mean(axis=0) - start) * rng.uniform(0.4, 0.6)
        halves = _halve(ends)
        tip = end_radius_mm * max(len(half) for half in halves) ** (1 / CALIBRE_EXPONENT)
        yield from _bent(rng, start, fork, radius, max(tip, 0.8 * radius))
        waiting.extend((fork, half) for half in halves)


def _halve(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Split a cloud (n, 3) at the median of its longest direction."""
    centred = points - points.mean(axis=0)
    longest = np.linalg.svd(centred, full_matrices=False)[2][0]
    order = np.argsort(centred @ longest, kind="stable")
    middle = len(points) // 2
    return points[order[:middle]], points[order[middle:]]


def _bent(rng: np.random.Generator, start: FloatArray, end: FloatArray, r0: float, r1: float) -> Iterator[Tube]:
    """Two tubes with a slight bend between them."""
    middle = (start + end) / 2 + rng.normal(scale=0.06 * float(np.linalg.norm(end - start)), size=3)
    yield Tube(start, middle, r0, (r0 + r1) / 2)
    yield Tube(middle, end, (r0 + r1) / 2, r1)


def blood_vessels(rng: np.random.Generator, ends_per_lung: int) -> list[Tube]:
    """Arteries and veins of both lungs."""
    tubes: list[Tube] = []
    for side in (-1, 1):
        for offset in ((0, -2, -6), (-4, 4, 10)):
            root = np.array([side * 40.0, 6.0, 108.0]) + np.multiply(offset, (side, 1, 1))
            ends = lung_points(rng, side, ends_per_lung, margin_mm=4)
            tubes.extend(tree(rng, root, ends, end_radius_mm=0.55))
    return tubes


def airways(rng: np.random.Generator) -> list[Tube]:
    """Trachea, main bronchi and the first generations; radii are those of the lumen."""
    carina = np.array([0.0, 20.0, 92.0])
    tubes = [Tube(np.array([0.0, 12.0, -80.0]), carina, 8.5, 8.5)]
    for side in (-1, 1):
        hilum = np.array([side * 40.0, 14.0, 112.0])
        tubes.append(Tube(carina, hilum, 6.5, 5.2))
        ends = lung_points(rng, side, 18, margin_mm=30)
        tubes.extend(tree(rng, hilum, ends, end_radius_mm=1.2))
    return tubes


class TubePainter:
    """Draws tubes into a volume, averaged over the slice thickness.

    Parameters
    ----------
    hu : (k, r, c) float32
        Painted in place.
    axes_mm : tuple of arrays
        x of the columns, y of the rows, h of the slices (in the direction of k), in true mm.
    """

    def __init__(self, hu: np.ndarray, axes_mm: tuple[FloatArray, FloatArray, FloatArray]) -> None:
        self.hu = hu
        self.origin = np.array([axis[0] for axis in reversed(axes_mm)])
        self.step = np.array([axis[1] - axis[0] for axis in reversed(axes_mm)])
        self.sub = max(1, round(abs(float(self.step[0])) / 1.0))

    def draw(self, tube: Tube, value: float, grow_mm: float = 0.0, *, darken: bool = False) -> None:
        """Draw one tube, its radius grown by ``grow_mm``: brighter wins, or darker with ``darken``."""
        start, end = tube.start_mm[::-1], tube.end_mm[::-1]
        radii = np.array([tube.start_radius_mm, tube.end_radius_mm]) + grow_mm
        box = self._box(start, end, float(radii.max()) + 1)
        if box is None:
            return
        cover = self._cover(box, start, end, radii)
        window = self.hu[box]
        mixed = window + cover * (np.float32(value) - window)
        (np.minimum if darken else np.maximum)(window, mixed, out=window)

    def _box(self, start: FloatArray, end: FloatArray, reach: float) -> tuple[slice, slice, slice] | None:
        ends = (np.stack([np.minimum(start, end) - reach, np.maximum(start, end) + reach]) - self.origin) / self.step
        low = np.maximum(np.floor(ends.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(ends.max(axis=0)).astype(int) + 1, self.hu.shape)
        if np.any(low >= high):
            return None
        k, r, c = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return k, r, c

    def _cover(
        self, box: tuple[slice, slice, slice], start: FloatArray, end: FloatArray, radii: FloatArray
    ) -> np.ndarray:
        """Share of each voxel of the box that the tube fills, float32."""
        edge = np.float32(abs(self.step[2]))
        along = end - start
        square = float(along @ along) + 1e-9
        parts = np.arange(self.sub) / self.sub - (self.sub - 1) / (2 * self.sub)
        k = (np.arange(box[0].start, box[0].stop)[:, None] + parts).ravel()
        grids = [
            (index * self.step[axis] + self.origin[axis] - start[axis]).astype(np.float32)
            for axis, index in enumerate(
                (k, np.arange(box[1].start, box[1].stop), np.arange(box[2].start, box[2].stop))
            )
        ]
        h, y, x = grids[0][:, None, None], grids[1][None, :, None], grids[2][None, None, :]
        t = np.clip((h * along[0] + y * along[1] + x * along[2]) / square, 0, 1).astype(np.float32)
        distance = np.sqrt(
            (h - t * np.float32(along[0])) ** 2
            + (y - t * np.float32(along[1])) ** 2
            + (x - t * np.float32(along[2])) ** 2
        )
        cover = np.clip((np.float32(radii[0]) + t * np.float32(radii[1] - radii[0]) - distance) / edge + 0.5, 0, 1)
        return cover.reshape(-1, self.sub, *cover.shape[1:]).mean(axis=1)
