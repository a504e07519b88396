"""Case folders: one real chest CT with its truth beside it, in any of the three forms that the shared data have.

``annotations.json`` holds readers' outlines (LIDC-IDRI), ``truth.json`` with ``majority_5of9_mask.nii.gz`` what nine
algorithm runs made of one lesion (QIN LUNG CT), ``tumour_boxes.json`` boxes on slices (Lung-PET-CT-Dx).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ai_engine.domain import Segment
from ai_engine.evaluation.domain import Case, Lesion, Truth
from ai_engine.evaluation.scores import segment_of
from dicom_node.cases.lesions import Reading, case_of, lesion_of
from dicom_node.cases.lidc_database import mask_of
from dicom_node.domain import InstanceRef
from dicom_node.errors import CaseDataMissing
from dicom_node.objects import ct_series, headers
from dicom_node.objects.ct_series import CtSeries

_MAJORITY = "majority_5of9_mask.nii.gz"


def case_folders(folder: Path) -> list[Path]:
    """List the case folders in a folder: those with a truth that ``read`` knows.

    Raises
    ------
    CaseDataMissing
        There is none.
    """
    names = ("annotations.json", "truth.json", "tumour_boxes.json")
    found = [each for each in sorted(folder.glob("*")) if any((each / name).is_file() for name in names)]
    if not found:
        raise CaseDataMissing(f"{folder}: no folder in it holds one of {', '.join(names)}")
    return found


def read(folder: Path) -> Case:
    """Read one case.

    Raises
    ------
    CaseDataMissing
        The folder holds no series, or its truth does not fit the series.
    SeriesRefused
        The series cannot be analysed.
    """
    series = read_series(_series_folder(folder))
    return case_of(folder.name, series.volume, _lesions(folder, series))


def read_each(folder: Path) -> Iterator[Case]:
    """Read every series of a case folder as a case of its own; raises as ``read``."""
    for each in _series_folders(folder):
        series = read_series(each)
        name = folder.name if each.name == "dicom" else f"{folder.name}/{each.name}"
        yield case_of(name, series.volume, _lesions(folder, series))


def read_series(folder: Path) -> CtSeries:
    """Read all instances of one folder as one series, as the node reads it; k runs to the head."""
    refs: list[InstanceRef] = [headers.instance_ref(path) for path in sorted(folder.glob("*")) if path.is_file()]
    if not refs:
        raise CaseDataMissing(f"{folder}: no DICOM instance in it")
    return ct_series.to_volume(refs)


def _series_folder(folder: Path) -> Path:
    """Return the folder of the instances; of several series the first by name."""
    return _series_folders(folder)[0]


def _series_folders(folder: Path) -> list[Path]:
    found = [each for each in (folder / "dicom", *sorted(folder.glob("series-*"))) if each.is_dir()]
    if not found:
        raise CaseDataMissing(f"{folder}: neither a folder dicom nor series-* in it")
    return found


def _lesions(folder: Path, series: CtSeries) -> Iterator[Lesion]:
    if (folder / "annotations.json").is_file():
        yield from _read_lesions(folder, series)
    elif (folder / "truth.json").is_file():
        yield Lesion(folder.name, None, (Truth("majority of 9 algorithm runs", _nifti(folder / _MAJORITY, series)),))
    else:
        yield Lesion(folder.name, None, (Truth("boxes on slices", _boxes(folder, series), is_outline=False),))


def _read_lesions(folder: Path, series: CtSeries) -> Iterator[Lesion]:
    """Fill the outlines of every reader."""
    annotations = _json(folder / "annotations.json")
    index = {source.sop_instance_uid: k for k, source in enumerate(series.slices)}
    for nodule in annotations["nodules"]:
        readings = [_reading(read, index) for read in nodule["reads"]]
        number = f" nodule {nodule['nodule']}" if len(annotations["nodules"]) > 1 else ""
        yield lesion_of(f"{folder.name}{number}", readings, each_reader=True)


def _reading(read: dict[str, Any], index: dict[str, int]) -> Reading:
    contours = sorted(read["contours"], key=lambda contour: not contour["inclusion"])
    try:
        rings = [
            (contour["inclusion"], index[contour["sop_instance_uid"]], _points(contour["points_col_row"]))
            for contour in contours
        ]
    except KeyError as error:
        raise CaseDataMissing(f"an outline lies on an instance that the series does not hold: {error}") from error
    mask, origin = mask_of(rings)
    return Reading(Segment(mask, origin), read["texture"])


def _points(values: list[list[int]]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _nifti(path: Path, series: CtSeries) -> Segment:
    """Read a mask that lies on the grid of the series.

    Raises
    ------
    CaseDataMissing
        It lies elsewhere, or is empty.
    """
    import SimpleITK  # noqa: PLC0415 (takes a third of a second; only cases need it)

    image = SimpleITK.ReadImage(str(path))
    mask = SimpleITK.GetArrayFromImage(image) > 0
    apart = np.abs(np.array(image.GetOrigin()) - series.volume.affine[:3, 3]).max()
    segment = segment_of(mask)
    if mask.shape != series.volume.hu.shape or apart > 0.1 or segment is None:
        raise CaseDataMissing(f"{path}: not a mask on the grid of the series")
    return segment


def _boxes(folder: Path, series: CtSeries) -> Segment:
    """Fill the boxes of the series that is read."""
    ours = [box for box in _json(folder / "tumour_boxes.json")["boxes"] if box["sop_instance_uid"] in _uids(series)]
    index = {source.sop_instance_uid: k for k, source in enumerate(series.slices)}
    mask = np.zeros(series.volume.hu.shape, dtype=bool)
    for box in ours:
        k = index[box["sop_instance_uid"]]
        mask[k, box["ymin"] : box["ymax"] + 1, box["xmin"] : box["xmax"] + 1] = True
    segment = segment_of(mask)
    if segment is None:
        raise CaseDataMissing(f"{folder}: no box on a slice of the series")
    return segment


def _uids(series: CtSeries) -> set[str]:
    return {source.sop_instance_uid for source in series.slices}


def _json(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
