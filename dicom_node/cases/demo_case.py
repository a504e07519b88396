"""The demo's patient: a thorax phantom with nodules that readers of LIDC-IDRI outlined in other, training patients."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoolArray, Laterality, NoduleType
from ai_engine.phantom import LungPosition, Outline, Phantom, thorax
from dicom_node.cases.lidc_database import Annotation, LidcDatabase, ReaderMask, Split
from dicom_node.errors import CaseDataMissing

SHAPE = (120, 512, 512)
SPACING_KRC_MM = (2.5, 0.7, 0.7)

#: Attenuation of the outer part, by type; mean values of such nodules, chosen by eye.
OUTER_HU = {NoduleType.SOLID: 30.0, NoduleType.PART_SOLID: -600.0, NoduleType.GROUND_GLASS: -650.0}

#: Readers' texture ratings that stand for each type.
TEXTURES = {NoduleType.SOLID: (5,), NoduleType.PART_SOLID: (3,), NoduleType.GROUND_GLASS: (1, 2)}


@dataclass(frozen=True)
class Wish:
    """A nodule that the case shall have: type, longest diameter from and to (mm), place, least spiculation rating."""

    nodule_type: NoduleType
    diameter_mm: tuple[float, float]
    at: LungPosition
    spiculation: int = 1


WISHES = (
    Wish(NoduleType.SOLID, (6, 8), LungPosition(Laterality.RIGHT, 0.32, 0.25, 0.45)),
    Wish(NoduleType.SOLID, (8, 11), LungPosition(Laterality.LEFT, 0.62, 0.75, 0.55)),
    Wish(NoduleType.SOLID, (12, 15), LungPosition(Laterality.RIGHT, 0.66, 0.55, 0.75)),
    Wish(NoduleType.SOLID, (17, 20), LungPosition(Laterality.LEFT, 0.24, 0.55, 0.6), spiculation=4),
    Wish(NoduleType.PART_SOLID, (15, 20), LungPosition(Laterality.RIGHT, 0.2, 0.6, 0.6)),
    Wish(NoduleType.GROUND_GLASS, (12, 18), LungPosition(Laterality.LEFT, 0.45, 0.3, 0.5)),
)


@dataclass(frozen=True, eq=False)
class DemoCase:
    """The phantom, and whose outlines it carries.

    Attributes
    ----------
    sources : tuple of Annotation
        ``sources[i]`` gave the shape of ``phantom.planted[i]``; all of the training split.
    """

    phantom: Phantom
    sources: tuple[Annotation, ...]


def demo_case(database: LidcDatabase, seed: int = 1, wishes: tuple[Wish, ...] = WISHES) -> DemoCase:
    """Build the demo's thorax of 120 slices of 2.5 mm; the same seed gives the same voxels.

    Raises
    ------
    CaseDataMissing
        No annotation of the training split is as wished.
    """
    chosen = choose(database, np.random.default_rng(seed), wishes)
    nodules = [_nodule(wish, mask) for wish, (_, mask) in zip(wishes, chosen, strict=True)]
    return DemoCase(thorax(SHAPE, SPACING_KRC_MM, seed, nodules), tuple(annotation for annotation, _ in chosen))


def choose(
    database: LidcDatabase, rng: np.random.Generator, wishes: tuple[Wish, ...]
) -> list[tuple[Annotation, ReaderMask]]:
    """Draw one annotation of the training split for each wish, each from another scan."""
    chosen: dict[int, tuple[Annotation, ReaderMask]] = {}
    for annotation in _shuffled(database, rng):
        open_wishes = [i for i, wish in enumerate(wishes) if i not in chosen and _rated_as(wish, annotation)]
        if not open_wishes or any(annotation.scan == taken.scan for taken, _ in chosen.values()):
            continue
        mask = database.mask(annotation)
        fits = [i for i in open_wishes if _fits(wishes[i], mask)]
        if fits:
            chosen[fits[0]] = annotation, mask
        if len(chosen) == len(wishes):
            return [chosen[i] for i in range(len(wishes))]
    raise CaseDataMissing(f"the LIDC database has outlines for only {len(chosen)} of {len(wishes)} wished nodules")


def _shuffled(database: LidcDatabase, rng: np.random.Generator) -> Iterator[Annotation]:
    """Draw the annotations of thin training scans, scan by scan in random order."""
    scans = [scan for scan in database.scans(Split.TRAINING) if scan.slice_spacing_mm <= SPACING_KRC_MM[0]]
    for i in rng.permutation(len(scans)):
        yield from database.annotations(scans[i])


def _rated_as(wish: Wish, annotation: Annotation) -> bool:
    ratings = annotation.ratings
    solid_enough = ratings.calcification == 6 and ratings.texture in TEXTURES[wish.nodule_type]
    return solid_enough and ratings.spiculation >= wish.spiculation


def _fits(wish: Wish, mask: ReaderMask) -> bool:
    """Whether a mask has the wished size, is one piece and reaches over several slices."""
    low, high = wish.diameter_mm
    pieces = ndimage.label(mask.mask)[1]
    thick = mask.mask.shape[0] * mask.spacing_krc_mm[0]
    return bool(low <= mask.longest_diameter_mm <= high and pieces == 1 and thick >= 0.5 * low)


def _nodule(wish: Wish, outline: ReaderMask) -> Outline:
    core = solid_core(outline) if wish.nodule_type is NoduleType.PART_SOLID else None
    hu = OUTER_HU[wish.nodule_type]
    return Outline(wish.at, outline.mask, outline.spacing_krc_mm, hu, core)


def solid_core(outline: ReaderMask, share: float = 0.4) -> BoolArray:
    """Return the innermost part of a mask that holds this share of its voxels: readers outline no core of their own."""
    padded = np.pad(outline.mask, 1)
    depth = ndimage.distance_transform_edt(padded, sampling=outline.spacing_krc_mm)[1:-1, 1:-1, 1:-1]
    return np.asarray(depth > np.quantile(depth[outline.mask], 1 - share), dtype=bool)
