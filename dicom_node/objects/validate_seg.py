"""A segmentation lies on its source."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from ai_engine.domain import BoolArray
from dicom_node.objects import codes
from dicom_node.objects.checking import require
from dicom_node.objects.ct_series import CtSeries
from dicom_node.objects.planes import Plane, planes

# Positions and spacings are repeated from the source, so only decimal rounding may differ.
_TOLERANCE = 1e-4
_MAX_FRAMES = 400


@dataclass(frozen=True, eq=False)
class Sources:
    """One analysed series, looked up by the references that results make to it."""

    series: CtSeries
    planes: tuple[Plane, ...]
    by_reference: dict[tuple[str, str, int | None], int]

    @classmethod
    def of(cls, series: CtSeries) -> "Sources":
        """Index a series."""
        by_reference = {
            (source.sop_class_uid, source.sop_instance_uid, source.frame_number): k
            for k, source in enumerate(series.slices)
        }
        return cls(series, planes(series), by_reference)

    def index(self, item: Dataset) -> int | None:
        """Return the slice that an Image SOP Instance Reference means, or None."""
        frame = item.get("ReferencedFrameNumber")
        key = (
            str(item.ReferencedSOPClassUID),
            str(item.ReferencedSOPInstanceUID),
            None if frame is None else int(frame),
        )
        return self.by_reference.get(key)


@dataclass(frozen=True, eq=False)
class StoredSegment:
    """One segment as it stands in the object.

    Attributes
    ----------
    series_instance_uid : str
        Of the source.
    is_part : bool
        Whether it is a part of a nodule.
    masks : dict
        Slice of the source -> mask (r, c) bool.
    volume_mm3 : float
        Voxels times the voxel volume that the object states.
    """

    series_instance_uid: str
    sop_instance_uid: str
    number: int
    tracking_uid: str
    is_part: bool
    masks: dict[int, BoolArray]
    volume_mm3: float

    def holds(self, part: "StoredSegment") -> bool:
        """Tell whether another segment lies within this one."""
        same_source = self.series_instance_uid == part.series_instance_uid
        return same_source and all(
            k in self.masks and not (mask & ~self.masks[k]).any() for k, mask in part.masks.items()
        )


def check_segmentation(result: Dataset, sources: Sequence[Sources]) -> list[StoredSegment]:
    """Check one segmentation and return what it holds.

    Raises
    ------
    ResultInvalid
        With the first thing that does not fit.
    """
    source = _source_of(result, sources)
    _check_grid(result, source)
    _check_size(result)
    masks = _masks_by_segment(result, source)
    _check_referenced_series(result, source, masks)
    numbers = [int(item.SegmentNumber) for item in result.SegmentSequence]
    require(numbers == list(range(1, len(numbers) + 1)), result, f"segments are numbered {numbers}")
    require(set(masks) == set(numbers), result, "a segment has no frame, or a frame no segment")
    uid = source.series.series_instance_uid
    return [_stored(result, item, uid, masks[int(item.SegmentNumber)]) for item in result.SegmentSequence]


def _source_of(result: Dataset, sources: Sequence[Sources]) -> Sources:
    references = result.get("ReferencedSeriesSequence") or []
    require(len(references) == 1, result, "does not refer to exactly one series")
    uid = references[0].SeriesInstanceUID
    for source in sources:
        if source.series.series_instance_uid == uid:
            return source
    require(False, result, "refers to a series that was not analysed")
    raise AssertionError  # not reached


def _check_grid(result: Dataset, source: Sources) -> None:
    series, plane = source.series, source.planes[0]
    same_frame = result.FrameOfReferenceUID == series.frame_of_reference_uid
    require(same_frame, result, "is in another frame of reference than its source")
    shape = (result.Rows, result.Columns)
    require(shape == series.volume.hu.shape[1:], result, f"{shape[0]} x {shape[1]} pixels, the source has others")
    shared = result.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    require(_close(measures.PixelSpacing, plane.pixel_spacing_mm), result, "pixel spacing differs from the source")
    require(_close(orientation, plane.orientation), result, "orientation differs from the source")
    between_slices = [float(measures.SpacingBetweenSlices)]
    require(_close(between_slices, [series.volume.spacing_krc_mm[0]]), result, "slice spacing differs from the source")


def _check_size(result: Dataset) -> None:
    n = int(result.NumberOfFrames)
    require(n == len(result.PerFrameFunctionalGroupsSequence), result, "number of frames and frame groups differ")
    n_bytes = -(-n * result.Rows * result.Columns // 8)
    require(len(result.PixelData) == n_bytes + n_bytes % 2, result, "pixel data do not fill the frames")
    require(n <= _MAX_FRAMES or len(result.SegmentSequence) == 1, result, f"{n} frames, viewers stop at {_MAX_FRAMES}")


def _masks_by_segment(result: Dataset, source: Sources) -> dict[int, dict[int, BoolArray]]:
    masks: dict[int, dict[int, BoolArray]] = {}
    for group, mask in zip(result.PerFrameFunctionalGroupsSequence, _frames(result), strict=True):
        item = group.DerivationImageSequence[0].SourceImageSequence[0]
        k = source.index(item)
        require(k is not None, result, "a frame derives from an image that is not in the source")
        assert k is not None
        position = group.PlanePositionSequence[0].ImagePositionPatient
        require(_close(position, source.planes[k].position_lps_mm), result, "a frame lies beside its source image")
        require(bool(mask.any()), result, "a frame is empty")
        segment = masks.setdefault(int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber), {})
        require(k not in segment, result, "two frames of a segment lie at the same place")
        segment[k] = mask
    return masks


def _frames(result: Dataset) -> Iterator[BoolArray]:
    """Yield the frames of packed pixel data (PS3.5 section 8.1.1), least significant bit first."""
    packed = np.frombuffer(result.PixelData, dtype=np.uint8)
    size = result.Rows * result.Columns
    for i in range(int(result.NumberOfFrames)):
        first, last = i * size, (i + 1) * size
        bits = np.unpackbits(packed[first // 8 : -(-last // 8)], bitorder="little")
        yield bits[first % 8 : first % 8 + size].reshape(result.Rows, result.Columns).astype(bool)


def _check_referenced_series(result: Dataset, source: Sources, masks: dict[int, dict[int, BoolArray]]) -> None:
    listed = {
        str(item.ReferencedSOPInstanceUID) for item in result.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    used = {source.series.slices[k].sop_instance_uid for segment in masks.values() for k in segment}
    require(used <= listed, result, "an image that a frame derives from is missing in Referenced Series")
    known = {each.sop_instance_uid for each in source.series.slices}
    require(listed <= known, result, "Referenced Series names an image that is not in the source")


def _stored(result: Dataset, item: Dataset, series_instance_uid: str, masks: dict[int, BoolArray]) -> StoredSegment:
    require(bool(item.get("TrackingUID")), result, "a segment has no tracking UID")
    measures = result.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    voxel_mm3 = float(measures.PixelSpacing[0]) * float(measures.PixelSpacing[1]) * float(measures.SpacingBetweenSlices)
    voxels = sum(int(np.count_nonzero(mask)) for mask in masks.values())
    return StoredSegment(
        series_instance_uid,
        str(result.SOPInstanceUID),
        int(item.SegmentNumber),
        str(item.TrackingUID),
        item.SegmentedPropertyTypeCodeSequence[0].CodeValue != codes.NODULE.value,
        masks,
        voxels * voxel_mm3,
    )


def _close(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    a, b = ([float(value) for value in values] for values in (ours, theirs))
    return len(a) == len(b) and bool(np.allclose(a, b, rtol=0, atol=_TOLERANCE))
