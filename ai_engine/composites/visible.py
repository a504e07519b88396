"""What a painted nodule shows. Not all that is painted is seen: a core of a millimetre, a rim of half a one, a fleck.

Words are learnt from, and judged by, what a reader could see: what the picture does not clearly show is not known.
"""

import numpy as np
from scipy import ndimage

from ai_engine.composites.domain import Composite
from ai_engine.domain import SOLID_ABOVE_HU, BoolArray, HuArray, NoduleType
from ai_engine.grid import Float32Array

# Below this size readers do not tell part-solid from the others (Fleischner Society, Radiology 2017;284:228).
PART_SOLID_FROM_MM = 6.0
# A smaller solid part is not measured, let alone named (Bankier, Radiology 2017;285:584).
CORE_FROM_MM = 3.0
# A vessel through ground glass is as long as the nodule, but as a ball no larger than this share of it.
VESSEL_SHARE = 1 / 3
# Share of ground glass in what is no edge: below the first a nodule is solid, from the second on part-solid. As balls
# in balls of 12 mm on thin slices: a core of more than 0.73, of less than 0.7 of the diameter. In between neither word
# is right or wrong: readers agree but moderately on types, and least on part-solid (kappa 0.51: van Riel, Radiology
# 2015;277:863).
SOLID_GLASS_BELOW, PART_SOLID_GLASS_FROM = 0.15, 0.3
# No soft tissue is as dense, and no fleck that is smaller is sure to be more than noise.
CALCIUM_ABOVE_HU, CALCIUM_FROM_MM = 200.0, 2.0
# What is not so much denser than the lung around is lung to the eye: readers' outlines are wide, and paint can be thin.
GLASS_OVER_LUNG_HU = 100.0
_LUNG_HU, _LUNG_BELOW_HU = -850.0, -600.0
_AROUND = 5
# So wide is the edge of the outline, and that of solid tissue, which fades over ground glass as over lung. Either is at
# least a voxel: on the slice above a core in lung, half of one looks like ground glass.
_EDGE_MM, _SOLID_EDGE_MM = 0.7, 1.0
_NOISE_KRC_MM = (0.3, 0.6, 0.6)


def visible_type(
    hu: HuArray, mask: BoolArray, spacing_krc_mm: tuple[float, float, float], diameter_mm: float, painted: NoduleType
) -> NoduleType | None:
    """Return the painted type if the picture clearly shows it, else None.

    Parameters
    ----------
    hu, mask : (k, r, c) int16, bool
        The scan, or a crop of it, and the planted outline.
    spacing_krc_mm : tuple of float
        Distance of voxel centres along k, r and c.
    diameter_mm : float
        Of the outline.
    painted : NoduleType
        What the renderer painted.

    Raises
    ------
    ValueError
        The outline is empty.
    """
    if not mask.any():
        raise ValueError("the outline of a planted nodule holds no voxel")
    glass, core_mm = _parts(hu, mask, spacing_krc_mm)
    has_core = core_mm >= CORE_FROM_MM
    shown = {
        # in a small one the edge is all there is: what was painted stands
        NoduleType.SOLID: has_core and (glass < SOLID_GLASS_BELOW or diameter_mm < PART_SOLID_FROM_MM),
        NoduleType.PART_SOLID: has_core and glass >= PART_SOLID_GLASS_FROM and diameter_mm >= PART_SOLID_FROM_MM,
        NoduleType.GROUND_GLASS: core_mm < max(CORE_FROM_MM, VESSEL_SHARE * diameter_mm),
    }
    return painted if shown[painted] else None


def type_shown(composite: Composite) -> NoduleType | None:
    """Return the type that a composite's target clearly shows; None for a sham."""
    painted, target = composite.nodule_type, composite.labels == 1
    if painted is None:
        return None
    return visible_type(composite.hu, target, composite.spacing_krc_mm, composite.diameter_mm, painted)


def shows_calcium(hu: HuArray, mask: BoolArray, spacing_krc_mm: tuple[float, float, float]) -> bool:
    """Tell whether the picture shows calcium within an outline; axes and units as of ``visible_type``."""
    box = _box_around(mask)
    dense = mask[box] & (_soft(hu[box], spacing_krc_mm) > CALCIUM_ABOVE_HU)
    return _largest_mm(dense, spacing_krc_mm) >= CALCIUM_FROM_MM


def _parts(hu: HuArray, mask: BoolArray, spacing_krc_mm: tuple[float, float, float]) -> tuple[float, float]:
    """Share of ground glass in what of a nodule is no edge; diameter in mm of a ball as large as its solid part."""
    box = _box_around(mask)
    inside, spacing = mask[box], np.array(spacing_krc_mm)
    soft = _soft(hu[box], spacing_krc_mm)
    from_edge = np.minimum(spacing, _EDGE_MM)
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=from_edge)[1:-1, 1:-1, 1:-1]
    lung = soft[~inside & (soft < _LUNG_BELOW_HU)]
    over = soft > (np.median(lung) if lung.size else _LUNG_HU) + GLASS_OVER_LUNG_HU
    solid = inside & (soft > SOLID_ABOVE_HU)
    from_solid = np.minimum(spacing, _SOLID_EDGE_MM)
    off_solid = ndimage.distance_transform_edt(~solid, sampling=from_solid) if solid.any() else np.inf
    glass = inside & over & (depth > _EDGE_MM) & (off_solid > _SOLID_EDGE_MM)
    share = glass.sum() / max(glass.sum() + solid.sum(), 1)
    return float(share), _largest_mm(solid, spacing_krc_mm)


def _box_around(mask: BoolArray) -> tuple[slice, ...]:
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(part.start - _AROUND, 0), part.stop + _AROUND) for part in found)


def _soft(hu: HuArray, spacing_krc_mm: tuple[float, float, float]) -> Float32Array:
    return np.asarray(ndimage.gaussian_filter(hu.astype(np.float32), np.array(_NOISE_KRC_MM) / spacing_krc_mm))


def _largest_mm(mask: BoolArray, spacing_krc_mm: tuple[float, float, float]) -> float:
    """Diameter of a ball as large as the largest piece of a mask."""
    pieces, n = ndimage.label(mask)
    largest = np.bincount(pieces.ravel())[1:].max() if n else 0
    return float(np.cbrt(6 / np.pi * largest * np.prod(spacing_krc_mm)))
