"""Whole lungs with several nodules each: what detectors are judged on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from ai_engine.composites import Background, NoduleShape, PlantedScan, Renderer, compose_scan
from dicom_node.cases.lidc_database import Split
from dicom_node.cases.splits import check_use
from dicom_node.errors import CaseDataMissing


@dataclass(frozen=True)
class Planting:
    """How copies of a lung are planted.

    Attributes
    ----------
    per_scan : int
        Outlines tried in each copy; those without room are left out.
    apart_mm : float
        Between the surfaces of two nodules: no candidate can lie in both, and none is another's surroundings.
    smallest_mm : float
        Planted nodules below this are no truth and no false positive: readers need not report them.
    seed : int
        Of the places.
    held_out : frozenset of str
        Patients whose lungs are for training, but were seen by none of the networks that are tested in them.
    """

    per_scan: int = 10
    apart_mm: float = 15.0
    smallest_mm: float = 4.0
    seed: int = 1
    held_out: frozenset[str] = frozenset()


def planted_scans(
    shapes: Iterator[NoduleShape],
    lungs: Sequence[Background],
    purpose: Split,
    renderer: Renderer,
    n: int,
    how: Planting,
) -> Iterator[tuple[PlantedScan, Background]]:
    """Plant copies of all lungs in turn until there are ``n`` nodules of at least the smallest size that counts.

    The same seed gives both renderers the same outlines in the same lungs.

    Yields
    ------
    PlantedScan, Background
        The copy, and the lung as it was.

    Raises
    ------
    CaseDataMissing
        The outlines ran out before.
    SplitViolation
        An outline or a lung is not for this purpose.
    """
    planted = 0
    for number, background in enumerate(cycle(lungs)):
        if planted >= n:
            return
        chosen = list(islice(shapes, how.per_scan))
        if not chosen:
            raise CaseDataMissing(f"only {planted} of {n} nodules found room before the outlines ran out")
        unseen = background.patient in how.held_out
        check_use(purpose, {shape.patient_id for shape in chosen}, () if unseen else [background.name])
        scan = compose_scan(chosen, background, renderer, np.random.default_rng([how.seed, number]), how.apart_mm)
        planted += sum(nodule.diameter_mm >= how.smallest_mm for nodule in scan.nodules)
        yield scan, background
