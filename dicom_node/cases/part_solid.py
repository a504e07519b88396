"""Part-solid nodules whose solid core is known: planted, since no reader of LIDC-IDRI outlined one."""

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np

from ai_engine.composites import Composite, NoduleShape, Renderer, compose
from ai_engine.domain import NoduleType
from ai_engine.errors import NoRoom
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cases.lungs import backgrounds
from dicom_node.cases.shapes import may_show, nodule_shapes
from dicom_node.cases.splits import LUNG_USE_FOR, check_use
from dicom_node.errors import CaseDataMissing

#: Share of the nodule's volume that is core: less is a speck, more a solid nodule with a rim.
CORE_SHARE = (0.05, 0.7)

_BESIDE_OFTEN = 0.3
_TRIES_EACH = 12


def part_solid_composites(
    database: LidcDatabase, data_dir: Path, renderer: Renderer, n: int, seed: int, split: Split
) -> Iterator[Composite]:
    """Compose ``n`` crops of which the target is part-solid, from outlines and lungs of one split, both in turn.

    Raises
    ------
    CaseDataMissing
        Too few outlines become part-solid.
    SplitViolation
        An outline or a lung belongs to another split.
    """
    lungs = list(islice(backgrounds(data_dir, LUNG_USE_FOR[split]), n))
    shapes = list(nodule_shapes(database, split, seed=seed, limit=2 * n, wanted=may_show(NoduleType.PART_SOLID)))
    check_use(split, {shape.patient_id for shape in shapes}, [lung.name for lung in lungs])
    given = 0
    for number in count():
        if given == n:
            return
        if number == _TRIES_EACH * n:
            raise CaseDataMissing(f"only {given} of {n} outlines of {split} patients became part-solid")
        rng = np.random.default_rng([seed, number])
        shape, lung = shapes[number % len(shapes)], lungs[number % len(lungs)]
        try:
            composite = compose(shape, _beside(shapes, rng), lung, renderer, rng)
        except NoRoom:
            continue
        if _has_core(composite):
            given += 1
            yield composite


def _beside(shapes: list[NoduleShape], rng: np.random.Generator) -> list[NoduleShape]:
    return [shapes[int(rng.integers(len(shapes)))]] if rng.random() < _BESIDE_OFTEN else []


def _has_core(composite: Composite) -> bool:
    if composite.core is None:
        return False
    low, high = CORE_SHARE
    return bool(low <= composite.core.sum() / (composite.labels == 1).sum() <= high)
