"""Real nodules with a reader's outline, cut out like composites: what a site that has LIDC-IDRI's DICOM trains on."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ai_engine.composites import Composite, Renderer
from ai_engine.composites.compose import BEYOND_MM, BEYOND_SLICES, HALF_MM
from ai_engine.domain import CtVolume, Segment, UInt8Array
from ai_engine.evaluation.domain import Case, Lesion
from dicom_node.cases.lidc_database import Split
from dicom_node.cases.splits import check_use


def real_crops(cases: Iterable[Case]) -> Iterator[Composite]:
    """Cut out every lesion once for each reader who outlined it.

    Nothing is painted into these pixels: ``renderer`` says nothing here, ``annotation_id`` is 0, and ``lung`` names the
    patient.

    Raises
    ------
    SplitViolation
        A case is not of a training patient.
    """
    for case in cases:
        check_use(Split.TRAINING, [case.name], [case.name.lower()])
        for lesion in case.lesions:
            for reader in lesion.readers:
                yield crop_of(case, lesion, reader)


def crop_of(case: Case, lesion: Lesion, outline: Segment) -> Composite:
    """Cut out one lesion as one reader outlined it; the other lesions of the scan are its distractors."""
    volume = case.volume
    low, high = _bounds(volume, outline)
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    others = [other.truths[0].segment for other in case.lesions if other is not lesion]
    for label, segment in enumerate(others[:250], start=2):
        _mark(labels, segment, label)
    _mark(labels, outline, 1)
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    in_plane = np.array(outline.mask.shape[1:]) * volume.spacing_krc_mm[1:]
    k, r, c = (int(value) for value in low)
    return Composite(
        hu=volume.hu[part].copy(),
        labels=labels[part].copy(),
        spacing_krc_mm=volume.spacing_krc_mm,
        renderer=Renderer.A,
        nodule_type=lesion.nodule_type,
        diameter_mm=float(in_plane.max()),
        patient_id=case.name,
        annotation_id=0,
        lung=case.name.lower(),
        seed=0,
        origin_krc=(k, r, c),
    )


def _bounds(volume: CtVolume, outline: Segment) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First index (k, r, c) of the crop, and the one after the last: as large as that of a composite."""
    spacing = np.array(volume.spacing_krc_mm)
    half_mm = np.array(outline.mask.shape) * spacing / 2
    reach = np.maximum(half_mm + BEYOND_MM, HALF_MM)
    reach[0] = half_mm[0] + BEYOND_SLICES * spacing[0]
    centre = np.array(outline.origin_krc) + (np.array(outline.mask.shape) - 1) / 2
    low = np.maximum(np.floor(centre - reach / spacing).astype(int), 0)
    return low, np.minimum(np.ceil(centre + reach / spacing).astype(int) + 1, volume.hu.shape)


def _mark(labels: UInt8Array, segment: Segment, label: int) -> None:
    labels[segment.box][segment.mask] = label
