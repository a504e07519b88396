"""Who is judged: a tier for its own detections, and the same tier when it is prompted."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ai_engine.domain import Candidate, Channel, Segment
from ai_engine.evaluation.prompts import PointPrompt, Prompt
from ai_engine.scene import Scene
from ai_engine.stages import Segmenter, Tier

# A point says nothing of the size; readers of LIDC-IDRI outlined few nodules larger than this.
DIAMETER_OF_A_POINT_MM = 20.0
# Half way between lung and soft tissue: below, the channel for ground glass is asked.
GROUND_GLASS_BELOW_HU = -350.0


@runtime_checkable
class Outliner(Protocol):
    """Something that can be prompted."""

    def outline(self, scene: Scene, prompt: Prompt) -> Segment:
        """Segment what the prompt points at; raises ``EmptySegment``."""
        ...


@dataclass(frozen=True)
class ByCandidate:
    """Prompts a stage that only knows candidates: a box becomes a centre and a diameter."""

    segmenter: Segmenter

    def outline(self, scene: Scene, prompt: Prompt) -> Segment:
        """Segment the candidate that stands for the prompt; raises ``EmptySegment``."""
        return self.segmenter.segment(scene, candidate_of(scene, prompt))


def candidate_of(scene: Scene, prompt: Prompt) -> Candidate:
    """Make the candidate that a detector would have proposed at the prompt's place."""
    if isinstance(prompt, PointPrompt):
        centre, diameter = (float(prompt.k), float(prompt.r), float(prompt.c)), DIAMETER_OF_A_POINT_MM
    else:
        centre, diameter = prompt.centre_krc, prompt.side_mm(scene.volume.spacing_krc_mm)
    is_faint = _hu_around(scene, centre) < GROUND_GLASS_BELOW_HU
    return Candidate(centre, diameter, 1.0, Channel.GROUND_GLASS if is_faint else Channel.SOLID)


def _hu_around(scene: Scene, centre_krc: tuple[float, float, float]) -> float:
    """Median of 3 x 3 x 3 grid points of the fine copy around a voxel of the volume."""
    fine = scene.fine
    at = np.clip(np.round(fine.grid.from_volume(centre_krc)).astype(int), 0, np.subtract(fine.hu.shape, 1))
    near = tuple(slice(max(int(i) - 1, 0), int(i) + 2) for i in at)
    return float(np.median(fine.hu[near]))


@dataclass(frozen=True, eq=False)
class Contestant:
    """One tier, under the name that the tables print."""

    name: str
    tier: Tier
    prompted: Outliner


def contestant(tier: Tier, name: str = "") -> Contestant:
    """Let a tier take part; one whose segmenter knows no prompts gets them as candidates."""
    segmenter = tier.segmenter
    return Contestant(
        name or tier.family, tier, segmenter if isinstance(segmenter, Outliner) else ByCandidate(segmenter)
    )
