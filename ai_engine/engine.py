"""The story of one analysis. READ FIRST.

lungs -> candidates -> score by words -> segment -> measure -> describe -> malignancy -> Lung-RADS -> what was asked for
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from ai_engine import malignancy
from ai_engine.candidates.prompted import candidate_of
from ai_engine.clip.prompt import DEFAULT
from ai_engine.clip.prompt import Prompt as Question
from ai_engine.clip.scorer import described
from ai_engine.describe import look_at
from ai_engine.domain import (
    Algorithm,
    Analysis,
    Candidate,
    ClinicalContext,
    CtVolume,
    Finding,
    NamedPart,
    Prompt,
    Segment,
)
from ai_engine.errors import EmptySegment, OutOfMemory, PromptOutside, VolumeError
from ai_engine.geometry import Turn, turn_of
from ai_engine.measure import mean_diameter_mm, measure
from ai_engine.rules import lung_rads
from ai_engine.scene import Scene, scene_of
from ai_engine.stages import Stage, Tier, weight_free

VERSION = "0.1.0"

# What part of the whole is done when the segmentation begins and ends.
SEGMENTATION = (0.7, 0.97)
# What is smaller is a micronodule, not a nodule (Fleischner Society glossary, Radiology 2008;246:697); LIDC-IDRI's
# readers outlined none either (Armato, Med Phys 2011;38:915).
_NODULE_FROM_MM = 3.0

Progress = Callable[[str, float], None]


def _silent(stage: str, fraction: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, eq=False)
class _Detected:
    """A candidate that was found to be a nodule, all on the turned grid; ``published`` as in ``Finding``."""

    candidate: Candidate
    segment: Segment
    published: dict[str, float] = field(default_factory=dict)


class Engine:
    """Analyses volumes. Holds no state between them.

    Parameters
    ----------
    detection_threshold : float, optional
        Findings with a lower ``detection_score`` are left out; None takes all that the detector accepts, or the
        threshold that was fixed with the encoder's weights. Without the encoder the score is the worst of several
        grades of shape, each 0.5 where it just passes and 1 for a ball in open lung: a degree of likeness to a nodule,
        not a probability (``growing.Judge``). With it, it is the likeness to the words for a nodule against those for
        what is none (``clip.ensembles``), 0.5 at the threshold fixed with the weights; not a probability either.
    tier : Tier, optional
        The stages that run; by default those that need no weights.
    prompt : BoxPrompt or PointPrompt, optional
        See ``prompted``.
    asked : str
        What is reported, in words; everything is searched whatever is asked.

    Attributes
    ----------
    algorithm : Algorithm
        What runs.
    adapter_weights : str or None
        SHA-256 of what outlines parts of nodules; None where none can be asked for.

    Raises
    ------
    UnknownWords
        What is asked for cannot be told by this tier.
    """

    def __init__(
        self,
        detection_threshold: float | None = None,
        tier: Tier | None = None,
        prompt: Prompt | None = None,
        asked: str = DEFAULT,
    ) -> None:
        self._tier = tier or weight_free()
        self._prompt = prompt
        self._question = self._tier.understood(asked)
        scored_by = self._tier.scoring.named(detection_threshold) if self._tier.scoring else None
        self._threshold = scored_by.threshold if scored_by else detection_threshold
        self.algorithm = _algorithm(self._tier, detection_threshold, prompt, self._question)
        self.adapter_weights = self._tier.parts.weights if self._tier.parts else None

    def analyse(self, volume: CtVolume, context: ClinicalContext, progress: Progress = _silent) -> Analysis:
        """Find, segment, measure and score the nodules of one volume.

        Parameters
        ----------
        volume : CtVolume
            Axial, any direction of k, any flip.
        context : ClinicalContext
            What the record knows of the patient.
        progress : callable
            Told the stage and the fraction done, 0 to 1.

        Raises
        ------
        NoLungs
            The volume holds no lung that can be analysed.
        VolumeError
            The volume is not axial, or not one that can be analysed.
        PromptOutside
            The prompt of ``prompted`` is not in the volume.
        OutOfMemory
            The machine has too little memory at this moment.
        """
        try:
            return self._analyse(volume, context, progress)
        except MemoryError as error:
            raise OutOfMemory("the analysis did not fit into memory") from error

    def prompted(self, prompt: Prompt) -> "Engine":
        """Return an engine that outlines what a person points at, and searches for nothing.

        Parameters
        ----------
        prompt : BoxPrompt or PointPrompt
            In voxel indices of the volume that will be analysed.
        """
        names = self._tier.names | {"candidates": "pointed at by a person"}
        names.pop("scoring", None)
        return Engine(None, replace(self._tier, names=names, scoring=None), prompt)

    def _analyse(self, volume: CtVolume, context: ClinicalContext, progress: Progress) -> Analysis:
        clock = _Clock(progress)
        if volume.hu.ndim != 3 or min(volume.hu.shape) < 2:
            raise VolumeError(f"a volume of shape {volume.hu.shape} cannot be analysed")
        if self._prompt is not None:
            _check_inside(self._prompt, volume.hu.shape)
        turn = turn_of(volume)
        turned = turn.volume(volume)
        with clock.stage("lungs", 0.0):
            lungs = self._tier.lungs.find(turned)
            scene = scene_of(turned, lungs)
        with clock.stage("candidates", 0.25):
            candidates = self._candidates(scene, turn)
        if self._tier.scoring is not None:
            with clock.stage("scoring", 0.45):
                candidates = self._above(scene, candidates)
        with clock.stage("segmentation", SEGMENTATION[0]):
            detected = self._detected(scene, candidates, progress)
        if self._tier.beside is not None:
            with clock.stage("published", SEGMENTATION[1]):
                detected = self._with_published(scene, detected)
        with clock.stage("description", SEGMENTATION[1]):
            ranked = self._findings(volume, scene, turn, detected, context)
            findings, others = self._selected(scene, turn, ranked)
        exam = lung_rads.exam([finding.lung_rads for finding in (*findings, *others)], lungs.cut)
        progress("done", 1.0)
        return Analysis(self.algorithm, findings, lungs.volume_ml, lungs.cut, exam, clock.seconds, others)

    def search(self, scene: Scene) -> list[tuple[Candidate, Segment]]:
        """Find and segment the nodules of a scene as ``analyse`` does, and leave it at that; all on the turned grid."""
        candidates = self._above(scene, self._tier.detector.detect(scene))
        detected = self._detected(scene, candidates)
        return [(found.candidate, found.segment) for found in detected]

    def _candidates(self, scene: Scene, turn: Turn) -> list[Candidate]:
        """Search, or take what a person points at; what a detector scores by itself only above the threshold."""
        if self._prompt is not None:
            return [candidate_of(scene, turn.prompt_to_turned(self._prompt))]
        found = self._tier.detector.detect(scene)
        return found if self._tier.scoring else self._above(scene, found)

    def _above(self, scene: Scene, candidates: list[Candidate]) -> list[Candidate]:
        """Take those above the threshold, by the encoder's score where there is one."""
        if self._tier.scoring is not None and self._threshold is not None:
            return self._tier.scoring.above(scene, candidates, self._threshold)
        return [each for each in candidates if self._threshold is None or each.score >= self._threshold]

    def _with_published(self, scene: Scene, detected: list[_Detected]) -> list[_Detected]:
        """Show what a published network says of the same places; nothing follows from it."""
        beside = self._tier.beside
        if beside is None:
            return detected
        scores = beside.scores(scene, [found.candidate for found in detected])
        if scores is None:
            return detected
        return [
            replace(found, published={beside.name: float(score)}) for found, score in zip(detected, scores, strict=True)
        ]

    def _selected(
        self, scene: Scene, turn: Turn, findings: list[Finding]
    ) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Part what is asked for from what else was found, in their order; the numbers of the second go on."""
        compared = list(self._compared(scene, turn, findings))
        asked_for = [finding for finding, is_wanted in compared if is_wanted]
        others = [finding for finding, is_wanted in compared if not is_wanted]
        numbered = tuple(replace(each, number=n) for n, each in enumerate([*asked_for, *others], start=1))
        return numbered[: len(asked_for)], numbered[len(asked_for) :]

    def _compared(self, scene: Scene, turn: Turn, findings: list[Finding]) -> Iterator[tuple[Finding, bool]]:
        """Yield each finding, with its likeness where words ask for more than a nodule, and whether it is asked for."""
        question, scoring = self._question, self._tier.scoring
        if scoring is None or question.is_plain:
            for each in findings:
                yield each, question.allows(each.measurements.mean_diameter_mm, each.location)
            return
        selected = scoring.scorer.selection(scene, [described(each, turn) for each in findings], question)
        for each, chosen in zip(findings, selected, strict=True):
            yield replace(each, likeness=chosen.likeness), chosen.is_asked_for

    def _detected(self, scene: Scene, candidates: list[Candidate], progress: Progress = _silent) -> list[_Detected]:
        """Segment the candidates; of two that turn out to be the same thing, the first stays."""
        taken = np.zeros(scene.volume.hu.shape, dtype=bool)
        kept: list[_Detected] = []
        for index, candidate in enumerate(candidates):
            progress("segmentation", float(np.interp(index, (0, len(candidates)), SEGMENTATION)))
            try:
                segment = self._tier.segmenter.segment(scene, candidate)
            except EmptySegment:
                continue
            if not (taken[segment.box] & segment.mask).any() and self._is_nodule(scene, segment):
                scoring = self._tier.scoring
                kept.append(_Detected(scoring.outlined(scene, candidate, segment) if scoring else candidate, segment))
                taken[segment.box] |= segment.mask
        return kept

    def _is_nodule(self, scene: Scene, segment: Segment) -> bool:
        """Whether an outline is large enough; what a person points at always is."""
        return self._prompt is not None or mean_diameter_mm(scene.volume, segment) >= _NODULE_FROM_MM

    def _findings(
        self, volume: CtVolume, scene: Scene, turn: Turn, detected: list[_Detected], context: ClinicalContext
    ) -> list[Finding]:
        """Measure and describe, on the volume as it came, in the order of their rank."""
        findings = [self._finding(volume, scene, turn, found, len(detected), context) for found in detected]
        return sorted(findings, key=self._rank)

    def _rank(self, finding: Finding) -> float:
        """Rank by volume; where the score is one for all kinds of nodules, by volume times score."""
        weight = finding.detection_score if self._tier.scoring else 1.0
        return -weight * finding.measurements.volume_mm3

    def _finding(
        self, volume: CtVolume, scene: Scene, turn: Turn, found: _Detected, n_nodules: int, context: ClinicalContext
    ) -> Finding:
        look = look_at(scene, found.candidate, found.segment)
        segment = turn.segment_to_source(found.segment)
        solid = None if look.solid is None else turn.segment_to_source(look.solid)
        measurements = measure(volume, segment, solid)
        k, r, c = (float(value) for value in turn.points_to_source(found.candidate.centre_krc))
        return Finding(
            number=0,
            candidate=replace(found.candidate, centre_krc=(k, r, c), prompt=self._prompt),
            segment=segment,
            measurements=measurements,
            location=look.location,
            descriptors=look.descriptors,
            detection_score=found.candidate.score,
            malignancy=malignancy.score(
                measurements, look.descriptors, look.location, n_nodules, context, scene.lungs.cut
            ),
            lung_rads=lung_rads.categorise(lung_rads.facts(measurements, look.descriptors)),
            published_scores=found.published,
            part=self._part(volume, scene, turn, found.segment),
        )

    def _part(self, volume: CtVolume, scene: Scene, turn: Turn, whole: Segment) -> NamedPart | None:
        """Outline what the prompt names of a nodule, if it names a part."""
        name, parts = self._question.part, self._tier.parts
        if not name or parts is None:
            return None
        found = parts.outline(scene.volume, whole, name)
        if found is None:
            return NamedPart(name, None)
        segment = turn.segment_to_source(found)
        volume_mm3 = float(segment.mask.sum() * volume.voxel_mm3)
        return NamedPart(name, segment, volume_mm3, mean_diameter_mm(volume, segment), is_whole=found is whole)


def _check_inside(prompt: Prompt, shape: tuple[int, ...]) -> None:
    """Raise ``PromptOutside`` for a prompt whose centre is not in a volume of this shape (k, r, c)."""
    if not all(0 <= at < n for at, n in zip(prompt.centre_krc, shape, strict=True)):
        k, r, c = shape
        raise PromptOutside(f"{prompt} is not in these images: {k} slices of {r} rows and {c} columns, from 0")


@dataclass
class _Clock:
    """Wall seconds by stage."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, fraction: float) -> Iterator[None]:
        self.progress(name, fraction)
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started


