"""Who is judged: a tier for its own detections, and the same tier when it is prompted."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ai_engine.candidates.prompted import candidate_of
from ai_engine.domain import Prompt, Segment
from ai_engine.scene import Scene
from ai_engine.stages import Segmenter, Tier


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
