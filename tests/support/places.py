"""Places made in milliseconds: a ball or nothing in even lung, for tests of what is done with places."""

from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.clip import facts as clip_facts
from ai_engine.clip.facts import Facts, Ratings
from ai_engine.clip.patches import CLOSE, COARSE, FINE, Scale, packed
from ai_engine.domain import NoduleType
from ai_engine.training.encoder.places import MARGIN, Place, PlaceFiles, Places

RATINGS = Ratings(calcification=6, margin=5, spiculation=1, lobulation=1, sphericity=5, internal_structure=1)
_HU = {NoduleType.SOLID: 20.0, NoduleType.GROUND_GLASS: -600.0}


def place(kind: str, seed: int, lung: str = "site-a", nodule_type: NoduleType = NoduleType.SOLID) -> Place:
    """Make a place of one kind: a nodule is a ball, a candidate a rod along r, a sham nothing."""
    rng = np.random.default_rng(seed)
    radius = rng.uniform(3, 6)
    body = None if kind == "sham" else (radius, kind == "candidate", _HU[nodule_type])
    fine, coarse, close = (packed(_cube(scale, body, rng)) for scale in (FINE, COARSE, CLOSE))
    told: dict[str, Any] = {"kind": kind, "diameter_mm": 2 * radius}
    if kind == "nodule":
        told["patient_id"] = "LIDC-IDRI-0301"
    if kind == "candidate":
        told["centre_krc"] = [float(seed), 0.0, 0.0]
    return Place(fine, coarse, close, _facts(kind, nodule_type, 2 * radius), lung, told)


def some_places(folder: Path, lungs: tuple[str, ...] = ("site-a", "site-b"), n: int = 12) -> Places:
    """Write and read places of several lungs: nodules of two types, rods and shams."""
    files = PlaceFiles(folder)
    for which, lung in enumerate(lungs):
        types = (NoduleType.SOLID, NoduleType.GROUND_GLASS)
        made = [place("nodule", 100 * which + i, lung, types[i % 2]) for i in range(n)]
        made += [place("candidate", 100 * which + 50 + i, lung) for i in range(n)]
        made += [place("sham", 100 * which + 90 + i, lung) for i in range(2)]
        files.write(lung, made, {"cut": 1})
    return files.read()


def _facts(kind: str, nodule_type: NoduleType, diameter_mm: float) -> Facts:
    if kind == "nodule":
        return clip_facts.of_nodule(nodule_type, diameter_mm, RATINGS)
    return clip_facts.of_structure("vessel" if kind == "candidate" else None)


def _cube(scale: Scale, body: tuple[float, bool, float] | None, rng: np.random.Generator) -> np.ndarray:
    n = scale.points + 2 * MARGIN
    along = (np.arange(n) - (n - 1) / 2) * scale.step_mm
    k, r, c = np.meshgrid(along, along, along, indexing="ij", sparse=True)
    hu = rng.normal(-860, 20, (n, n, n)).astype(np.float32)
    if body is not None:
        radius, is_rod, inside_hu = body
        far = k**2 + c**2 + (0 if is_rod else r**2)
        hu[np.broadcast_to(far < radius**2, hu.shape)] = inside_hu
    return hu