def _algorithm(tier: Tier, threshold: float | None, prompt: Prompt | None, question: Question) -> Algorithm:
    """Name what runs; the digest changes with code version, stages, settings and what is asked for."""
    settings = {type(stage).__name__: _settings(stage) for stage in (tier.lungs, tier.detector, tier.segmenter)}
    if tier.scoring is not None:
        settings[type(tier.scoring).__name__] = _settings(tier.scoring)
    if tier.beside is not None:
        settings[type(tier.beside).__name__] = _settings(tier.beside)
    names = tier.names
    if tier.parts is not None and question.part:
        names = names | {"parts": f"{question.part}, by the adapter for SAM2 ({tier.parts.weights[:12]})"}
    asked = None if prompt is None else {type(prompt).__name__: asdict(prompt)}
    facts = json.dumps([VERSION, tier.family, names, settings, threshold, asked, question.text], sort_keys=True)
    return Algorithm(
        name=f"Emerald lung nodules, {tier.names['segmentation']}",
        version=VERSION,
        family=tier.family,
        digest=hashlib.sha256(facts.encode()).hexdigest(),
        stages=names,
        prompt=question.text if prompt is None else "",
        prompt_names_lobe=question.names_lobe and prompt is None,
        scored_by=tier.scoring.named(threshold) if tier.scoring else None,
    )


def _settings(stage: Stage) -> dict[str, Any]:
    """Return what goes into the digest: fields that do not compare, such as the place of a file, stay out."""
    values = ((each.name, getattr(stage, each.name)) for each in fields(stage) if each.compare)
    return {name: asdict(value) if is_dataclass(value) else value for name, value in values}  # type: ignore[arg-type]
