"""Which type a painted nodule shows. Not all that is painted is seen: a core of a millimetre, a rim of half a one.

Words are learnt from, and judged by, what a reader could see: a type that the picture does not show is not known.
"""

import numpy as np
from scipy import ndimage

from ai_engine.domain import SOLID_ABOVE_HU, BoolArray, HuArray, NoduleType

# Below this size readers do not tell part-solid from the others (Fleischner Society, Radiology 2017;284:228).
PART_SOLID_FROM_MM = 6.0
# A smaller solid part is not measured, let alone named (Bankier, Radiology 2017;285:584).
CORE_FROM_MM = 3.0
# A vessel through ground glass is as long as the nodule, but as a ball no larger than this share of it.
VESSEL_SHARE = 1 / 3
# Share of a nodule that is ground glass and no edge, from which on its ground glass is seen.
FAINT_FROM = 0.35
# What is not so much denser than the lung around is lung to the eye: readers' outlines are wide, and paint can be thin.
GLASS_OVER_LUNG_HU = 100.0
# Readers agree but moderately on a nodule's type, and least on part-solid ones (kappa 0.51: van Riel, Radiology
# 2015;277:863). So near the limit no word is right or wrong.
CLEAR_BY = 0.1
_LUNG_HU, _LUNG_BELOW_HU = -850.0, -600.0
_AROUND = 5
# So wide is the edge of the outline, and that of solid tissue, which fades over ground glass as over lung.
_EDGE_MM, _SOLID_EDGE_MM = 0.7, 1.0
_NOISE_KRC_MM = (0.3, 0.6, 0.6)


def visible_type(
    hu: HuArray,
    mask: BoolArray,
    spacing_krc_mm: tuple[float, float, float],
    diameter_mm: float,
    painted: NoduleType,
    clear_by: float = 0.0,
) -> NoduleType | None:
    """Return the painted type if the picture shows it, else None.

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
    clear_by : float
        How far the share of ground glass has to lie off the limit between solid and part-solid.

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
        NoduleType.SOLID: has_core and (glass < FAINT_FROM - clear_by or diameter_mm < PART_SOLID_FROM_MM),
        NoduleType.PART_SOLID: has_core and glass >= FAINT_FROM + clear_by and diameter_mm >= PART_SOLID_FROM_MM,
        NoduleType.GROUND_GLASS: core_mm < max(CORE_FROM_MM, VESSEL_SHARE * diameter_mm),
    }
    return painted if shown[painted] else None


def _parts(hu: HuArray, mask: BoolArray, spacing_krc_mm: tuple[float, float, float]) -> tuple[float, float]:
    """Share of a nodule that is ground glass and no edge; diameter in mm of a ball as large as its solid part."""
    box = tuple(
        slice(max(part.start - _AROUND, 0), part.stop + _AROUND)
        for part in ndimage.find_objects(mask.astype(np.uint8))[0]
    )
    inside, spacing = mask[box], np.array(spacing_krc_mm)
    soft = ndimage.gaussian_filter(hu[box].astype(np.float32), np.array(_NOISE_KRC_MM) / spacing)
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    lung = soft[~inside & (soft < _LUNG_BELOW_HU)]
    over = soft > (np.median(lung) if lung.size else _LUNG_HU) + GLASS_OVER_LUNG_HU
    solid = inside & (soft > SOLID_ABOVE_HU)
    off_solid = ndimage.distance_transform_edt(~solid, sampling=spacing) if solid.any() else np.inf
    glass = inside & over & (depth > _EDGE_MM) & (off_solid > _SOLID_EDGE_MM)
    pieces, n = ndimage.label(solid)
    largest = np.bincount(pieces.ravel())[1:].max() if n else 0
    return float(glass.sum() / inside.sum()), float(np.cbrt(6 / np.pi * largest * spacing.prod()))
