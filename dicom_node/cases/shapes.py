"""Nodule shapes for composites: the outlines of single readers, from the LIDC database."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import ndimage

from ai_engine.composites import NoduleShape
from ai_engine.domain import NoduleType
from dicom_node.cases.lidc_database import Annotation, LidcDatabase, ReaderMask, Scan, Split

# A shape is read off its slices: thicker ones, or a single one, tell too little of it.
THICKEST_MM = 3.0
FEWEST_SLICES = 2
SIZES_MM = (4.0, 60.0)
WHOLE = 0.98
# By what readers rated their outlines, so may a painted nodule show; of others nearly none does.
_TEXTURES = {NoduleType.PART_SOLID: (2, 3, 4), NoduleType.GROUND_GLASS: (1, 2)}


def may_show(kind: NoduleType | None) -> Callable[[Annotation], bool]:
    """Tell which outlines a nodule that shows this type may be painted from; None: any outline, any type."""
    return lambda annotation: kind is None or annotation.ratings.texture in _TEXTURES[kind]


def nodule_shapes(
    database: LidcDatabase,
    split: Split,
    limit: int | None = None,
    seed: int = 1,
    wanted: Callable[[Annotation], bool] = lambda annotation: True,
    sizes_mm: tuple[float, float] = SIZES_MM,
) -> Iterator[NoduleShape]:
    """Draw the nodules of one split in random order, each as one reader outlined and rated it.

    Left out: scans of more than 3 mm between slices, outlines on one slice only, in more than one piece, or outside of
    ``sizes_mm``.

    Parameters
    ----------
    database : LidcDatabase
    split : Split
    limit : int, optional
        At most so many.
    seed : int
        The same seed gives the same order.
    wanted : callable
        Which annotations: asked before their outlines are filled, which takes long.
    sizes_mm : tuple of float
        Smallest and largest longest diameter.
    """
    given = 0
    for annotation in _annotations(database, split, np.random.default_rng(seed)):
        if limit is not None and given >= limit:
            return
        if not wanted(annotation):
            continue
        outline = database.mask(annotation)
        if _usable(outline, sizes_mm):
            given += 1
            yield _shape(annotation, outline)


def _annotations(database: LidcDatabase, split: Split, rng: np.random.Generator) -> Iterator[Annotation]:
    scans: list[Scan] = [scan for scan in database.scans(split) if scan.slice_spacing_mm <= THICKEST_MM]
    annotations = [annotation for scan in scans for annotation in database.annotations(scan)]
    for i in rng.permutation(len(annotations)):
        yield annotations[i]


def _usable(outline: ReaderMask, sizes_mm: tuple[float, float]) -> bool:
    if np.count_nonzero(outline.mask.any(axis=(1, 2))) < FEWEST_SLICES:
        return False
    pieces, _ = ndimage.label(outline.mask, np.ones((3, 3, 3)))
    largest = np.bincount(pieces[pieces > 0]).max()
    low, high = sizes_mm
    return bool(largest >= WHOLE * outline.mask.sum() and low <= outline.longest_diameter_mm <= high)


def _shape(annotation: Annotation, outline: ReaderMask) -> NoduleShape:
    occupied = ndimage.find_objects(outline.mask.astype(np.uint8))[0]
    ratings = annotation.ratings
    return NoduleShape(
        mask=outline.mask[occupied],
        spacing_krc_mm=outline.spacing_krc_mm,
        patient_id=annotation.scan.patient_id,
        annotation_id=annotation.id,
        texture=ratings.texture,
        calcification=ratings.calcification,
        margin=ratings.margin,
        spiculation=ratings.spiculation,
        lobulation=ratings.lobulation,
        subtlety=ratings.subtlety,
    )
