"""In words: type, calcification, pleura, and place in the lungs. What this tier cannot tell stays None."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.domain import (
    SOLID_ABOVE_HU,
    Candidate,
    Channel,
    CtVolume,
    Descriptors,
    FloatArray,
    Laterality,
    Location,
    NoduleType,
    Segment,
    Zone,
)
from ai_engine.lungs import LEFT, RIGHT, Lungs
from ai_engine.scene import Scene

# Vessels that cross ground glass in the outer lung are thinner than this: a solid part is not.
SOLID_PART_FROM_MM = 4.0
# Nodules denser than this all through, without contrast medium, are calcified (Siegelman, Radiology 160, 1986: 164 HU).
CALCIFIED_ABOVE_HU = 200.0
# Share of the layer around a nodule that is wall, from which on it sits on the pleura.
PLEURAL_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Look:
    """What is seen of one nodule.

    Attributes
    ----------
    solid : Segment or None
        The solid part of a part-solid nodule.
    """

    descriptors: Descriptors
    location: Location
    solid: Segment | None


def look_at(scene: Scene, candidate: Candidate, segment: Segment) -> Look:
    """Describe one segment of the turned volume."""
    nodule_type, solid = NoduleType.SOLID, None
    if candidate.channel is Channel.GROUND_GLASS:
        solid = solid_part(scene.volume, segment)
        nodule_type = NoduleType.GROUND_GLASS if solid is None else NoduleType.PART_SOLID
    descriptors = Descriptors(
        nodule_type=nodule_type,
        calcified=_calcified(scene.volume, segment),
        juxtapleural=_on_pleura(scene, segment),
    )
    return Look(descriptors, locate(scene.lungs, segment), solid)


def faint_share(volume: CtVolume, segment: Segment) -> float | None:
    """Share of a segment that is fainter than solid, its outermost layer left out: that is part lung anywhere.

    Returns
    -------
    float or None
        None where the segment is nothing but that layer.
    """
    reach = [1 if axis == 0 else max(round(1.0 / mm), 1) for axis, mm in enumerate(volume.spacing_krc_mm)]
    inside = ndimage.binary_erosion(segment.mask, np.ones([2 * n + 1 for n in reach], dtype=bool))
    if not inside.any():
        return None
    return float((volume.hu[segment.box][inside] < SOLID_ABOVE_HU).mean())


def solid_part(volume: CtVolume, segment: Segment) -> Segment | None:
    """Find the largest part of a segment that is solid and thicker than a vessel, or None."""
    hu = volume.hu[segment.box]
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), [0.7 / s for s in volume.spacing_krc_mm])
    labels, count = ndimage.label(segment.mask & (smooth > SOLID_ABOVE_HU))
    if not count:
        return None
    depth = ndimage.distance_transform_edt(np.pad(labels > 0, 1), sampling=volume.spacing_krc_mm)[1:-1, 1:-1, 1:-1]
    # half a voxel more than the distance between centres
    thickness = 2 * np.asarray(ndimage.maximum(depth, labels, np.arange(1, count + 1))) - min(volume.spacing_krc_mm)
    sizes = np.bincount(labels.ravel())[1:] * (thickness >= SOLID_PART_FROM_MM)
    if not sizes.any():
        return None
    return Segment(labels == 1 + int(sizes.argmax()), segment.origin_krc)


def _calcified(volume: CtVolume, segment: Segment) -> bool | None:
    """Tell a nodule calcified all through; with contrast medium, or only a part dense, this tier cannot tell."""
    hu = volume.hu[segment.box][segment.mask]
    if np.percentile(hu, 95) < CALCIFIED_ABOVE_HU:
        return False
    return True if np.median(hu) > CALCIFIED_ABOVE_HU and volume.contrast is False else None


def _on_pleura(scene: Scene, segment: Segment) -> bool:
    """Tell whether the layer around a segment holds more than a little of what is not lung."""
    step_mm = scene.fine.grid.step_mm
    reach = [max(round(2 * step_mm / spacing), 1) for spacing in scene.volume.spacing_krc_mm]
    mask = np.pad(segment.mask, [(n, n) for n in reach])
    layer = np.argwhere(ndimage.binary_dilation(mask, np.ones([2 * n + 1 for n in reach], dtype=bool)) & ~mask)
    on_volume = layer - reach + np.array(segment.origin_krc)
    at = np.round(scene.fine.grid.from_volume(on_volume)).astype(int)
    inside = ((at >= 0) & (at < scene.fine.hull.shape)).all(axis=1)
    hull = np.zeros(len(at), dtype=bool)
    hull[inside] = scene.fine.hull[tuple(at[inside].T)]
    return bool(1 - hull.mean() > PLEURAL_SHARE)


def locate(lungs: Lungs, segment: Segment) -> Location:
    """Side and zone of one segment of the turned volume; the lobe is not known to this tier."""
    at = lungs.grid.from_volume(segment.middle_krc)
    side = _side(lungs, at)
    occupied = np.nonzero((lungs.sides == side).any(axis=(1, 2)))[0]
    height = (at[0] - occupied[0]) / max(occupied[-1] - occupied[0], 1)
    zone = Zone.LOWER if height < 1 / 3 else Zone.MIDDLE if height < 2 / 3 else Zone.UPPER
    return Location(Laterality.RIGHT if side == RIGHT else Laterality.LEFT, zone)


def _side(lungs: Lungs, at: FloatArray) -> int:
    """Lung in which a point lies, or the one whose middle column is nearer."""
    k, r, c = (int(np.clip(round(value), 0, n - 1)) for value, n in zip(at, lungs.sides.shape, strict=True))
    if lungs.sides[k, r, c]:
        return int(lungs.sides[k, r, c])
    columns = {side: np.nonzero((lungs.sides == side).any(axis=(0, 1)))[0] for side in (RIGHT, LEFT)}
    return min((s for s in columns if len(columns[s])), key=lambda s: abs(float(columns[s].mean()) - at[2]))
