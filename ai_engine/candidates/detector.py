"""All searches of the weight-free tier, one after the other."""

from dataclasses import dataclass, field

from ai_engine.candidates.ground_glass import GroundGlassSearch
from ai_engine.candidates.solid import SolidSearch
from ai_engine.domain import Candidate
from ai_engine.scene import Scene


@dataclass(frozen=True)
class ClassicalDetector:
    """Proposes candidates by blobs and shape; no weights."""

    ground_glass: GroundGlassSearch = field(default_factory=GroundGlassSearch)
    solid: SolidSearch = field(default_factory=SolidSearch)

    def detect(self, scene: Scene) -> list[Candidate]:
        """Find the candidates of a scene; centres on the turned grid.

        Ground glass comes first: a solid core within it is a part of that nodule, not a nodule of its own.
        """
        return self.ground_glass.search(scene) + self.solid.search(scene)
