"""The story of one analysis. READ FIRST.

lungs -> candidates -> segment -> measure -> describe -> malignancy -> Lung-RADS
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
from ai_engine.describe import look_at
from ai_engine.domain import (
    Algorithm,
    Analysis,
    Candidate,
    ClinicalContext,
    CtVolume,
    Finding,
    Prompt,
    Segment,
)
from ai_engine.errors import EmptySegment, OutOfMemory, PromptOutside, VolumeError
from ai_engine.geometry import Turn, turn_of
from ai_engine.measure import measure
from ai_engine.rules import lung_rads
from ai_engine.scene import Scene, scene_of
from ai_engine.stages import Stage, Tier, weight_free

VERSION = "0.1.0"

# What part of the whole is done when the segmentation begins and ends.
SEGMENTATION = (0.7, 0.97)

Progress = Callable[[str, float], None]


def _silent(stage: str, fraction: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, eq=False)
class _Detected:
    """A candidate that was found to be a nodule, all on the turned grid."""

    candidate: Candidate
    segment: Segment


class Engine:
    """Analyses volumes. Holds no state between them.

    Parameters
    ----------
    detection_threshold : float, optional
        Findings with a lower ``detection_score`` are left out; None takes all that the detector accepts. In the
        weight-free tier the score is the worst of several grades of shape, each 0.5 where it just passes and 1 for a
        ball in open lung: a degree of likeness to a nodule, not a probability (``growing.Judge``).
    tier : Tier, optional
        The stages that run; by default those that need no weights.
    prompt : BoxPrompt or PointPrompt, optional
        See ``prompted``.
    """

    def __init__(
        self, detection_threshold: float | None = None, tier: Tier | None = None, prompt: Prompt | None = None
    ) -> None:
        self._threshold = detection_threshold
        self._tier = tier or weight_free()
        self._prompt = prompt
        self.algorithm = _algorithm(self._tier, detection_threshold, prompt)

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
        return Engine(None, replace(self._tier, names=names), prompt)

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
        with clock.stage("segmentation", SEGMENTATION[0]):
            detected = self._detected(scene, candidates, progress)
        with clock.stage("description", SEGMENTATION[1]):
            findings = self._findings(volume, scene, turn, detected, context)
        exam = lung_rads.exam([finding.lung_rads for finding in findings], lungs.cut)
        progress("done", 1.0)
        return Analysis(self.algorithm, findings, lungs.volume_ml, lungs.cut, exam, clock.seconds)

    def search(self, scene: Scene) -> list[tuple[Candidate, Segment]]:
        """Find and segment the nodules of a scene as ``analyse`` does, and leave it at that; all on the turned grid."""
        candidates = self._tier.detector.detect(scene)
        above = [each for each in candidates if self._threshold is None or each.score >= self._threshold]
        detected = self._detected(scene, above)
        return [(found.candidate, found.segment) for found in detected]

    def _candidates(self, scene: Scene, turn: Turn) -> list[Candidate]:
        """Search, or take what a person points at; only what is above the threshold."""
        if self._prompt is not None:
            return [candidate_of(scene, turn.prompt_to_turned(self._prompt))]
        found = self._tier.detector.detect(scene)
        return [each for each in found if self._threshold is None or each.score >= self._threshold]

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
            if not (taken[segment.box] & segment.mask).any():
                kept.append(_Detected(candidate, segment))
                taken[segment.box] |= segment.mask
        return kept

    def _findings(
        self, volume: CtVolume, scene: Scene, turn: Turn, detected: list[_Detected], context: ClinicalContext
    ) -> tuple[Finding, ...]:
        """Measure and describe, on the volume as it came; the largest finding is number 1."""
        findings = [self._finding(volume, scene, turn, found, len(detected), context) for found in detected]
        findings.sort(key=lambda finding: -finding.measurements.volume_mm3)
        return tuple(replace(finding, number=number) for number, finding in enumerate(findings, start=1))

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
        )


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


def _algorithm(tier: Tier, threshold: float | None, prompt: Prompt | None) -> Algorithm:
    """Name what runs; the digest changes with code version, stages and settings."""
    settings = {type(stage).__name__: _settings(stage) for stage in (tier.lungs, tier.detector, tier.segmenter)}
    asked = None if prompt is None else {type(prompt).__name__: asdict(prompt)}
    facts = json.dumps([VERSION, tier.family, tier.names, settings, threshold, asked], sort_keys=True)
    digest = hashlib.sha256(facts.encode()).hexdigest()
    return Algorithm(f"Emerald lung nodules, {tier.names['segmentation']}", VERSION, tier.family, digest, tier.names)


def _settings(stage: Stage) -> dict[str, Any]:
    """Return what goes into the digest: fields that do not compare, such as the place of a file, stay out."""
    values = ((each.name, getattr(stage, each.name)) for each in fields(stage) if each.compare)
    return {name: asdict(value) if is_dataclass(value) else value for name, value in values}  # type: ignore[arg-type]
