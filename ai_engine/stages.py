"""The stages that a model tier may replace, and the tier that needs no weights.

A stage is a frozen dataclass: its fields are its settings, and they go into the digest of the algorithm, but for those
that do not compare (``field(compare=False)``), such as the place of a file.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ai_engine.candidates import ClassicalDetector, Proposer
from ai_engine.candidates.merging import merged, with_scores
from ai_engine.candidates.prompted import is_faint
from ai_engine.clip import weights as encoder_weights
from ai_engine.clip.part_outliner import PartOutliner
from ai_engine.clip.prompt import Prompt as Question
from ai_engine.clip.prompt import understand
from ai_engine.clip.published import Published, PublishedScorer, revision_of
from ai_engine.clip.scorer import TextScorer
from ai_engine.clip.vocabulary import LONGEST, Vocabulary, of_wordings, split
from ai_engine.clip.weights import OperatingPoint
from ai_engine.describe import faint_share
from ai_engine.domain import Candidate, Channel, CtVolume, FloatArray, ScoredBy, Segment
from ai_engine.errors import UnknownWords, WeightsMissing
from ai_engine.lungs import Lungs, ThresholdLungs
from ai_engine.sam2.confidence import Confidence
from ai_engine.sam2.segmenter import Sam2Segmenter
from ai_engine.sam2.weights import Weights
from ai_engine.scene import Scene
from ai_engine.segment import RegionGrowing

if TYPE_CHECKING:
    from ai_engine.clip.loading import Loaded as LoadedEncoder
    from ai_engine.sam2.adapter import Adapter
    from ai_engine.sam2.loading import Loaded

_LOG = logging.getLogger(__name__)

# A nodule with more ground glass than this inside its outline is subsolid.
_SUBSOLID_SHARE = 0.25
# What sizes are written with, as it can stand in objects of any character set.
_IN_ASCII = str.maketrans({"≥": ">=", "≤": "<=", "–": "-", "’": "'", "“": '"', "”": '"'})


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
class Scoring:
    """The encoder as a stage: it scores all candidates alike, and tells which findings are what was asked for.

    Attributes
    ----------
    scorer : TextScorer
        Reads its weights when the first scene comes.
    vocabulary : Vocabulary
        The words that it knows.
    version, weights : str
        Of the weights: the software that trained them, and their SHA-256.
    point : OperatingPoint
        From which score on a candidate is a finding.
    """

    scorer: TextScorer = field(compare=False, repr=False)
    vocabulary: Vocabulary = field(compare=False, repr=False)
    version: str
    weights: str
    point: OperatingPoint

    def above(self, scene: Scene, candidates: Sequence[Candidate], threshold: float) -> list[Candidate]:
        """Keep what scores at least the threshold, one candidate for each place, best first."""
        scored = with_scores(candidates, self.scorer.score(scene, candidates))
        kept = merged([each for each in scored if each.score >= threshold], scene.volume.spacing_krc_mm)
        return [_of_kind(each, is_faint=is_faint(scene, each.centre_krc)) for each in kept]

    def outlined(self, scene: Scene, candidate: Candidate, segment: Segment) -> Candidate:
        """Give a candidate the channel that its outline shows: a part-solid nodule may be solid in the middle."""
        share = faint_share(scene.volume, segment)
        return candidate if share is None else _of_kind(candidate, is_faint=share > _SUBSOLID_SHARE)

    def named(self, threshold: float | None) -> ScoredBy:
        """Say what scores; ``threshold`` is the site's own, and nothing is known of its false positives."""
        name, point = "Emerald image-text encoder", self.point
        if threshold is not None and threshold != point.threshold:
            return ScoredBy(name, self.version, self.weights, threshold, None)
        per_scan, n_scans = point.false_positives_per_scan, point.n_scans
        return ScoredBy(name, self.version, self.weights, point.threshold, per_scan, n_scans)


def _of_kind(candidate: Candidate, *, is_faint: bool) -> Candidate:
    """Set the channel by what is there: several searches may have proposed one place."""
    solid = Channel.MASS if candidate.channel is Channel.MASS else Channel.SOLID
    return replace(candidate, channel=Channel.GROUND_GLASS if is_faint else solid)


@dataclass(frozen=True)
class Beside:
    """A published network whose scores are shown beside ours and decide nothing.

    Attributes
    ----------
    name, revision : str
        Of the network: its folder, and the SHA-256 of what is in it.
    """

    name: str
    revision: str
    scorer: PublishedScorer = field(compare=False, repr=False)

    def scores(self, scene: Scene, candidates: Sequence[Candidate]) -> FloatArray | None:
        """Score candidates, (n,) float64; None where the network fails: a job does not, for what decides nothing."""
        try:
            return self.scorer.score(scene, candidates)
        except Exception as error:  # a network that others wrote and a site converted can raise anything
            if type(error) not in self._told:
                self._told.add(type(error))
                _LOG.warning("the published network %s gives no scores: %s: %s", self.name, type(error).__name__, error)
            return None

    @cached_property
    def _told(self) -> set[type[Exception]]:
        """Keep what was logged: the next job would say the same."""
        return set()


