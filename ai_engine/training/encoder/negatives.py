"""What a search proposes in a real lung and no reader called a nodule: hard negatives, named by rules if they can be.

The rules read HU and geometry: wall near -> pleura, with bone behind it a rib; a dark lumen -> airway; a long or
branching body -> vessel. What no rule names is kept without a name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.composites import Background
from ai_engine.domain import BoolArray, Candidate, FloatArray
from ai_engine.grid import Float32Array, Grid
from ai_engine.lungs import RIGHT, Lungs
from ai_engine.scene import Scene

# A cube of 1 mm steps around a place: what grows in it tells its shape.
_HALF_MM = 14
_BONE_HU, _BONE_MM3, _BONE_WITHIN_MM = 350.0, 40, 12.0
_WALL_MM = 3.0
_LUMEN_BELOW_HU, _LUMEN_WITHIN_MM, _LUMEN_MM3, _AIRWAY_WALL_HU = 40.0, 7.0, 10, 150.0
# What stays below this at its brightest is lung, not a body.
_BODY_HU = -550.0
# Where the root of the lung lies: share of the lung's height, and of its width from the inner side.
_ROOT_HEIGHT, _ROOT_WIDTH = (0.2, 0.8), 0.45
_LONG = 2.2
# What a search without weights accepts may be a nodule that nobody outlined: nothing so near to it is a negative.
_CLEAR_MM = 4.0
_TO_BE_AVOIDED = 3
_STEP_MM = 1.0


@dataclass(frozen=True)
class Negative:
    """A place that is no nodule, on the turned grid; ``structure`` is None where no rule names it."""

    centre_krc: tuple[float, float, float]
    diameter_mm: float
    structure: str | None


def mined(
    background: Background, scene: Scene, proposed: Sequence[Candidate], doubtful: Sequence[Candidate]
) -> list[Negative]:
    """Keep what may be called no nodule.

    Parameters
    ----------
    background : Background
        Its ``avoid`` holds the known lesions, and dense parts that may be one; at the root of the lung they are not.
    scene : Scene
        Of the same lung.
    proposed : sequence of Candidate
        What the search found, strongest first.
    doubtful : sequence of Candidate
        What may be nodules: nothing at one of them is kept.
    """
    depth = (ndimage.distance_transform_edt(scene.fine.hull) * scene.fine.grid.step_mm).astype(np.float32)
    spacing = np.array(scene.volume.spacing_krc_mm)
    kept = []
    for candidate in proposed:
        centre = np.array(candidate.centre_krc)
        near_doubtful = any(
            np.linalg.norm((centre - other.centre_krc) * spacing) < other.diameter_mm / 2 + _CLEAR_MM
            for other in doubtful
        )
        if not near_doubtful and not _may_be_lesion(background, centre):
            structure = structure_of(scene, depth, candidate)
            kept.append(Negative(candidate.centre_krc, candidate.diameter_mm, structure))
    return kept


def structure_of(scene: Scene, depth_mm: NDArray[np.float32], candidate: Candidate) -> str | None:
    """Name what lies at a place: ``vessel``, ``pleura``, ``rib`` or ``airway``; None where no rule tells.

    Parameters
    ----------
    depth_mm : (k, r, c) float32
        On the fine grid of the scene: distance to the outside of the lungs.
    """
    hu = _cube(scene, candidate)
    far = _distances()
    at = np.clip(
        np.rint(scene.fine.grid.from_volume(candidate.centre_krc)).astype(int), 0, np.subtract(depth_mm.shape, 1)
    )
    if depth_mm[tuple(at)] < max(_WALL_MM, candidate.diameter_mm / 3):
        bone = (hu > _BONE_HU) & (far < _BONE_WITHIN_MM)
        return "rib" if np.count_nonzero(bone) * _STEP_MM**3 > _BONE_MM3 else "pleura"
    if _holds_lumen(hu, far, scene.parenchyma_hu):
        return "airway"
    body = _body(hu, far, scene.parenchyma_hu)
    return "vessel" if body is not None and _is_long(body) else None


def _may_be_lesion(background: Background, centre: FloatArray) -> bool:
    k, r, c = (int(i) for i in background.grid_mm((centre * background.volume.spacing_krc_mm)[None])[0])
    if background.known is not None and background.known[k, r, c]:
        return True
    return bool(background.inside[k, r, c] == _TO_BE_AVOIDED) and not _at_root(background.lungs, (k, r, c))


def _at_root(lungs: Lungs, at: tuple[int, int, int]) -> bool:
    """Whether a place of the lungs' grid lies where vessels and bronchi enter the lung."""
    side = lungs.sides[at]
    rows = np.flatnonzero((lungs.sides == side).any(axis=(1, 2)))
    height = (at[0] - rows[0]) / max(rows[-1] - rows[0], 1)
    columns = np.flatnonzero((lungs.sides[at[0]] == side).any(axis=0))
    inwards = (columns[-1] - at[2]) if side == RIGHT else (at[2] - columns[0])
    width = inwards / max(columns[-1] - columns[0], 1)
    return bool(_ROOT_HEIGHT[0] < height < _ROOT_HEIGHT[1] and width < _ROOT_WIDTH)


def _holds_lumen(hu: Float32Array, far: FloatArray, lung_hu: float) -> bool:
    """Whether something darker than lung lies near, with a wall around it."""
    labels, n = ndimage.label((hu < lung_hu - _LUMEN_BELOW_HU) & (far < _LUMEN_WITHIN_MM))
    for number in np.flatnonzero(np.bincount(labels.ravel(), minlength=n + 1)[1:] >= _LUMEN_MM3) + 1:
        lumen = labels == number
        ring = ndimage.binary_dilation(lumen, iterations=2) & ~ndimage.binary_dilation(lumen)
        if np.median(hu[ring]) > lung_hu + _AIRWAY_WALL_HU:
            return True
    return False


def _cube(scene: Scene, candidate: Candidate) -> Float32Array:
    """HU around a place on a grid of 1 mm, smoothed as much as tells a lumen from noise."""
    spacing = np.array(scene.volume.spacing_krc_mm)
    k, r, c = (float(v) for v in np.array(candidate.centre_krc) - _HALF_MM / spacing)
    n = 2 * _HALF_MM + 1
    grid = Grid(_STEP_MM, (k, r, c), scene.volume.spacing_krc_mm, (n, n, n))
    return ndimage.gaussian_filter(grid.sample(scene.volume.hu), 0.8, truncate=2.5)


def _distances() -> FloatArray:
    k, r, c = np.ogrid[-_HALF_MM : _HALF_MM + 1, -_HALF_MM : _HALF_MM + 1, -_HALF_MM : _HALF_MM + 1]
    return np.asarray(np.sqrt(k**2 + r**2 + c**2) * _STEP_MM)


def _body(hu: Float32Array, far: FloatArray, lung_hu: float) -> BoolArray | None:
    """Find what hangs together with the place at half of its height above the lung."""
    top = float(hu[far < 3].max())
    if top < _BODY_HU:
        return None
    labels, _ = ndimage.label(hu > (min(top, 50.0) + lung_hu) / 2)
    wanted = np.bincount(labels[far < 3])
    wanted[0] = 0
    return labels == wanted.argmax() if wanted.any() else None


def _is_long(body: BoolArray) -> bool:
    """Whether a body runs out of the cube, or is much longer than wide."""
    faces = sum(bool(body.take(end, axis).any()) for axis in range(3) for end in (0, -1))
    points = np.argwhere(body)
    if faces >= 2 or len(points) < 4:
        return faces >= 2
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 1e-6))
    return bool(spread[2] > _LONG * spread[1])
