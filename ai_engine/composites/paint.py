"""How tissue is laid over lung: the operations that the renderers share. They hold no constant of a renderer's law."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage

from ai_engine.composites.bed import MARGIN_MM, Bed
from ai_engine.composites.domain import NoduleShape
from ai_engine.domain import BoolArray, NoduleType
from ai_engine.grid import Float32Array


@dataclass(frozen=True, eq=False)
class Painted:
    """A bed with its nodule: (k, r, c) float32 HU, and what it is.

    Attributes
    ----------
    core : (k, r, c) float32 or None
        Of a part-solid nodule: the share of solid core in each voxel, 0 to 1.
    """

    hu: Float32Array
    nodule_type: NoduleType
    core: Float32Array | None = None


class Law(Protocol):
    """One renderer."""

    def opacity(self, shape: NoduleShape, bed: Bed, rng: np.random.Generator) -> Float32Array:
        """Share of nodule in each voxel, 0 to 1: the edge, the scanner's blur, the thickness of its slices."""

    def noise(self, bed: Bed, rng: np.random.Generator) -> Float32Array:
        """Draw noise as this series has it in soft tissue, HU."""

    def paint(self, shape: NoduleShape, bed: Bed, rng: np.random.Generator) -> Painted:
        """Paint the nodule."""


def covered(bed: Bed, opacity: Float32Array, tissue_hu: Float32Array, noise_hu: Float32Array) -> Float32Array:
    """Replace lung by tissue; the noise keeps its variance across the edge.

    Beyond the lung only the blurred edge of the wall is covered, and only where that makes it denser.
    """
    lung_left = 1 - opacity
    mixed = lung_left * bed.hu + opacity * tissue_hu
    noisy = mixed + np.sqrt(np.maximum(1 - lung_left**2, 0)) * noise_hu
    denser = bed.seam & (mixed > bed.hu)
    return np.where(bed.inside | denser, noisy, bed.hu).astype(np.float32)


def filled(bed: Bed, opacity: Float32Array, increment_hu: Float32Array, tissue_hu: float) -> Float32Array:
    """Fill a part of the air: raises the parenchyma by ``increment_hu`` and denser tissue by less; noise stays."""
    air = np.maximum(tissue_hu - bed.hu, 0) / (tissue_hu - bed.parenchyma_hu)
    raised = bed.hu + opacity * increment_hu * np.minimum(air, 1.2)
    return np.where(bed.inside, raised, bed.hu).astype(np.float32)


def exchanged(bed: Bed, opacity: Float32Array, other_hu: Float32Array, noise_hu: Float32Array) -> Float32Array:
    """Blend another place of the same lung in, through the same edge; what the mixture loses of noise is given back."""
    mixed = (1 - opacity) * bed.hu + opacity * other_hu
    noisy = mixed + np.sqrt(np.maximum(2 * opacity * (1 - opacity), 0)) * noise_hu * np.clip(mixed / 1000 + 1, 0.3, 1)
    return np.where(bed.inside, noisy, bed.hu).astype(np.float32)


def field(bed: Bed, scale_mm: float, rng: np.random.Generator) -> Float32Array:
    """Draw a smooth random field of unit variance over a bed, (k, r, c) float32."""
    sigma = scale_mm / bed.spacing_krc_mm
    rough = rng.standard_normal(bed.hu.shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(rough, sigma, truncate=2.5, mode="wrap")
    return (smooth / max(float(smooth.std()), 1e-6)).astype(np.float32)


@dataclass(frozen=True)
class Strands:
    """Lines that run out of a nodule: spicules.

    Attributes
    ----------
    how_many : int
    width_mm : tuple of float
        From what to what their standard deviation is, far from the nodule.
    length_mm : tuple of float
        From what to what they fade.
    base_mm : float
        Within this distance of the surface they are up to twice as wide.
    """

    how_many: int
    width_mm: tuple[float, float]
    length_mm: tuple[float, float]
    base_mm: float


def strands(bed: Bed, depth: Float32Array, wanted: Strands, rng: np.random.Generator) -> Float32Array:
    """Draw lines away from the centre that begin at the surface and fade, (k, r, c) float32 0 to 1.

    Parameters
    ----------
    bed : Bed
    depth : (k, r, c) float32
        Depth below the surface in mm.
    wanted : Strands
    rng : numpy.random.Generator
    """
    n = wanted.how_many
    towards = rng.standard_normal((n, 3)).astype(np.float32) * np.array([0.5, 1, 1], dtype=np.float32)
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    width, length = (rng.uniform(*span, n).astype(np.float32) for span in (wanted.width_mm, wanted.length_mm))
    near = np.nonzero((depth > -min(2 * wanted.length_mm[1], MARGIN_MM)) & (depth < 1))
    offsets = np.stack([axis.ravel()[i] for axis, i in zip(bed.offsets_mm(), near, strict=True)], axis=1)
    along = offsets.astype(np.float32) @ towards.T
    off2 = np.maximum((offsets**2).sum(axis=1, dtype=np.float32)[:, None] - along**2, 0)
    outside = np.minimum(depth[near], 0)[:, None]
    tapered = width * (1 + np.exp(outside / wanted.base_mm))
    profile = np.where(along > 0, np.exp(outside / length - off2 / (2 * tapered**2)), 0)
    lines = np.zeros(bed.hu.shape, dtype=np.float32)
    lines[near] = profile.max(axis=1, initial=0)
    return lines


def calcium(pattern: int, depth: Float32Array, lumps: Float32Array, bed: Bed) -> BoolArray:
    """Where calcium lies: LIDC's patterns 1 popcorn, 2 laminated, 3 solid, 4 non-central, 5 central, 6 none.

    Parameters
    ----------
    pattern : int
        The reader's rating.
    depth : (k, r, c) float32
        Depth below the surface in mm.
    lumps : (k, r, c) float32
        A smooth random field of unit variance.
    bed : Bed
    """
    deepest = max(float(depth.max()), 1e-3)
    inner = depth / deepest
    k, r, c = bed.offsets_mm()
    aside = np.sqrt(k**2 + (r - deepest / 2) ** 2 + c**2) < deepest / 2
    where = {
        1: lumps > 0.4,
        2: np.sin(inner * 3 * np.pi) > 0.2,
        3: np.ones_like(inner, dtype=bool),
        4: aside,
        5: inner > 0.5,
    }.get(pattern, np.zeros_like(inner, dtype=bool))
    return np.asarray(where & (depth > 0), dtype=bool)
