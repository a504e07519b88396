"""The stages that a model tier may replace, and the tier that needs no weights.

A stage is a frozen dataclass: its fields are its settings, and they go into the digest of the algorithm.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from ai_engine.candidates import ClassicalDetector
from ai_engine.domain import Candidate, CtVolume, Segment
from ai_engine.lungs import Lungs, ThresholdLungs
from ai_engine.scene import Scene
from ai_engine.segment import RegionGrowing


class Stage(Protocol):
    """What all stages have: they are dataclasses."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class LungFinder(Stage, Protocol):
    """Where a finding can be."""

    def find(self, volume: CtVolume) -> Lungs:
        """Find the lungs of a turned volume; raises ``NoLungs``."""
        ...


class Detector(Stage, Protocol):
    """Suspicious places."""

    def detect(self, scene: Scene) -> list[Candidate]:
        """Find the candidates of a scene; centres on the turned grid."""
        ...


class Segmenter(Stage, Protocol):
    """The mask of a candidate."""

    def segment(self, scene: Scene, candidate: Candidate) -> Segment:
        """Segment one candidate on the turned grid; raises ``EmptySegment``."""
        ...


@dataclass(frozen=True)
class Tier:
    """One set of stages.

    Attributes
    ----------
    family : str
        What kind of models run, as the reports name it.
    names : dict
        Stage -> what runs there, in words.
    """

    family: str
    names: dict[str, str]
    lungs: LungFinder
    detector: Detector
    segmenter: Segmenter


def weight_free() -> Tier:
    """Give the tier that runs everywhere: thresholds, blobs, shape and region growing."""
    names = {
        "lungs": "threshold and closing (no weights)",
        "candidates": "difference of Gaussians and shape (no weights)",
        "segmentation": "region growing (no weights)",
        "malignancy": "Brock",
    }
    return Tier("weight-free", names, ThresholdLungs(), ClassicalDetector(), RegionGrowing())
