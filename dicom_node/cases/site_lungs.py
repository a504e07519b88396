"""A site's own CT as lungs to plant nodules into: one folder per series below the given one."""

import sys
from collections.abc import Iterator
from pathlib import Path

from ai_engine.composites import Background
from ai_engine.errors import EngineError
from dicom_node.cases.chest_case import read_series
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cases.lungs import background_of
from dicom_node.cases.splits import LungUse, check_series, lung_use
from dicom_node.errors import CaseDataMissing, NodeError


def site_lungs(folder: Path, database: LidcDatabase) -> Iterator[Background]:
    """Read all series that can be trained in.

    They are called ``site-001`` and on, so that no name of a folder, which may be a person's, gets into a cache. Series
    of LIDC-IDRI keep their patient's split: those that are not for training are left out, as is what the node would
    refuse.

    Raises
    ------
    SplitViolation
        A series is one that nothing may ever be trained in.
    CaseDataMissing
        No series is left.
    """
    patients = {scan.series_instance_uid: scan.patient_id for split in Split for scan in database.scans(split)}
    found = 0
    for number, each in enumerate(sorted(path for path in folder.iterdir() if path.is_dir()), start=1):
        try:
            series = read_series(each)
        except NodeError as error:
            print(f"left out: {each}: {error}", file=sys.stderr)
            continue
        check_series(Split.TRAINING, series.series_instance_uid)
        name = patients.get(series.series_instance_uid, f"site-{number:03d}").lower()
        if lung_use(name) is not LungUse.TRAINING:
            continue
        try:
            yield background_of(name, series.volume)
        except EngineError as error:
            print(f"left out: {each}: {error}", file=sys.stderr)
            continue
        found += 1
    if not found:
        raise CaseDataMissing(f"no folder in {folder} holds a CT series with lungs to train in")
