"""The last look at the results before they may leave: they fit the source, and each other.

The validators of information object definitions are blind to this: a segmentation that lies one slice off, a report
that names another nodule's segment or another patient are perfectly legal objects. The checks read the finished
objects, pixels included, and know nothing of how they were made.
"""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage, SegmentationStorage

from dicom_node.objects.checking import require
from dicom_node.objects.composite import RESEARCH_USE_ONLY
from dicom_node.objects.ct_series import CtSeries
from dicom_node.objects.patient_study import PATIENT_AND_STUDY
from dicom_node.objects.validate_seg import Sources, StoredSegment, check_segmentation
from dicom_node.objects.validate_sr import check_report


def check(results: Sequence[Dataset], template: Dataset, analysed: Sequence[CtSeries]) -> None:
    """Check all results of one job.

    Parameters
    ----------
    template : Dataset
        Header of an instance of the study as received.
    analysed : sequence of CtSeries
        The series that the results are about; empty for a report that says why nothing was analysed.

    Raises
    ------
    ResultInvalid
        What is wrong, and in which object.
    """
    _check_identity(results, analysed)
    for result in results:
        _check_patient_and_study(result, template)
        _check_common(result)
    sources = [Sources.of(series) for series in analysed]
    segments = _segments(results, sources)
    for result in results:
        if result.SOPClassUID == SecondaryCaptureImageStorage:
            _check_key_image(result, sources)
    reports = [result for result in results if result.SOPClassUID == Comprehensive3DSRStorage]
    require(len(reports) == 1, results[0], f"{len(reports)} reports in one job")
    check_report(reports[0], segments, sources, template)


def _check_identity(results: Sequence[Dataset], analysed: Sequence[CtSeries]) -> None:
    uids = [result.SOPInstanceUID for result in results]
    source_series = {series.series_instance_uid for series in analysed}
    for result in results:
        require(uids.count(result.SOPInstanceUID) == 1, result, "two results have the same SOP Instance UID")
        require(result.SeriesInstanceUID not in source_series, result, "lies in a series of the source")
        meta = result.file_meta
        same = (meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID) == (
            result.SOPInstanceUID,
            result.SOPClassUID,
        )
        require(same, result, "file meta information names another instance")


def _check_patient_and_study(result: Dataset, template: Dataset) -> None:
    for keyword in PATIENT_AND_STUDY:
        ours, theirs = result.get(keyword), template.get(keyword)
        require((ours or None) == (theirs or None), result, f"{keyword} differs from the source")


def _check_common(result: Dataset) -> None:
    require(result.get("ContentQualification") == "RESEARCH", result, "is not qualified as RESEARCH")
    named = bool(result.get("ContributingEquipmentSequence")) and bool(result.get("DeviceUID"))
    require(named, result, "does not say which algorithm made it")


def _segments(results: Sequence[Dataset], sources: Sequence[Sources]) -> dict[str, StoredSegment]:
    """Check each segmentation; return all segments by tracking UID."""
    segments: dict[str, StoredSegment] = {}
    for result in results:
        if result.SOPClassUID == SegmentationStorage:
            for segment in check_segmentation(result, sources):
                require(segment.tracking_uid not in segments, result, "two segments have the same tracking UID")
                segments[segment.tracking_uid] = segment
    for part in (each for each in segments.values() if each.is_part):
        inside = any(not each.is_part and each.holds(part) for each in segments.values())
        (result,) = (each for each in results if each.SOPInstanceUID == part.sop_instance_uid)
        require(inside, result, "a part lies outside every nodule")
    return segments


def _check_key_image(result: Dataset, sources: Sequence[Sources]) -> None:
    source = result.SourceImageSequence[0]
    known = any(each.index(source) is not None for each in sources)
    require(known, result, "shows an image that is not in the source")
    size = result.Rows * result.Columns * result.SamplesPerPixel
    require(len(result.PixelData) == size + size % 2, result, "pixel data do not fill the image")
    require(result.BurnedInAnnotation == "YES", result, "does not say that text is burnt in")
    require(RESEARCH_USE_ONLY in result.ImageComments, result, "does not say that it is for research only")
