"""What one sample looks at and how it is prompted: the object, its slices, the box around it, the region shown.

The network has to follow its prompt, so the region is often far off the object's centre, a distractor is prompted as
often as the target, and some boxes hold nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ai_engine.composites import Composite
from ai_engine.domain import BoolArray, FloatArray, HuArray, UInt8Array
from ai_engine.sam2.roi import side_for

_P_NOTHING = 0.12
_P_NOTHING_OF_SHAM = 0.7
_P_POINT = 0.12
_P_LOOSE_BOX = 0.4
# Side of a box of the search over that of the tight one, and how far its middle is off, in sides of the tight one: of
# nodules planted in validation lungs 9 of 10 lie within, with a median of 1.4.
LOOSE_SIDE, LOOSE_SHIFT = (0.7, 3.0), 0.25
_P_OFF_CENTRE = 0.5
_EMPTY_LUNG_HU = -650.0
_TRIES = 8


@dataclass(frozen=True, eq=False)
class Crop:
    """A composite as one sample sees it, after it was turned and thickened.

    Attributes
    ----------
    hu, labels : (k, r, c)
        As in ``Composite``.
    spacing_krc_mm : tuple of float
        Of these arrays.
    sham_centre_krc : (3,) float64 or None
        Centre of a place that was blended without a nodule.
    """

    hu: HuArray
    labels: UInt8Array
    spacing_krc_mm: tuple[float, float, float]
    sham_centre_krc: FloatArray | None


@dataclass(frozen=True, eq=False)
class Aim:
    """One sample: what to show, what to prompt, what is true.

    Attributes
    ----------
    slices : (t,) int64
        Indices along k; the prompted slice first, then away from it.
    label : int
        The object's label in the crop; 0 where the prompt points at nothing.
    box_rc : (2, 2) float64
        Corners (low, high) of the box prompt, edges of voxels, in voxel indices along r and c.
    point_rc : (2,) float64 or None
        A point prompt instead of the box.
    centre_rc, side_mm : (2,) float64, float
        The square region that is shown.
    """

    slices: NDArray[np.int64]
    label: int
    box_rc: FloatArray
    point_rc: FloatArray | None
    centre_rc: FloatArray
    side_mm: float


def crop_of(composite: Composite, rng: np.random.Generator) -> Crop:
    """Flip a composite along all axes, swap rows and columns, and average thin slices in pairs, each by chance."""
    hu, labels, spacing = composite.hu, composite.labels, composite.spacing_krc_mm
    centre = None if composite.sham_centre_krc is None else np.array(composite.sham_centre_krc, dtype=float)
    if spacing[0] < 2.2 and rng.random() < 0.35:
        hu, labels = _paired(hu), _paired_labels(labels, int(rng.integers(2)))
        centre = None if centre is None else (centre - [0.5, 0, 0]) / [2, 1, 1]
        spacing = (2 * spacing[0], *spacing[1:])
    axes = (0, 2, 1) if spacing[1] == spacing[2] and rng.random() < 0.3 else (0, 1, 2)
    flips = tuple(-1 if rng.random() < 0.5 else 1 for _ in range(3))
    hu, labels = hu.transpose(axes), labels.transpose(axes)
    if centre is not None:
        centre = np.where(np.array(flips) < 0, np.array(hu.shape) - 1 - centre[list(axes)], centre[list(axes)])
    k, r, c = (slice(None, None, step) for step in flips)
    return Crop(hu[k, r, c], labels[k, r, c], spacing, centre)


def aim_at(crop: Crop, frames: int, rng: np.random.Generator) -> Aim:
    """Choose the object, ``frames`` slices, the prompt and the region of one sample."""
    present = [int(label) for label in np.unique(crop.labels) if label and is_whole(crop.labels == label)]
    p_nothing = _P_NOTHING if crop.sham_centre_krc is None else _P_NOTHING_OF_SHAM
    if not present or rng.random() < p_nothing:
        aim = _at_nothing(crop, frames, rng)
        if aim is not None or not present:
            return aim or _anywhere(crop, frames, rng)
    rivals = [label for label in present if label != 1]
    target = 1 in present and (not rivals or rng.random() < 0.5)
    label = 1 if target else rivals[int(rng.integers(len(rivals)))]
    others = [other for other in present if other != label]
    return _at_object(crop, label, others, frames, rng)


def _at_object(crop: Crop, label: int, others: list[int], frames: int, rng: np.random.Generator) -> Aim:
    mask = crop.labels == label
    slices = _slices(mask, frames, rng)
    plane = mask[slices[0]]
    box = _jittered(box_of(plane), plane.shape, rng)
    point = _point_in(plane, rng) if rng.random() < _P_POINT else None
    rivals = np.array([np.argwhere((crop.labels == other).any(axis=0)).mean(axis=0) for other in others])
    centre, side = _region(crop, box, rivals.reshape(-1, 2), rng)
    return Aim(slices, label, box, point, centre, side)


def _at_nothing(crop: Crop, frames: int, rng: np.random.Generator) -> Aim | None:
    """Point at a sham's place or at empty lung; None where no such place was found."""
    shape = np.array(crop.labels.shape)
    for attempt in range(_TRIES):
        side = np.exp(rng.uniform(np.log(4.0), np.log(22.0))) / crop.spacing_krc_mm[1]
        at_sham = crop.sham_centre_krc is not None and attempt == 0
        low, high = 0.2 * shape, 0.8 * shape
        centre = crop.sham_centre_krc if at_sham else low + rng.random(3) * (high - low)
        assert centre is not None
        k, middle = int(np.clip(round(centre[0]), 0, shape[0] - 1)), centre[1:]
        box = np.array([middle - side / 2, middle + side / 2])
        slices = _from(k, frames, int(shape[0]), rng)
        (r0, c0), (r1, c1) = np.maximum(box[0] - 2, 0).astype(int), np.maximum(box[1] + 3, 1).astype(int)
        if crop.labels[slices.min() : slices.max() + 1, r0:r1, c0:c1].any():
            continue
        if at_sham or crop.hu[k, r0:r1, c0:c1].mean() < _EMPTY_LUNG_HU:
            region, side_mm = _region(crop, box, np.empty((0, 2)), rng)
            return Aim(slices, 0, box, None, region, side_mm)
    return None


