"""A candidate where a person points."""

import numpy as np

from ai_engine.domain import Candidate, Channel, PointPrompt, Prompt
from ai_engine.scene import Scene

# A point says nothing of the size; readers of LIDC-IDRI outlined few nodules larger than this.
_DIAMETER_OF_A_POINT_MM = 20.0
# Half way between lung and soft tissue: what is fainter is grown as ground glass.
_FAINT_BELOW_HU = -350.0


def candidate_of(scene: Scene, prompt: Prompt) -> Candidate:
    """Make the candidate that a prompt, on the turned grid, stands for; its score is 1."""
    spacing = scene.volume.spacing_krc_mm
    diameter_mm = _DIAMETER_OF_A_POINT_MM if isinstance(prompt, PointPrompt) else prompt.side_mm(spacing)
    channel = Channel.GROUND_GLASS if _hu_around(scene, prompt.centre_krc) < _FAINT_BELOW_HU else Channel.SOLID
    return Candidate(prompt.centre_krc, diameter_mm, 1.0, channel, prompt)


def _hu_around(scene: Scene, centre_krc: tuple[float, float, float]) -> float:
    """Median of 3 x 3 x 3 points of the fine copy around a voxel of the volume."""
    fine = scene.fine
    at = np.clip(np.round(fine.grid.from_volume(centre_krc)).astype(int), 0, np.subtract(fine.hu.shape, 1))
    near = tuple(slice(max(int(i) - 1, 0), int(i) + 2) for i in at)
    return float(np.median(fine.hu[near]))
