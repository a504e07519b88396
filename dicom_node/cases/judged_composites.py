"""The composites that figures are printed on, and those that thresholds are set on: each split in lungs of its own."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np

from ai_engine.composites import Composite, NoduleShape, Renderer, compose
from ai_engine.errors import NoRoom
from ai_engine.lungs import Lungs
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cases.lungs import backgrounds
from dicom_node.cases.shapes import nodule_shapes
from dicom_node.cases.splits import LUNG_USE_FOR, check_use
from dicom_node.errors import CaseDataMissing

# Other nodules in the crop: so many, drawn evenly.
N_DISTRACTORS = (0, 1, 2)


def judged_composites(
    database: LidcDatabase, data_dir: Path, renderer: Renderer, n: int, seed: int, split: Split = Split.TEST
) -> Iterator[tuple[Composite, Lungs]]:
    """Compose ``n`` crops, each from another outline of a split, in all lungs of that split in turn.

    The mix of sizes and types is that of the readers' outlines. The same seed gives both renderers the same outlines,
    lungs and distractors.

    Yields
    ------
    Composite, Lungs
        The crop, and the lungs of its whole series as they were before anything was planted.

    Raises
    ------
    CaseDataMissing
        There are too few outlines that find room.
    SplitViolation
        An outline or a lung belongs to another split.
    """
    lungs = list(backgrounds(data_dir, LUNG_USE_FOR[split]))
    shapes = nodule_shapes(database, split, seed=seed)
    given = 0
    for number, (shape, background) in enumerate(zip(shapes, cycle(lungs), strict=False)):
        if given == n:
            return
        rng = np.random.default_rng([seed, number])
        others = [next(shapes, shape) for _ in range(int(rng.choice(N_DISTRACTORS)))]
        check_use(split, _patients(shape, *others), [background.name])
        try:
            yield compose(shape, others, background, renderer, rng), background.lungs
        except NoRoom:
            continue
        given += 1
    if given < n:
        raise CaseDataMissing(f"only {given} of {n} outlines of {split} patients found room in {len(lungs)} lungs")


def _patients(*shapes: NoduleShape) -> set[str]:
    return {shape.patient_id for shape in shapes}
