"""Renderer A, for training: Gaussian edges, Gaussian noise of the series' spectrum, a core that follows the depth."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.composites import paint
from ai_engine.composites.bed import Bed
from ai_engine.composites.domain import NoduleShape
from ai_engine.composites.paint import Painted
from ai_engine.domain import NoduleType
from ai_engine.grid import Float32Array

TYPES = (NoduleType.SOLID, NoduleType.PART_SOLID, NoduleType.GROUND_GLASS)
# Texture rating -> how often each type: readers use the middle of the scale for all of them.
TYPE_SHARES = {
    5: (0.93, 0.07, 0.0),
    4: (0.6, 0.35, 0.05),
    3: (0.12, 0.7, 0.18),
    2: (0.06, 0.44, 0.5),
    1: (0, 0.15, 0.85),
}

# Margin rating -> standard deviation of the edge in mm; varied by this factor, joined by the scanner's.
EDGE_MM = {5: 0.3, 4: 0.5, 3: 0.8, 2: 1.1, 1: 1.5}
EDGE_VARIES = (0.75, 1.3)
SCANNER_MM = (0.35, 0.6)
SUB_SLICE_MM = 1.0

# Solid tissue: mean, spread, the shift per step of texture below 5, limits, and what contrast medium may add, in HU.
SOLID_HU, SOLID_SPREAD_HU, SOLID_PER_TEXTURE_HU, SOLID_LIMITS_HU = 25.0, 32.0, 22.0, (-110.0, 140.0)
ENHANCEMENT_HU = (0.0, 45.0)
MOTTLE_MM, MOTTLE_HU = (2.5, 5.0), (0.0, 3.0)

# Ground glass: the local lung plus this, in HU, more for higher texture; its unevenness as a share.
GLASS_HU = (80.0, 350.0)
GLASS_FROM = {1: 80.0, 2: 95.0, 3: 130.0, 4: 160.0, 5: 180.0}
GLASS_TO = {1: 300.0, 2: 330.0, 3: 350.0, 4: 350.0, 5: 350.0}
GLASS_MM, GLASS_UNEVEN = (1.5, 4.0), (0.08, 0.3)
FULL_HU = 30.0
# Core of a part-solid nodule: share of the depth range at which it begins, and how ragged that is.
CORE_FROM, CORE_RAGGED, CORE_MM, CORE_EDGE_MM = (0.25, 0.75), 0.18, 2.5, 0.6

CALCIUM_HU = (120.0, 700.0)
# Spiculation rating -> lines per mm of radius, and roughness as a share of the radius.
STRANDS_PER_MM = {3: 0.8, 4: 1.5, 5: 2.4}
STRAND_WIDTH_MM, STRAND_LENGTH_MM, STRAND_BASE_MM, STRAND_OPACITY = (0.4, 0.9), (1.5, 6.0), 1.8, (0.45, 1.0)
ROUGHNESS = {1: 0.01, 2: 0.02, 3: 0.04, 4: 0.06, 5: 0.08}
ROUGH_SCALE_MM, MOST_ROUGH_MM = (1.2, 3.0), 1.3
# A rim of ground glass around solid tissue: how often by margin, how deep it fades, how dense.
RIM_OFTEN = {5: 0.05, 4: 0.2, 3: 0.4, 2: 0.6, 1: 0.7}
RIM_FADES_MM, RIM_HU = (0.7, 3.0), (60.0, 260.0)


@dataclass(frozen=True)
class RendererA:
    """See the module."""

    def opacity(self, shape: NoduleShape, bed: Bed, rng: np.random.Generator) -> Float32Array:
        """Blur the shape by edge and scanner, averaged over the slice thickness."""
        sigma = np.hypot(EDGE_MM[shape.margin] * rng.uniform(*EDGE_VARIES), rng.uniform(*SCANNER_MM))
        rough = min(ROUGHNESS[shape.spiculation] * bed.body.radius_mm, MOST_ROUGH_MM)
        return self._blurred(bed, sigma, rough * paint.field(bed, rng.uniform(*ROUGH_SCALE_MM), rng))

    def noise(self, bed: Bed, rng: np.random.Generator) -> Float32Array:
        """Draw Gaussian noise with the spectrum of the series' soft tissue."""
        return bed.tissue.synthesised(bed.hu.shape, rng)

    def paint(self, shape: NoduleShape, bed: Bed, rng: np.random.Generator) -> Painted:
        """Paint the nodule as its reader rated it."""
        kind = NoduleType(str(rng.choice([str(t) for t in TYPES], p=TYPE_SHARES[shape.texture])))
        opacity = self.opacity(shape, bed, rng)
        depth = bed.depth_mm(1)
        opacity = self._with_strands(shape, bed, opacity, depth, rng)
        if kind is NoduleType.SOLID:
            return Painted(self._solid(shape, bed, opacity, depth, rng), kind)
        glass = self._glass(shape, bed, opacity, rng)
        if kind is NoduleType.GROUND_GLASS:
            return Painted(glass, kind)
        core = self._core(bed, depth, rng)
        tissue = self._tissue(shape, bed, depth, rng)
        return Painted(paint.covered(bed.with_hu(glass), core, tissue, self.noise(bed, rng)), kind, core)

    def _blurred(self, bed: Bed, sigma_mm: float, rough_mm: Float32Array) -> Float32Array:
        per_slice = max(round(bed.spacing_krc_mm[0] / SUB_SLICE_MM), 1)
        fine = bed.depth_mm(per_slice) + np.repeat(rough_mm, per_slice, axis=0)
        sharp = np.clip(fine / float(bed.spacing_krc_mm[1]) + 0.5, 0, 1)
        share = bed.over_slices(sharp, np.ones(per_slice))
        sigma = sigma_mm / bed.spacing_krc_mm * (0.5, 1, 1)  # slices blur by their thickness already
        return ndimage.gaussian_filter(share, sigma, truncate=3)

    def _with_strands(
        self, shape: NoduleShape, bed: Bed, opacity: Float32Array, depth: Float32Array, rng: np.random.Generator
    ) -> Float32Array:
        how_many = rng.poisson(STRANDS_PER_MM.get(shape.spiculation, 0.0) * bed.body.radius_mm)
        wanted = paint.Strands(how_many, STRAND_WIDTH_MM, STRAND_LENGTH_MM, STRAND_BASE_MM)
        lines = paint.strands(bed, depth, wanted, rng)
        return np.maximum(opacity, lines * np.float32(rng.uniform(*STRAND_OPACITY)))

    def _tissue(self, shape: NoduleShape, bed: Bed, depth: Float32Array, rng: np.random.Generator) -> Float32Array:
        mean = rng.normal(SOLID_HU - SOLID_PER_TEXTURE_HU * (5 - shape.texture), SOLID_SPREAD_HU)
        mean = float(np.clip(mean, *SOLID_LIMITS_HU)) + bed.contrast * rng.uniform(*ENHANCEMENT_HU)
        hu = mean + rng.uniform(*MOTTLE_HU) * paint.field(bed, rng.uniform(*MOTTLE_MM), rng)
        if shape.calcification < 6:
            where = paint.calcium(shape.calcification, depth, paint.field(bed, 1.5, rng), bed)
            hu = hu + rng.uniform(*CALCIUM_HU) * ndimage.gaussian_filter(where.astype(np.float32), (0.3, 0.7, 0.7))
        return hu.astype(np.float32)

    def _solid(
        self, shape: NoduleShape, bed: Bed, opacity: Float32Array, depth: Float32Array, rng: np.random.Generator
    ) -> Float32Array:
        under = bed
        if rng.random() < RIM_OFTEN[shape.margin]:
            rim = np.exp(np.minimum(depth, 0) / np.float32(rng.uniform(*RIM_FADES_MM)))
            increment = np.full(depth.shape, rng.uniform(*RIM_HU), dtype=np.float32)
            under = bed.with_hu(paint.filled(bed, rim, increment, FULL_HU))
        return paint.covered(under, opacity, self._tissue(shape, bed, depth, rng), self.noise(bed, rng))

    def _glass(self, shape: NoduleShape, bed: Bed, opacity: Float32Array, rng: np.random.Generator) -> Float32Array:
        increment = rng.uniform(GLASS_FROM[shape.texture], GLASS_TO[shape.texture])
        uneven = 1 + rng.uniform(*GLASS_UNEVEN) * paint.field(bed, rng.uniform(*GLASS_MM), rng)
        bounded = np.clip(increment * uneven, *GLASS_HU).astype(np.float32)
        return paint.filled(bed, opacity, bounded, FULL_HU)

    def _core(self, bed: Bed, depth: Float32Array, rng: np.random.Generator) -> Float32Array:
        deepest = max(float(depth.max()), 1e-3)
        ragged = CORE_RAGGED * deepest * paint.field(bed, CORE_MM, rng)
        core = np.clip((depth - deepest * rng.uniform(*CORE_FROM) + ragged) / float(bed.spacing_krc_mm[1]) + 0.5, 0, 1)
        core = np.where(depth > 0, core, 0).astype(np.float32)
        return np.asarray(ndimage.gaussian_filter(core, CORE_EDGE_MM / bed.spacing_krc_mm * (0.5, 1, 1), truncate=3))
