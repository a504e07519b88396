"""What ``emerald train encoder`` learns from: places cut out of lungs through the split guard, kept by series."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ai_engine.candidates import ClassicalDetector, Proposer
from ai_engine.clip.facts import Ratings
from ai_engine.composites import Background
from ai_engine.composites.shards import Cached
from ai_engine.domain import NoduleType
from ai_engine.scene import scene_of
from ai_engine.training.encoder.cutting import Lung, Variation, of_composite, of_negative
from ai_engine.training.encoder.negatives import Negative, mined
from ai_engine.training.encoder.places import Place, PlaceFiles, Places
from ai_engine.training.encoder.plan import Text
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cases.lungs import backgrounds
from dicom_node.cases.splits import LUNG_USE_FOR, check_use
from dicom_node.cli.training_material import Shown, Sources, composites, composites_showing, lungs_of
from dicom_node.errors import CaseDataMissing, SettingsError

# Changes whenever places are cut another way: caches of another version are cut again.
CUT = 9

_VALIDATION_SEED = 7
_N_VALIDATION = 400
# Beside the others: few of them show these types, and of part-solid ones nearly none that is small.
_SMALL_PART_SOLID = Shown(NoduleType.PART_SOLID, (6.0, 16.0))
_MORE = {
    Split.TRAINING: {
        Shown(NoduleType.PART_SOLID): 600,
        Shown(NoduleType.GROUND_GLASS): 300,
        _SMALL_PART_SOLID: 600,
    },
    Split.VALIDATION: {_SMALL_PART_SOLID: 60},
}
_VARIATIONS = {Split.TRAINING: Variation(2, is_varied=True), Split.VALIDATION: Variation(1, is_varied=False)}
# Training sees more of what is no nodule than a search proposes: there are few lungs.
_PROPOSERS = {
    Split.TRAINING: Proposer(solid=1000, ground_glass=300, small_ground_glass=400, mass=150),
    Split.VALIDATION: Proposer(),
}
_SMOKE = {"composites": 12, "more": 1, "validation": 8, "negatives": 60}


@dataclass(frozen=True)
class _Lot:
    """The composites of one split, and the names of the lungs they lie in."""

    split: Split
    cached: Cached
    data: Path
    lungs: tuple[str, ...]
    seed: int
    negatives: int | None


def places(sources: Sources, split: Split) -> Places:
    """Cut the places of one split, or read them from their cache.

    Parameters
    ----------
    sources : Sources
        Its ``work`` may be that of a run of the segmenter: the training composites are the same.

    Raises
    ------
    CaseDataMissing
        There are no lungs or no LIDC database.
    SplitViolation
        Something of another split is in a cache.
    """
    lot = _lot(sources, split)
    files = PlaceFiles(sources.work / "places" / str(split))
    made_from = {"cut": CUT, "composites": len(lot.cached), "seed": lot.seed, "negatives": lot.negatives}
    missing = [name for name in lot.lungs if files.made_from(name) != made_from]
    print(f"places in {len(lot.lungs) - len(missing)} of {len(lot.lungs)} lungs for {split} are cached", flush=True)
    ratings = _ratings(LidcDatabase(), split) if missing else {}
    for background in backgrounds(lot.data, LUNG_USE_FOR[split], missing) if missing else ():
        files.write(background.name, list(_cut(lot, background, ratings)), made_from)
    found = files.read()
    check_use(split, set(found.patients()), [series.lung for series in found.series])
    return found


def _lot(sources: Sources, split: Split) -> _Lot:
    data = sources.data
    if data is None:
        raise CaseDataMissing("say with --data or EMERALD_TEST_DATA where the folder with ct-backgrounds/ is")
    lungs = lungs_of(data, split, smoke=sources.smoke)
    if split is Split.TRAINING:
        n, seed = (_SMOKE["composites"] if sources.smoke else sources.composites), sources.seed
    else:
        # of other places than the segmenter's few
        n, seed = (_SMOKE["validation"] if sources.smoke else _N_VALIDATION), _VALIDATION_SEED
        sources = replace(sources, work=sources.work / "encoder-validation")
    cached = composites(sources, split, n, seed)
    for shown, number in _MORE[split].items():
        more = composites_showing(shown, sources, split, _SMOKE["more"] if sources.smoke else number, seed)
        cached = Cached((*cached.entries, *more.entries))
    return _Lot(split, cached, data, tuple(lungs), seed, _SMOKE["negatives"] if sources.smoke else None)


def _ratings(database: LidcDatabase, split: Split) -> dict[int, Ratings]:
    """Read what readers said of the nodules of one split, by annotation; neither malignancy nor subtlety."""
    found = {}
    for scan in database.scans(split):
        for annotation in database.annotations(scan):
            told = annotation.ratings
            found[annotation.id] = Ratings(
                calcification=told.calcification,
                margin=told.margin,
                spiculation=told.spiculation,
                lobulation=told.lobulation,
                sphericity=told.sphericity,
                internal_structure=told.internal_structure,
            )
    return found


def _cut(lot: _Lot, background: Background, ratings: dict[int, Ratings]) -> Iterator[Place]:
    """Cut all places of one series; what chance does follows from its name and the seed."""
    check_use(lot.split, (), [background.name])
    variation = _VARIATIONS[lot.split]
    seeds = (lot.seed, *background.name.encode())
    planted = [i for i, (_, _, told) in enumerate(lot.cached.entries) if told["lung"] == background.name]
    with _counted(f"cutting {background.name}", len(planted)) as watch:
        for done, i in enumerate(planted, start=1):
            rng = np.random.default_rng((*seeds, i))
            yield from of_composite(background, lot.cached[i], ratings, variation, rng)
            watch(done)
    rng = np.random.default_rng(seeds)
    lung = Lung(background.volume)
    for negative in _mined(lot, background):
        yield from of_negative(lung, background.name, negative, variation, rng)


def _mined(lot: _Lot, background: Background) -> Sequence[Negative]:
    scene = scene_of(background.volume, background.lungs)
    proposed = _PROPOSERS[lot.split].propose(scene)
    if lot.negatives is not None:
        return mined(background, scene, proposed[:: max(1, len(proposed) // lot.negatives)], ())
    return mined(background, scene, proposed, ClassicalDetector().detect(scene))


def check_held_out(found: Places, held_out: Sequence[str]) -> None:
    """Make sure that the lungs that are to be left out are there, and others too; raises ``SettingsError``."""
    patients = sorted({series.patient for series in found.series})
    for patient in held_out:
        if patient not in patients:
            raise SettingsError("--hold-out", f"{patient} is none of the training lungs {', '.join(patients)}")
    if not set(patients) - set(held_out):
        raise SettingsError("--hold-out", "no lung is left to train in")


def folder_of(work: Path, held_out: Sequence[str], text: str = Text.TRUE) -> Path:
    """Say where a run's checkpoints lie: each fold, and each way with text, has a folder of its own."""
    name = f"encoder-without-{'+'.join(sorted(held_out))}" if held_out else "encoder"
    return work / (name if text == Text.TRUE else f"{name}-text-{text}")


def told_of(found: Places) -> dict[str, Any]:
    """Say what places were cut from: series and numbers."""
    return {series.lung: len(series.values) for series in found.series}


@contextmanager
def _counted(words: str, n: int) -> Iterator[Any]:
    with Progress(TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as bar:
        task = bar.add_task(words, total=n)
        yield lambda done: bar.update(task, completed=done)
