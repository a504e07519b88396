"""The stages that a model tier may replace, and the tier that needs no weights.

A stage is a frozen dataclass: its fields are its settings, and they go into the digest of the algorithm, but for those
that do not compare (``field(compare=False)``), such as the place of a file.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ai_engine.candidates import ClassicalDetector
from ai_engine.domain import Candidate, CtVolume, Segment
from ai_engine.lungs import Lungs, ThresholdLungs
from ai_engine.sam2.confidence import Confidence
from ai_engine.sam2.segmenter import Sam2Segmenter
from ai_engine.sam2.weights import Weights
from ai_engine.scene import Scene
from ai_engine.segment import RegionGrowing

if TYPE_CHECKING:
    from ai_engine.sam2.loading import Loaded


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


def without_weights_of(family: str) -> Tier:
    """Give the tier without weights in the place of one whose weights are missing; it says so wherever it is named."""
    plain = weight_free()
    stands_in = f"region growing (no weights: those of the tier {family} are missing)"
    return replace(plain, names=plain.names | {"segmentation": stands_in})


def with_sam2(weights: Weights, device: str = "auto") -> Tier:
    """Give the tier whose outlines are SAM2's, with these weights; everything else is as in the one without weights.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    WeightsMissing, WeightsCorrupt
        The file is not there, or not what it should be. It is read only when the first candidate comes.
    """
    weights.check()
    plain, model = weight_free(), weights.model
    family = "official" if model.url else "bundled"
    names = plain.names | {"segmentation": f"SAM2 ({model.name} weights, {weights.sha256[:12]})"}
    return replace(plain, family=family, names=names, segmenter=sam2_segmenter(weights, device))


def sam2_segmenter(weights: Weights, device: str = "auto") -> Sam2Segmenter:
    """Give SAM2 with weights that were checked; they are read when the first candidate comes."""
    confidence = Confidence.from_json(weights.metadata.get("confidence", {}))
    # on a CPU each prompt of a published network costs half a second per slice
    n_jitters = 2 if weights.model.url else Sam2Segmenter.n_jitters
    return Sam2Segmenter(_loader(weights, device), weights.sha256, n_jitters=n_jitters, confidence=confidence)


def _loader(weights: Weights, device: str) -> "Callable[[], Loaded]":
    def load() -> "Loaded":
        from ai_engine.sam2 import loading  # noqa: PLC0415 - torch takes seconds, and is not for every process

        return loading.load(weights.path, weights.model.config, weights.model.image_size, device)

    return load
