"""Does a named part come out, and not the other one? Part-solid nodules whose core is known. READ FIRST.

The nodule is outlined as the node does it, from a jittered box and with nothing named; then each part is asked for, by
every held-out paraphrase, and by a number (one-hot) from the baseline that knows no words.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ai_engine.clip.parts import Part
from ai_engine.composites import Composite
from ai_engine.domain import BoolArray, CtVolume
from ai_engine.evaluation.prompts import box_of
from ai_engine.evaluation.scores import dice, segment_of

if TYPE_CHECKING:
    from torch import Tensor

    from ai_engine.sam2.loading import Loaded

#: Who names the parts: nobody, so that the nodule is outlined as ever; words; numbers.
NOBODY, TEXT, ONE_HOT = "no part named", "text, held-out paraphrases", "one-hot"

_RESAMPLES, _PERCENT = 2000, (2.5, 97.5)

# Who names the parts -> part -> wording -> tokens.
Named = Mapping[str, Mapping[Part, Mapping[str, "Tensor"]]]


@dataclass(frozen=True)
class Judged:
    """One outline of one part of one nodule.

    Attributes
    ----------
    named, other : float
        3D Dice with the part that was named, and with the other one.
    """

    nodule: str
    patient_id: str
    renderer: str
    by: str
    part: Part
    wording: str
    named: float
    other: float


@dataclass(frozen=True)
class Interval:
    """A mean over nodules with its 95 % interval, drawn by patient."""

    value: float
    low: float
    high: float


def judged(composite: Composite, loaded: "Loaded", named: Named, rng: np.random.Generator) -> Iterator[Judged]:
    """Judge all ways to name the parts on one composite with a core."""
    from ai_engine.sam2.parts import parts_of  # noqa: PLC0415 - torch takes seconds
    from ai_engine.sam2.propagate import outlined  # noqa: PLC0415

    whole, volume = segment_of(composite.labels == 1), CtVolume(composite.hu, np.diag([*composite.spacing_krc_mm, 1.0]))
    if whole is None or composite.core is None:
        return
    truths = {Part.WHOLE: composite.labels == 1, Part.CORE: composite.core}
    found = outlined(volume, box_of(whole, rng), loaded)
    yield from (_judged(composite, NOBODY, part, "", found, truths) for part in Part)
    seen = segment_of(found)
    for by, parts in named.items():
        for part, wordings in parts.items():
            masks = [found] * len(wordings) if seen is None else parts_of(volume, seen, loaded, [*wordings.values()])
            for wording, mask in zip(wordings, masks, strict=True):
                yield _judged(composite, by, part, wording, mask, truths)


def _judged(
    composite: Composite, by: str, part: Part, wording: str, mask: BoolArray, truths: Mapping[Part, BoolArray]
) -> Judged:
    (other,) = (each for each in Part if each is not part)
    name = f"{composite.annotation_id} in {composite.lung}, renderer {composite.renderer}, {composite.seed}"
    dices = dice(truths[part], mask), dice(truths[other], mask)
    return Judged(name, composite.patient_id, str(composite.renderer), by, part, wording, *dices)


def interval(rows: Sequence[Judged], figure: Callable[[Judged], float], seed: int = 1) -> Interval:
    """Compute the mean of a figure over rows: each nodule once, whatever its wordings; patients are drawn."""
    by_nodule: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        by_nodule.setdefault((row.patient_id, row.nodule), []).append(figure(row))
    by_patient: dict[str, list[float]] = {}
    for (patient, _), values in by_nodule.items():
        by_patient.setdefault(patient, []).append(float(np.mean(values)))
    sums = np.array([(sum(values), len(values)) for values in by_patient.values()], dtype=np.float64)
    drawn = sums[np.random.default_rng(seed).integers(len(sums), size=(_RESAMPLES, len(sums)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], _PERCENT)
    total, n = sums.sum(axis=0)
    return Interval(float(total / n), float(low), float(high))