@dataclass(frozen=True)
class Tier:
    """One set of stages.

    Attributes
    ----------
    family : str
        What kind of models run, as the reports name it.
    names : dict
        Stage -> what runs there, in words.
    scoring : Scoring or None
        The encoder; without it the detector decides by itself.
    beside : Beside or None
    parts : PartOutliner or None
        Outlines a part of each nodule by its name; without it a prompt may name none.
    """

    family: str
    names: dict[str, str]
    lungs: LungFinder
    detector: Detector
    segmenter: Segmenter
    scoring: Scoring | None = None
    beside: Beside | None = None
    parts: PartOutliner | None = None

    def understood(self, text: str) -> Question:
        """Read a prompt.

        Raises
        ------
        UnknownWords
            It holds words that the encoder does not know, or too many, or such as only an encoder could tell, or it
            names a part of a nodule and nothing here outlines parts.
        """
        plain = " ".join(text.translate(_IN_ASCII).split())
        question = understand(plain, self.scoring.vocabulary if self.scoring else of_wordings())
        if too_long := [each for each in (question.part, question.words) if len(split(each)) > LONGEST]:
            raise UnknownWords(f"{too_long[0]!r} has more than {LONGEST} words")
        if question.part and self.parts is None:
            raise UnknownWords(
                f"the tier {self.family!r} cannot outline {question.part!r}: that takes an adapter for parts, "
                "which the bundled tier alone can have, for the SAM2 and the encoder that it was trained with"
            )
        if self.scoring is None and not question.is_plain:
            raise UnknownWords(
                f"{question.words!r} can be told by the encoder alone, which does not run here; sizes and places can"
            )
        return question


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


def with_encoder(tier: Tier, weights: Weights, point: OperatingPoint | None = None) -> Tier:
    """Give a tier whose findings are chosen by the encoder: it scores a generous list of candidates.

    Parameters
    ----------
    point : OperatingPoint, optional
        Instead of the one that was fixed with the weights.

    Raises
    ------
    WeightsMissing, WeightsCorrupt, WeightsError
        The file is not there, not what it should be, or nothing says at which threshold it detects. The network is
        read only when the first scene comes.
    """
    weights.check()
    version, point = encoder_weights.version_of(weights), point or encoder_weights.operating_point(weights)
    vocabulary = encoder_weights.vocabulary_of(weights)
    scoring = Scoring(
        TextScorer(_encoder_loader(weights.path), zero=point.zero), vocabulary, version, weights.sha256, point
    )
    first = {
        "lungs": tier.names["lungs"],
        "candidates": "round places, masses and ground glass, refusing little (no weights)",
        "scoring": f"image-text encoder {version} (weights {weights.sha256[:12]})",
    }
    family = "bundled" if tier.family == "weight-free" else tier.family
    return replace(tier, family=family, names=first | _after(tier.names, first), detector=Proposer(), scoring=scoring)


def without_encoder(tier: Tier) -> Tier:
    """Give a tier that finds without the encoder whose weights are missing; it says so wherever it is named."""
    stands_in = f"{tier.names['candidates']}: those of the encoder are missing"
    return replace(tier, names=tier.names | {"candidates": stands_in})


def with_published(tier: Tier, folder: Path) -> Tier:
    """Give a tier that shows the scores of a published network beside ours.

    Raises
    ------
    WeightsMissing, WeightsError
        There is no such network, or it cannot be read. It is loaded when the first scene comes.
    """
    if not (folder / "config.json").is_file():
        raise WeightsMissing(f"there is no network at {folder}")
    # the reports that name it are written in ASCII
    name, revision = folder.name.encode("ascii", "replace").decode(), revision_of(folder)
    shown = {"published": f"{name} ({revision[:12]}), shown beside the score"}
    beside = Beside(name, revision, PublishedScorer(_published_loader(folder)))
    return replace(tier, names=tier.names | shown, beside=beside)


def with_adapter(tier: Tier, adapter: Weights, encoder: Weights, segmenter: Weights, device: str = "auto") -> Tier:
    """Give a tier that outlines a part of a nodule by its name.

    An adapter is good for the encoder and the SAM2 that it was trained with, and for no other: with another one, or
    where SAM2 does not run, the tier stays as it is.

    Raises
    ------
    WeightsMissing, WeightsCorrupt
        The adapter's file is not there, or not what it should be.
    """
    adapter.check()
    own = (adapter.metadata["text"], adapter.metadata["segmenter"]) == (encoder.sha256, segmenter.sha256)
    if not own or not isinstance(tier.segmenter, Sam2Segmenter):
        return tier
    outliner = PartOutliner(_parts_loader(adapter.path, encoder.path, _loader(segmenter, device)), adapter.sha256)
    return replace(tier, parts=outliner)


def _parts_loader(
    adapter: Path, encoder: Path, load_sam2: "Callable[[], Loaded]"
) -> "Callable[[], tuple[LoadedEncoder, Adapter, Loaded]]":
    def load() -> "tuple[LoadedEncoder, Adapter, Loaded]":
        from ai_engine.sam2 import adapter as adapters  # noqa: PLC0415 - torch takes seconds

        return _encoder_loader(encoder)(), adapters.load(adapter), load_sam2()

    return load


def _after(names: dict[str, str], first: dict[str, str]) -> dict[str, str]:
    return {stage: what for stage, what in names.items() if stage not in first}


def _encoder_loader(path: Path) -> "Callable[[], LoadedEncoder]":
    def load() -> "LoadedEncoder":
        from ai_engine.clip import loading  # noqa: PLC0415 - torch takes seconds, and is not for every process

        return loading.load(path)

    return load


def _published_loader(folder: Path) -> Callable[[], Published]:
    def load() -> Published:
        from ai_engine.clip import published  # noqa: PLC0415 - as above

        return published.load(folder)

    return load


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
