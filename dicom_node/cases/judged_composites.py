"""The composites that figures are printed on: outlines of test patients in lungs that nothing is ever trained in."""

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
from dicom_node.cases.splits import LungUse, check_use
from dicom_node.errors import CaseDataMissing

# Other nodules in the crop: so many, drawn evenly.
N_DISTRACTORS = (0, 1, 2)


def judged_composites(
    database: LidcDatabase, data_dir: Path, renderer: Renderer, n: int, seed: int
) -> Iterator[tuple[Composite, Lungs]]:
    """Compose ``n`` crops, each from another outline, in all such lungs in turn.

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
        An outline or a lung is not one to test with.
    """
    lungs = list(backgrounds(data_dir, LungUse.NEVER))
    shapes = nodule_shapes(database, Split.TEST, seed=seed)
    given = 0
    for number, (shape, background) in enumerate(zip(shapes, cycle(lungs), strict=False)):
        if given == n:
            return
        rng = np.random.default_rng([seed, number])
        others = [next(shapes, shape) for _ in range(int(rng.choice(N_DISTRACTORS)))]
        check_use(Split.TEST, _patients(shape, *others), [background.name])
        try:
            yield compose(shape, others, background, renderer, rng), background.lungs
        except NoRoom:
            continue
        given += 1
    if given < n:
        raise CaseDataMissing(f"only {given} of {n} outlines of test patients found room in {len(lungs)} lungs")


def _patients(*shapes: NoduleShape) -> set[str]:
    return {shape.patient_id for shape in shapes}
