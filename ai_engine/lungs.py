"""The lungs: where a finding can be, and on which side.

Works on a 2 mm grid over the whole volume. Air inside the body is found slice by slice, so that lungs cut at both ends
of the scan are found too; the airways are taken away; right and left are parted; and each lung is closed to a hull that
holds its vessels, nodules, masses on the pleura and consolidations.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.domain import BoolArray, CtVolume
from ai_engine.errors import NoLungs
from ai_engine.grid import Float32Array, Grid, grid_over

RIGHT, LEFT = 1, 2


@dataclass(frozen=True, eq=False)
class Lungs:
    """Both lungs on a grid over the whole volume.

    Attributes
    ----------
    sides : (k, r, c) uint8
        The hull of the lungs: 0 outside, ``RIGHT`` or ``LEFT`` inside. Holds vessels, nodules and consolidations.
    air : (k, r, c) bool
        Aerated lung alone.
    cut : tuple of str
        ``"top"`` and/or ``"bottom"`` where the volume ends inside the lungs.
    """

    grid: Grid
    sides: NDArray[np.uint8]
    air: BoolArray
    cut: tuple[str, ...]

    @property
    def hull(self) -> BoolArray:
        """(k, r, c) bool: inside either lung."""
        return self.sides > 0

    @property
    def volume_ml(self) -> float:
        """Volume of the hull."""
        return float(np.count_nonzero(self.sides)) * self.grid.step_mm**3 / 1000


@dataclass(frozen=True)
class ThresholdLungs:
    """Finds the lungs by threshold, connection and closing; no weights.

    Attributes
    ----------
    step_mm : float
        Of the grid.
    air_below_hu : float
        Half way between aerated lung and soft tissue.
    minimum_lung_ml : float
        Less air than this in the body is not a lung that can be analysed.
    """

    step_mm: float = 2.0
    air_below_hu: float = -400.0
    minimum_lung_ml: float = 150.0
    closing_mm: float = 8.0

    def find(self, volume: CtVolume) -> Lungs:
        """Find the lungs of a turned volume.

        Raises
        ------
        NoLungs
            There is no lung, or too little of it.
        """
        grid = grid_over(volume.hu.shape, volume.spacing_krc_mm, self.step_mm)
        hu = grid.sample(volume.hu)
        air = self._lung_air(hu)
        sides = self._hull(_parted(air))
        return Lungs(grid, sides, air, _cut(air))

    def _lung_air(self, hu: Float32Array) -> BoolArray:
        inside = _inside_body(hu, self.air_below_hu)
        airways = _airways(hu, inside, self.step_mm)
        inside &= ~ndimage.binary_dilation(airways, iterations=1)
        lungs = _large_lung_parts(hu, inside, self.minimum_lung_ml * 1000 / self.step_mm**3)
        if not lungs.any():
            raise NoLungs("no lung found: too little air inside the body, or none with the texture of lung")
        return lungs

    def _hull(self, parted: NDArray[np.uint8]) -> NDArray[np.uint8]:
        sides = np.zeros_like(parted)
        for side in (RIGHT, LEFT):
            closed = _closed(parted == side, self.closing_mm / self.step_mm)
            sides[closed & (sides == 0)] = side
        sides[parted > 0] = parted[parted > 0]
        return sides


def _inside_body(hu: Float32Array, threshold_hu: float) -> BoolArray:
    """Air that the body encloses on its axial slice."""
    inside = np.zeros(hu.shape, dtype=bool)
    for k, image in enumerate(hu):
        body = ndimage.binary_opening(image > threshold_hu, iterations=2)
        labels, count = ndimage.label(body)
        if count:
            largest = labels == 1 + np.argmax(ndimage.sum_labels(body, labels, np.arange(1, count + 1)))
            inside[k] = ndimage.binary_fill_holes(largest) & (image < threshold_hu)
    return inside


def _airways(hu: Float32Array, inside: BoolArray, step_mm: float) -> BoolArray:
    """Trachea and main bronchi: the largest growth from the trachea that does not yet leak into the lungs."""
    seeds = _trachea_seeds(hu, inside, step_mm)
    best = np.zeros(hu.shape, dtype=bool)
    if not seeds.any():
        return best
    for threshold_hu in range(-980, -820, 20):
        labels, _ = ndimage.label(inside & (hu < threshold_hu))
        hit = np.unique(labels[seeds & (labels > 0)])
        grown = np.isin(labels, hit[hit > 0])
        if np.count_nonzero(grown) * step_mm**3 > 80_000:  # trachea and main bronchi hold 30 to 60 ml
            break
        best = grown
    return best


def _trachea_seeds(hu: Float32Array, inside: BoolArray, step_mm: float) -> BoolArray:
    """Round, dark, middle holes of 1 to 8 cm2 in the upper half of the scan."""
    seeds = np.zeros(hu.shape, dtype=bool)
    for k in range(hu.shape[0] // 2, hu.shape[0]):
        labels, _ = ndimage.label(inside[k])
        for index, box in enumerate(ndimage.find_objects(labels), start=1):
            part = labels[box] == index
            area_mm2 = np.count_nonzero(part) * step_mm**2
            height, width = part.shape
            round_enough = np.count_nonzero(part) > 0.55 * height * width and max(height, width) < 2.2 * min(
                height, width
            )
            if 80 < area_mm2 < 800 and round_enough and hu[k][box][part].min() < -930:
                seeds[k][box] |= part & (hu[k][box] < -900)
    return seeds


def _large_lung_parts(hu: Float32Array, inside: BoolArray, minimum: float) -> BoolArray:
    """Parts that are large and hold tissue: bowel gas, however large, is empty."""
    labels, count = ndimage.label(inside)
    sizes = ndimage.sum_labels(inside, labels, np.arange(count + 1))
    deep = ndimage.binary_erosion(inside, iterations=2)
    tissue = ndimage.sum_labels(deep & (hu > -920), labels, np.arange(count + 1))
    interior = np.maximum(ndimage.sum_labels(deep, labels, np.arange(count + 1)), 1)
    keep = (sizes > minimum) & (tissue / interior > 0.05)
    keep[0] = False
    return keep[labels]


def _parted(air: BoolArray) -> NDArray[np.uint8]:
    """Label the right and the left lung; where they touch, each point goes to the nearer one's core."""
    depth = ndimage.distance_transform_edt(air)
    for threshold in range(0, 12):
        cores, count = ndimage.label(depth > threshold)
        sizes = ndimage.sum_labels(air, cores, np.arange(1, count + 1))
        large = 1 + np.nonzero(sizes > 0.15 * sizes.sum())[0]
        if len(large) >= 2:
            break
    middle = air.shape[2] / 2
    seeds = np.zeros(air.shape, dtype=np.uint8)
    for label in large:
        core = cores == label
        at = np.nonzero(core)[2].mean()
        seeds[core] = RIGHT if at < middle else LEFT
    if len(large) == 2 and len(np.unique(seeds)) == 2:
        first, second = (np.nonzero(cores == label)[2].mean() for label in large)
        seeds[cores == large[0]] = RIGHT if first < second else LEFT
        seeds[cores == large[1]] = LEFT if first < second else RIGHT
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    return np.where(air, seeds[tuple(nearest)], 0).astype(np.uint8)


def _closed(mask: BoolArray, radius: float) -> BoolArray:
    """Close with a ball of this radius (grid steps) and fill the holes of each axial slice."""
    pad = int(np.ceil(radius)) + 1
    # the lung is taken to go on beyond the ends of the scan, not beyond its sides
    padded = np.pad(np.pad(mask, ((pad, pad), (0, 0), (0, 0)), mode="edge"), ((0, 0), (pad, pad), (pad, pad)))
    grown = ndimage.distance_transform_edt(~padded) <= radius
    closed = ndimage.distance_transform_edt(grown) > radius
    closed = closed[pad:-pad, pad:-pad, pad:-pad] | mask
    return np.stack([ndimage.binary_fill_holes(image) for image in closed])


def _cut(air: BoolArray) -> tuple[str, ...]:
    """Name the ends of the scan at which the lungs still have a large cross-section."""
    areas = air.sum(axis=(1, 2))
    limit = 0.25 * areas.max()
    return tuple(name for name, k in (("bottom", 0), ("top", -1)) if areas[k] > limit)
