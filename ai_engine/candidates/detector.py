"""All searches of the weight-free tier, one after the other."""

from dataclasses import dataclass, field

from ai_engine.candidates.solid import SolidSearch
from ai_engine.domain import Candidate
from ai_engine.scene import Scene


@dataclass(frozen=True)
class ClassicalDetector:
    """Proposes candidates by blobs and shape; no weights."""

    solid: SolidSearch = field(default_factory=SolidSearch)

    def detect(self, scene: Scene) -> list[Candidate]:
        """Find the candidates of a scene; centres on the turned grid."""
        return self.solid.search(scene)
