"""Where each source image lies in the patient, in the source's own header values.

A result repeats these values instead of computing them from the volume's affine, so that viewers find the very planes
of the source.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from dicom_node.objects.ct_frames import number
from dicom_node.objects.ct_series import CtSeries


@dataclass(frozen=True)
class Plane:
    """Position and sampling of one source image (PS3.3 C.7.6.2).

    Attributes
    ----------
    position_lps_mm : tuple of float
        Image Position (Patient): centre of the first pixel.
    orientation : tuple of float
        Image Orientation (Patient): direction cosines of a row, then of a column.
    pixel_spacing_mm : tuple of float
        Between rows, between columns.
    slice_thickness_mm : float or None
        None where the source does not say, or says what is no number.
    """

    position_lps_mm: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    pixel_spacing_mm: tuple[float, float]
    slice_thickness_mm: float | None


def planes(series: CtSeries) -> tuple[Plane, ...]:
    """Return the plane of every slice; ``planes(series)[k]`` belongs to ``series.slices[k]``."""
    by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in series.datasets}
    return tuple(_plane(by_uid[source.sop_instance_uid], source.frame_number) for source in series.slices)


def _plane(dataset: Dataset, frame_number: int | None) -> Plane:
    position, orientation, spacing, thickness = (
        _value(dataset, frame_number, sequence, keyword)
        for sequence, keyword in (
            ("PlanePositionSequence", "ImagePositionPatient"),
            ("PlaneOrientationSequence", "ImageOrientationPatient"),
            ("PixelMeasuresSequence", "PixelSpacing"),
            ("PixelMeasuresSequence", "SliceThickness"),
        )
    )
    (x, y, z), (a, b, c, d, e, f), (rows, columns) = map(_floats, (position, orientation, spacing))
    return Plane((x, y, z), (a, b, c, d, e, f), (rows, columns), number(thickness) or None)


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _value(dataset: Dataset, frame_number: int | None, sequence: str, keyword: str) -> Any:
    for level in _levels(dataset, frame_number):
        for item in level.get(sequence) or ():
            if item.get(keyword) is not None:
                return item[keyword].value
    return dataset.get(keyword)


def _levels(dataset: Dataset, frame_number: int | None) -> Iterator[Dataset]:
    if frame_number is None:
        return
    yield dataset.PerFrameFunctionalGroupsSequence[frame_number - 1]
    yield from dataset.get("SharedFunctionalGroupsSequence") or ()