def _anywhere(crop: Crop, frames: int, rng: np.random.Generator) -> Aim:
    """Point at the middle of a crop without any object: it is empty whatever lies there."""
    shape = np.array(crop.labels.shape)
    side = 8.0 / crop.spacing_krc_mm[1]
    middle = (shape[1:] - 1) / 2
    box = np.array([middle - side / 2, middle + side / 2])
    centre, side_mm = _region(crop, box, np.empty((0, 2)), rng)
    return Aim(_from(int(shape[0]) // 2, frames, int(shape[0]), rng), 0, box, None, centre, side_mm)


def _slices(mask: BoolArray, frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a prompted slice of the object and walk from it: half of the time so that the walk leaves the object."""
    areas = mask.sum(axis=(1, 2))
    good = np.flatnonzero(areas >= (0.3 if rng.random() < 0.8 else 1e-9) * areas.max())
    key = int(rng.choice(good))
    step = 1 if rng.random() < 0.5 else -1
    if frames > 2 and rng.random() < 0.5:
        end = int(np.flatnonzero(areas)[-1 if step > 0 else 0])
        near = good[np.abs(end - good) <= frames - 2]
        key = int(rng.choice(near)) if len(near) else key
    return _walk(key, step, frames, len(areas))


def _from(key: int, frames: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return _walk(key, 1 if rng.random() < 0.5 else -1, frames, n)


def _walk(key: int, step: int, frames: int, n: int) -> NDArray[np.int64]:
    """Walk from a slice; the other way if the crop ends too soon and has more there; its last slice repeats."""
    room = n - 1 - key if step > 0 else key
    if room < frames - 1 and n - 1 - room > room:
        step = -step
    return np.clip(key + step * np.arange(frames), 0, n - 1)


def box_of(plane: BoolArray) -> FloatArray:
    """Edges of the tight box around a mask (r, c): (2, 2) float64."""
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return np.array([[rows[0] - 0.5, columns[0] - 0.5], [rows[-1] + 0.5, columns[-1] + 0.5]])


def _jittered(box: FloatArray, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Move and stretch a box by about 12 %, or make a loose square of it; 2 voxels at least."""
    if rng.random() < _P_LOOSE_BOX:
        box = loose_box(box, rng)
    else:
        sides = box[1] - box[0]
        middle = box.mean(axis=0) + rng.uniform(-0.1, 0.1, 2) * sides
        box = _around(middle, sides * rng.uniform(0.88, 1.12, 2))
    half = np.maximum(box[1] - box[0], 2.0) / 2
    return np.clip(_around(box.mean(axis=0), 2 * half), -0.5, np.array(shape) - 0.5)


def loose_box(box: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw a square about as far off a tight box (2, 2) as those of the search are: (2, 2) float64."""
    side = (box[1] - box[0]).mean()
    middle = box.mean(axis=0) + rng.uniform(-LOOSE_SHIFT, LOOSE_SHIFT, 2) * side
    return _around(middle, np.full(2, side * np.exp(rng.uniform(*np.log(LOOSE_SIDE)))))


def _around(middle: FloatArray, sides: FloatArray) -> FloatArray:
    return np.array([middle - sides / 2, middle + sides / 2])


def _point_in(plane: BoolArray, rng: np.random.Generator) -> FloatArray:
    """Draw a point of the mask (r, c), nearer to its middle than to its edge."""
    points = np.argwhere(plane)
    far = np.linalg.norm(points - points.mean(axis=0), axis=1)
    inner = points[far <= np.quantile(far, 0.5)]
    return inner[int(rng.integers(len(inner)))].astype(float)


def _region(crop: Crop, box: FloatArray, rivals_rc: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Lay the region shown: around the box, or off it by up to half a side, sometimes towards another object."""
    pixel = crop.spacing_krc_mm[1]
    box_mm = float((box[1] - box[0]).max()) * pixel
    side_mm = side_for(box_mm) * rng.uniform(0.8, 1.2)
    middle = box.mean(axis=0)
    off = rng.uniform(-0.08, 0.08, 2) * side_mm / pixel
    if rng.random() < _P_OFF_CENTRE:
        limit = max(0.5 * side_mm - 0.35 * box_mm, 0.0) / pixel
        wanted = rng.uniform(-limit, limit, 2)
        if len(rivals_rc) and rng.random() < 0.6:
            wanted = (rivals_rc[int(rng.integers(len(rivals_rc)))] - middle) * rng.uniform(0.3, 1.0)
        off = np.clip(wanted, -limit, limit)
    # beyond the crop there is nothing to see
    half = min(0.5 * side_mm / pixel, 0.5 * min(crop.hu.shape[1:]))
    return np.clip(middle + off, half, np.array(crop.hu.shape[1:]) - half), side_mm


def is_whole(mask: BoolArray) -> bool:
    """Whether an object is not cut by the crop's border in the plane."""
    plane: BoolArray = np.any(mask, axis=0)
    return bool(plane.any()) and not (plane[[0, -1]].any() or plane[:, [0, -1]].any())


def _paired(hu: HuArray) -> HuArray:
    """Average slices in pairs; a last odd one goes."""
    n = len(hu) // 2 * 2
    pairs = hu[:n].reshape(-1, 2, *hu.shape[1:]).astype(np.int32).sum(axis=1)
    return (pairs // 2).astype(np.int16)


def _paired_labels(labels: UInt8Array, one: int) -> UInt8Array:
    """Labels of slices averaged in pairs: those of the first or second of each, since both together are too large.

    An object that lies on the others alone stays there, so that none is lost.
    """
    pairs = labels[: len(labels) // 2 * 2].reshape(-1, 2, *labels.shape[1:])
    kept, other = pairs[:, one].copy(), pairs[:, 1 - one]
    for lost in np.setdiff1d(other, kept):
        kept[other == lost] = lost
    return kept
