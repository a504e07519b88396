"""What ``emerald train`` learns from: outlines and lungs through the split guard, composed once into a cache."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count, islice
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ai_engine.composites import Background, Composite, Shards, type_shown
from ai_engine.composites.shards import Cached
from ai_engine.domain import NoduleType
from ai_engine.training.loop import Material
from ai_engine.training.material import SHARD, Ingredients, fill
from dicom_node.cases import lidc_dicom
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cases.lungs import backgrounds, names
from dicom_node.cases.real_crops import real_crops
from dicom_node.cases.shapes import SIZES_MM, may_show, nodule_shapes
from dicom_node.cases.site_lungs import site_lungs
from dicom_node.cases.splits import LUNG_USE_FOR, check_use
from dicom_node.errors import CaseDataMissing, SettingsError

# Change whenever the same seed gives other composites: those of another recipe are not learnt from. The second is for
# caches of one kind, in which it decides what a nodule shows.
_RECIPE, _RECIPE_SHOWN = 2, 3

_VALIDATION_SEED = 7
_N_VALIDATION = 60
_MADE_FROM = "made_from.json"
_REAL = "lidc-crops"
# How often those that clearly show a type stand among what is learnt from; few do, and of part-solid ones hardly any.
_OFTEN = {NoduleType.PART_SOLID: 6, NoduleType.GROUND_GLASS: 2}
_SMOKE = {"composites": 24, "validation": 4, "shapes": 60, "lungs": 2}


@dataclass(frozen=True)
class Sources:
    """Where a run's material comes from, as the command line says it.

    Attributes
    ----------
    work : Path
        Where the caches lie.
    data : Path or None
        Holds ``ct-chest/`` and ``ct-backgrounds/``.
    lidc, backgrounds : Path or None
        LIDC-IDRI's DICOM; a folder of own CT series.
    composites : int
        Size of the cache.
    seed : int
        Of the training composites; those of the validation are always the same.
    """

    work: Path
    data: Path | None
    lidc: Path | None
    backgrounds: Path | None
    composites: int
    seed: int
    smoke: bool


def material(sources: Sources) -> Material:
    """Read what a run learns from and is judged by; what is not cached yet is composed.

    Raises
    ------
    CaseDataMissing
        There are no lungs or no LIDC database.
    SplitViolation
        Something of another split is in a cache.
    """
    n, n_validation = (
        (_SMOKE["composites"], _SMOKE["validation"]) if sources.smoke else (sources.composites, _N_VALIDATION)
    )
    training = rare_more_often(_cached(sources, Split.TRAINING, n, sources.seed))
    if sources.lidc is not None:
        training = Cached((*training.entries, *_real(sources.work, sources.lidc).entries))
    return Material(training, _cached(sources, Split.VALIDATION, n_validation, _VALIDATION_SEED))


def composites(sources: Sources, split: Split, n: int, seed: int) -> Cached:
    """Read ``n`` composites of one split from their cache, or compose them; raises as ``material``."""
    return _cached(sources, split, n, seed)


@dataclass(frozen=True)
class Shown:
    """What the nodules of a cache have in common: the type that they show, and longest diameters, mm, from and below.

    Attributes
    ----------
    sizes_mm : tuple of float or None
        None: all.
    """

    kind: NoduleType
    sizes_mm: tuple[float, float] | None = None

    @property
    def folder(self) -> str:
        """Name of the cache."""
        sizes = "" if self.sizes_mm is None else "-from-{:g}-below-{:g}-mm".format(*self.sizes_mm)
        return f"more-{self.kind}{sizes}"

    def has_size(self, diameter_mm: float) -> bool:
        """Tell whether a diameter is one of these."""
        return self.sizes_mm is None or self.sizes_mm[0] <= diameter_mm < self.sizes_mm[1]

    def __call__(self, composite: Composite) -> bool:
        """Tell whether a composite belongs here."""
        is_painted = composite.nodule_type is self.kind and self.has_size(composite.diameter_mm)
        return is_painted and type_shown(composite) is self.kind


def composites_showing(shown: Shown, sources: Sources, split: Split, n: int, seed: int) -> Cached:
    """Read or compose ``n`` of one kind, without shams; raises as ``material``."""
    return _cached(replace(sources, work=sources.work / shown.folder), split, n, seed, shown)


def rare_more_often(cached: Cached) -> Cached:
    """Name those that clearly show a rare type as often as ``_OFTEN`` says."""
    entries = list(cached.entries)
    for i, (_, _, told) in enumerate(cached.entries):
        often = _OFTEN.get(told["nodule_type"], 1)
        if often > 1 and type_shown(cached[i]) is not None:
            entries += [cached.entries[i]] * (often - 1)
    return Cached(tuple(entries))


def _real(work: Path, lidc: Path) -> Cached:
    """Cut the real nodules of training patients out once, and read them."""
    shards = Shards(work / _REAL)
    if not (shards.folder / _MADE_FROM).is_file():
        crops = real_crops(lidc_dicom.cases(lidc, LidcDatabase(), Split.TRAINING))
        patients = set()
        for number in count():
            some = list(islice(crops, SHARD))
            if not some:
                break
            shards.write(number, some)
            patients |= {crop.patient_id for crop in some}
        made = {"crops": len(shards.read()), "patients": sorted(patients)}
        (shards.folder / _MADE_FROM).write_text(json.dumps(made), encoding="utf-8")
    check_use(Split.TRAINING, _made(shards)["patients"])
    return shards.read()


def _cached(sources: Sources, split: Split, n: int, seed: int, shown: Shown | None = None) -> Cached:
    """Compose what a cache of one split misses, and read it. Nothing of another split gets in, nor out."""
    shards = _shards(sources.work, split)
    recipe = _RECIPE if shown is None else _RECIPE_SHOWN
    asked = {"recipe": recipe, "split": str(split), "composites": n, "seed": seed}
    made = _made(shards)
    if made and any(made.get(name) != value for name, value in asked.items()):
        raise SettingsError("--work", f"{shards.folder} was composed otherwise; take another folder")
    if not made or len(shards.read()) < n:
        ingredients = _ingredients(sources, split, seed, shown)
        made = {
            **asked,
            "lungs": sorted(background.name for background in ingredients.backgrounds),
            "patients": sorted({shape.patient_id for shape in ingredients.shapes}),
        }
        shards.folder.mkdir(parents=True, exist_ok=True)
        (shards.folder / _MADE_FROM).write_text(json.dumps(made), encoding="utf-8")
        with _counted(f"composing {split}", n) as watch:
            fill(shards, ingredients, n, shams=split is Split.TRAINING and shown is None, watch=watch)
    check_use(split, made["patients"], made["lungs"])
    return shards.read()


def _shards(work: Path, split: Split) -> Shards:
    return Shards(work / "composites" / str(split))


def _made(shards: Shards) -> dict[str, Any]:
    """Read what a cache was made of; empty where there is none."""
    path = shards.folder / _MADE_FROM
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _ingredients(sources: Sources, split: Split, seed: int, shown: Shown | None) -> Ingredients:
    if sources.data is None:
        raise CaseDataMissing("say with --data or EMERALD_TEST_DATA where the folder with ct-backgrounds/ is")
    limit = _SMOKE["shapes"] if sources.smoke else None
    kind, sizes_mm = (shown.kind, shown.sizes_mm) if shown else (None, None)
    outlines = nodule_shapes(LidcDatabase(), split, limit, seed, may_show(kind), sizes_mm or SIZES_MM)
    shapes = list(outlines)
    lungs = [*_lungs(sources.data, split, sources.smoke)]
    if sources.backgrounds is not None and split is Split.TRAINING:
        lungs += site_lungs(sources.backgrounds, LidcDatabase())
    check_use(split, {shape.patient_id for shape in shapes}, [lung.name for lung in lungs])
    return Ingredients(shapes, lungs, seed, wanted=shown)


@lru_cache(maxsize=1)
def _lungs(data: Path, split: Split, smoke: bool) -> Sequence[Background]:
    """Read what is painted into: minutes, and for each kind of composite the same."""
    return list(backgrounds(data, LUNG_USE_FOR[split], lungs_of(data, split, smoke=smoke)))


def lungs_of(data: Path, split: Split, *, smoke: bool) -> list[str]:
    """Name the lungs that are painted into; for a smoke run the last ones, which are crops and soon read."""
    found = names(data, LUNG_USE_FOR[split])
    return found[-_SMOKE["lungs"] :] if smoke else found


def made_of(work: Path) -> dict[str, Any]:
    """Say what the caches of a run hold: splits, patients, lungs, numbers."""
    caches = {str(split): _shards(work, split) for split in (Split.TRAINING, Split.VALIDATION)}
    caches["real crops"] = Shards(work / _REAL)
    return {name: made for name, shards in caches.items() if (made := _made(shards))}


@contextmanager
def _counted(words: str, n: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(words, total=n)
        yield lambda done: bar.update(task, completed=done)
