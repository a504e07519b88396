"""Renderer B, for testing: logistic edges on a wavering surface, noise sewn from real patches, a round core aside.

It shares no constant with renderer A: a network that learnt A's law, not nodules, fails here.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special

from ai_engine.composites import paint
from ai_engine.composites.bed import Bed
from ai_engine.composites.domain import NoduleShape
from ai_engine.composites.paint import Painted
from ai_engine.domain import NoduleType
from ai_engine.grid import Float32Array

KINDS = (NoduleType.SOLID, NoduleType.PART_SOLID, NoduleType.GROUND_GLASS)
ODDS = {5: (20, 1, 0), 4: (5, 4, 0.6), 3: (1.6, 6, 2.2), 2: (0.5, 3, 4), 1: (0, 1, 7)}

# Width of the logistic edge in mm at margin 5, and its growth per step below; the surface wavers by so much.
WIDTH_MM, WIDTH_PER_STEP_MM, WIDTH_SPREAD = 0.22, 0.13, 0.25
WAVER_MM, WAVER_PER_STEP, WAVER_SCALE_MM = 0.15, 0.017, 2.2
# Profile of a slice: sub-slices over this many spacings, weighted as a triangle; then a box in the plane.
PROFILE_SPACINGS, SUB_SLICES, BOX_MM = 1.4, 5, (0.7, 1.5)

# Solid tissue: a beta law between these, lower ends for lower texture; the middle is denser than the rim.
TISSUE_HU, TISSUE_LAW, TISSUE_TEXTURE_HU = (-55.0, 105.0), (2.2, 1.8), 17.0
MIDDLE_HU, CONTRAST_HU = (0.0, 14.0), (5.0, 60.0)
FLECK_MM, FLECK_HU = 3.4, 2.0

# Ground glass: a triangular law over what the local lung is raised by; two scales of unevenness.
RAISE_HU, RAISE_MODE = (85.0, 345.0), {1: 150.0, 2: 175.0, 3: 210.0, 4: 240.0, 5: 260.0}
VEIL_MM, VEIL_SHARE, GRAIN_MM, GRAIN_SHARE = 5.0, 0.16, 1.2, 0.1
DENSE_HU = 45.0
# Core: a ball, its radius as a share of the deepest point's depth, moved off that point by so much of the rest.
CORE_RADIUS, CORE_ASIDE, CORE_WIDTH_MM, CORE_WAVER = (0.35, 0.8), 0.55, 0.33, 0.22

CALCIUM_SCALE_HU, CALCIUM_LEAST_HU = 180.0, 140.0
# Threads, by spiculation: so many to the square root of the radius; a haze about the tissue that ends in so many mm.
THREADS, THREAD_OPACITY = {3: 3.5, 4: 6.5, 5: 10.0}, (0.55, 0.95)
THREAD_MM, THREAD_REACH_MM, THREAD_ROOT_MM = (0.3, 0.75), (2.0, 4.5), 2.3
HAZE_ODDS, HAZE_MM, HAZE_RAISE_HU = 0.14, (1.5, 5.5), (70.0, 220.0)
ALIKE = 25


@dataclass(frozen=True)
class RendererB:
    """See the module."""

    def opacity(self, shape: NoduleShape, bed: Bed, rng: np.random.Generator) -> Float32Array:
        """Give the shape a logistic edge, averaged over an overlapping slice profile and a box in the plane."""
        width = (WIDTH_MM + WIDTH_PER_STEP_MM * (5 - shape.margin)) * rng.lognormal(0, WIDTH_SPREAD)
        amplitude = WAVER_MM + WAVER_PER_STEP * (shape.spiculation - 1) * bed.body.radius_mm
        waver = amplitude * paint.field(bed, WAVER_SCALE_MM, rng)
        fine = bed.depth_mm(SUB_SLICES, PROFILE_SPACINGS) + np.repeat(waver, SUB_SLICES, axis=0)
        triangle = 1.0 - np.abs(np.linspace(-0.8, 0.8, SUB_SLICES))
        share = bed.over_slices(special.expit(fine / np.float32(width)), triangle)
        return _boxed(share, rng.uniform(*BOX_MM) / float(bed.spacing_krc_mm[1]))

    def noise(self, bed: Bed, rng: np.random.Generator) -> Float32Array:
        """Sew patches of the series' soft tissue together."""
        return bed.tissue.quilted(bed.hu.shape, rng, ALIKE)

    def paint(self, shape: NoduleShape, bed: Bed, rng: np.random.Generator) -> Painted:
        """Paint the nodule as its reader rated it."""
        odds = np.array(ODDS[shape.texture], dtype=float)
        kind = KINDS[int(rng.choice(3, p=odds / odds.sum()))]
        depth = bed.depth_mm(1)
        opacity = self.opacity(shape, bed, rng)
        opacity = self._with_threads(shape, bed, opacity, depth, rng)
        if kind is NoduleType.SOLID:
            hazy = rng.random() < HAZE_ODDS * (5 - shape.margin + shape.spiculation - 1)
            under = self._haze(bed, depth, rng) if hazy else bed
            tissue = self._tissue(shape, bed, depth, rng)
            return Painted(paint.covered(under, opacity, tissue, self.noise(bed, rng)), kind)
        glass = self._glass(shape, bed, opacity, rng)
        if kind is NoduleType.GROUND_GLASS:
            return Painted(glass, kind)
        core = self._core(bed, depth, rng)
        tissue = self._tissue(shape, bed, depth, rng)
        return Painted(paint.covered(bed.with_hu(glass), core, tissue, self.noise(bed, rng)), kind, core)

    def _with_threads(
        self, shape: NoduleShape, bed: Bed, opacity: Float32Array, depth: Float32Array, rng: np.random.Generator
    ) -> Float32Array:
        threads = round(THREADS.get(shape.spiculation, 0.0) * float(np.sqrt(bed.body.radius_mm)))
        lines = paint.strands(bed, depth, paint.Strands(threads, THREAD_MM, THREAD_REACH_MM, THREAD_ROOT_MM), rng)
        return np.maximum(opacity, np.float32(rng.uniform(*THREAD_OPACITY)) * lines)

    def _haze(self, bed: Bed, depth: Float32Array, rng: np.random.Generator) -> Bed:
        share = np.clip(1 + depth / np.float32(rng.uniform(*HAZE_MM)), 0, 1)
        raised = rng.uniform(*HAZE_RAISE_HU) * np.exp(VEIL_SHARE * paint.field(bed, VEIL_MM, rng))
        return bed.with_hu(paint.filled(bed, share, raised.astype(np.float32), DENSE_HU))

    def _tissue(self, shape: NoduleShape, bed: Bed, depth: Float32Array, rng: np.random.Generator) -> Float32Array:
        low, high = TISSUE_HU[0] - TISSUE_TEXTURE_HU * (5 - shape.texture), TISSUE_HU[1]
        base = low + (high - low) * rng.beta(*TISSUE_LAW) + bed.contrast * rng.uniform(*CONTRAST_HU)
        inner = np.sqrt(np.clip(depth / max(float(depth.max()), 1e-3), 0, 1))
        hu = base + rng.uniform(*MIDDLE_HU) * (inner - 0.5) + FLECK_HU * paint.field(bed, FLECK_MM, rng)
        if shape.calcification < 6:
            where = paint.calcium(shape.calcification, depth, paint.field(bed, FLECK_MM, rng), bed)
            strength = CALCIUM_LEAST_HU + rng.exponential(CALCIUM_SCALE_HU)
            hu = hu + strength * _boxed(where.astype(np.float32), 2.0)
        return hu.astype(np.float32)

    def _glass(self, shape: NoduleShape, bed: Bed, opacity: Float32Array, rng: np.random.Generator) -> Float32Array:
        raised = rng.triangular(RAISE_HU[0], RAISE_MODE[shape.texture], RAISE_HU[1])
        veil = VEIL_SHARE * paint.field(bed, VEIL_MM, rng) + GRAIN_SHARE * paint.field(bed, GRAIN_MM, rng)
        increment = np.clip(raised * np.exp(veil), *RAISE_HU).astype(np.float32)
        return paint.filled(bed, opacity, increment, DENSE_HU)

    def _core(self, bed: Bed, depth: Float32Array, rng: np.random.Generator) -> Float32Array:
        deepest = np.array(np.unravel_index(int(depth.argmax()), depth.shape))
        most = max(float(depth.max()), 1e-3)
        radius = most * rng.uniform(*CORE_RADIUS)
        aside = rng.uniform(-1, 1, 3) * CORE_ASIDE * (most - radius)
        k, r, c = (
            (np.arange(n) - at) * step - move
            for n, at, step, move in zip(depth.shape, deepest, bed.spacing_krc_mm, aside, strict=True)
        )
        distance = np.sqrt(k[:, None, None] ** 2 + r[None, :, None] ** 2 + c[None, None, :] ** 2)
        surface = radius - distance + CORE_WAVER * radius * paint.field(bed, WAVER_SCALE_MM, rng)
        return (special.expit(surface / CORE_WIDTH_MM) * (depth > 0)).astype(np.float32)


def _boxed(share: Float32Array, pixels: float) -> Float32Array:
    """Average over a square of so many pixels in the plane, the outer ones by their share."""
    rim = max((pixels - 1) / 2, 0.0)
    reach = int(np.ceil(rim))
    weights = np.clip(rim + 1 - np.abs(np.arange(-reach, reach + 1)), 0, 1)
    weights /= weights.sum()
    once = ndimage.correlate1d(share, weights, axis=1)
    return np.asarray(ndimage.correlate1d(once, weights, axis=2), dtype=np.float32)
