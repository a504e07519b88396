"""Readers' outlines of one scan -> lesions with their truths, on the grid that the engine works on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ai_engine.domain import BoolArray, CtVolume, NoduleType, Segment
from ai_engine.evaluation.domain import Case, Lesion, Truth
from ai_engine.evaluation.scores import segment_of, touch
from ai_engine.geometry import turn_of


@dataclass(frozen=True, eq=False)
class Reading:
    """One reader's outline of one nodule, on the grid of the case, and its texture (LIDC: 1 ground glass, 5 solid)."""

    segment: Segment
    texture: int


def case_of(name: str, volume: CtVolume, lesions: Iterable[Lesion]) -> Case:
    """Make a case of a series and the lesions on its grid: both are turned to the grid that the engine works on."""
    turn = turn_of(volume)
    k, r, c = volume.hu.shape

    def turned(segment: Segment) -> Segment:
        return _cut(turn.array(segment.on((k, r, c))))

    on_grid = [
        replace(
            lesion,
            truths=tuple(replace(truth, segment=turned(truth.segment)) for truth in lesion.truths),
            readers=tuple(turned(reader) for reader in lesion.readers),
        )
        for lesion in lesions
    ]
    return Case(name, turn.volume(volume), tuple(on_grid))


def _cut(mask: BoolArray) -> Segment:
    segment = segment_of(mask)
    if segment is None:
        raise ValueError("an outline holds no voxel")
    return segment


def grouped(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Put readings that overlap, directly or through others, into one group: the readers' views of one nodule."""
    groups: list[list[Reading]] = []
    for reading in readings:
        touched = [group for group in groups if any(touch(reading.segment, other.segment) for other in group)]
        groups = [group for group in groups if group not in touched]
        groups.append([*(other for group in touched for other in group), reading])
    return groups


def lesion_of(name: str, readings: Sequence[Reading], *, each_reader: bool) -> Lesion:
    """Make a lesion of its readings.

    Parameters
    ----------
    each_reader : bool
        Whether every reader's outline is a truth of its own, beside the voxels of at least half of the readers.
    """
    segments = [reading.segment for reading in readings]
    truths = [Truth(f"at least half of {len(segments)} readers", consensus(segments))]
    if len(segments) == 2:
        truths = [Truth("either of 2 readers", truths[0].segment)]
    elif len(segments) == 1:
        truths = [Truth("the only reader", segments[0])]
    if each_reader and len(segments) > 1:
        truths += [Truth(f"reader {number}", segment) for number, segment in enumerate(segments, start=1)]
    texture = median(reading.texture for reading in readings)
    return Lesion(name, nodule_type_of(texture), tuple(truths), tuple(segments))


def consensus(segments: Sequence[Segment]) -> Segment:
    """Return the voxels that at least half of the segments hold."""
    low = np.min([segment.origin_krc for segment in segments], axis=0)
    high = np.max([np.add(segment.origin_krc, segment.mask.shape) for segment in segments], axis=0)
    votes = np.zeros(high - low, dtype=int)
    for segment in segments:
        votes += Segment(segment.mask, _shifted(segment.origin_krc, -low)).on(votes.shape)
    part = _cut(votes >= len(segments) / 2)
    return Segment(part.mask, _shifted(part.origin_krc, low))


def _shifted(origin_krc: tuple[int, int, int], by: NDArray[np.int_]) -> tuple[int, int, int]:
    k, r, c = (int(n) for n in np.add(origin_krc, by))
    return k, r, c


def nodule_type_of(texture: float) -> NoduleType:
    """Name the type that a texture rating stands for: up to 2 ground glass, above 3.5 solid, between part-solid."""
    if texture <= 2:
        return NoduleType.GROUND_GLASS
    return NoduleType.SOLID if texture > 3.5 else NoduleType.PART_SOLID
