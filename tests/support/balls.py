"""Composites of balls in even lung, made in milliseconds: for tests of what is done with composites."""

import numpy as np

from ai_engine.composites import Composite, Renderer
from ai_engine.domain import NoduleType

SHAPE = (21, 131, 131)


def ball_in_lung(seed: int, *, distractor: bool | None = None, sham: bool = False) -> Composite:
    """Plant a ball of soft tissue (label 1) into lung of -850 HU with noise, and another one (2) beside, or neither."""
    rng = np.random.default_rng(seed)
    spacing = (float(rng.choice([1.25, 2.5, 3.0])), 0.7, 0.7)
    hu = rng.normal(-850, 30, SHAPE)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    middle = np.array(SHAPE) // 2
    beside = np.add(middle, (int(rng.integers(-2, 3)), int(rng.integers(-12, 13)), 36))
    with_other = bool(rng.random() < 0.5) if distractor is None else distractor
    radius = rng.uniform(5, 10)
    for centre, label in ((middle, 1), (beside, 2)) if with_other else ((middle, 1),):
        ball = _ball(centre, radius if label == 1 else rng.uniform(4, 8), spacing)
        if not sham:
            labels[ball] = label
            hu[ball] += 880
    return Composite(
        hu=hu.round().astype(np.int16),
        labels=labels,
        spacing_krc_mm=spacing,
        renderer=Renderer.A,
        nodule_type=None if sham else NoduleType.SOLID,
        diameter_mm=2 * radius,
        patient_id="LIDC-IDRI-0301",
        annotation_id=seed,
        lung="site-balls",
        seed=seed,
        is_sham=sham,
        sham_centre_krc=(float(middle[0]), float(middle[1]), float(middle[2])) if sham else None,
    )


def _ball(centre: np.ndarray, radius_mm: float, spacing: tuple[float, float, float]) -> np.ndarray:
    offsets = [(np.arange(n) - at) * step for n, at, step in zip(SHAPE, centre, spacing, strict=True)]
    k, r, c = np.meshgrid(*offsets, indexing="ij", sparse=True)
    return np.asarray(k**2 + r**2 + c**2 < radius_mm**2)
