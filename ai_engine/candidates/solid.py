"""Solid nodules and masses: blobs in the lungs that grow into the shape of a nodule."""

from dataclasses import dataclass, field

import numpy as np

from ai_engine.candidates.blobs import Blob, blobs, filled_outside
from ai_engine.domain import Candidate, Channel
from ai_engine.errors import EmptySegment
from ai_engine.growing import Judge, cube_of_level
from ai_engine.scene import SMOOTHING_MM, Scene

MASS_FROM_MM = 30.0  # Fleischner Society: Glossary of terms, Radiology 2008


@dataclass(frozen=True)
class SolidSearch:
    """Searches the solid nodules and masses of a scene.

    Attributes
    ----------
    diameters_mm : tuple of float
        Range searched.
    minimum_contrast_hu : float
        Of a blob: what an ideal ball of this contrast to the lung would answer.
    coarse_from_mm : float
        Blobs from this diameter on are grown at 2 mm.
    """

    diameters_mm: tuple[float, float] = (4.0, 60.0)
    minimum_contrast_hu: float = 400.0
    coarse_from_mm: float = 18.0
    judge: Judge = field(default_factory=Judge)

    def search(self, scene: Scene) -> list[Candidate]:
        """Find the candidates, each with the score of its judge."""
        fine = scene.fine
        image = filled_outside(fine.hu, fine.hull, scene.parenchyma_hu)
        taken = np.zeros(image.shape, dtype=bool)
        found = []
        for blob in blobs(image, fine.grid.step_mm, SMOOTHING_MM, self.diameters_mm, self.minimum_contrast_hu):
            if fine.hull[blob.at] and not taken[blob.at]:
                candidate = self._judged(scene, blob, taken)
                found += [candidate] if candidate else []
        return found

    def _judged(self, scene: Scene, blob: Blob, taken: np.ndarray) -> Candidate | None:
        level = scene.fine if blob.diameter_mm < self.coarse_from_mm else scene.coarse
        cube = cube_of_level(scene, level, scene.fine.grid.to_volume(blob.at), blob.diameter_mm)
        try:
            judged = self.judge.judge(cube, blob.diameter_mm)
        except EmptySegment:
            return None
        if judged is None:
            return None
        points = np.argwhere(judged.mask)
        on_volume = cube.grid.to_volume(points)
        on_fine = np.round(scene.fine.grid.from_volume(on_volume)).astype(int)
        on_fine = np.clip(on_fine, 0, np.subtract(taken.shape, 1))
        if taken[tuple(on_fine.T)].any():
            return None
        for shift in np.ndindex(*([round(cube.grid.step_mm / scene.fine.grid.step_mm)] * 3)):
            taken[tuple(np.minimum(on_fine + shift, np.subtract(taken.shape, 1)).T)] = True
        k, r, c = (float(value) for value in cube.grid.to_volume(judged.region.top))
        diameter = judged.shape.diameter_mm
        channel = Channel.MASS if diameter >= MASS_FROM_MM else Channel.SOLID
        return Candidate((k, r, c), diameter, judged.score, channel)
