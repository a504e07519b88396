"""A report speaks of what is there: of the segments beside it and of the images of its source."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from dicom_node.objects import codes
from dicom_node.objects.checking import require
from dicom_node.objects.composite import RESEARCH_USE_ONLY
from dicom_node.objects.validate_seg import Sources, StoredSegment

# A volume in the report is rounded to hundredths, that of the segment comes from rounded spacings.
_VOLUME_TOLERANCE = 1e-3
# The mean attenuation is rounded to tenths.
_HU_TOLERANCE = 0.06


def check_report(
    report: Dataset, segments: Mapping[str, StoredSegment], sources: Sequence[Sources], template: Dataset
) -> None:
    """Check the report of a job against its segmentations and its source.

    Raises
    ------
    ResultInvalid
        With the first thing that does not fit.
    """
    require(report.VerificationFlag == "UNVERIFIED", report, "claims to be verified")
    said = [item.TextValue for item in _items(report) if item.ValueType == "TEXT"]
    require(RESEARCH_USE_ONLY in said, report, "does not say that it is for research only")
    _check_references(report, segments, sources, template)
    volumes, planes = _groups(report, "1411"), _groups(report, "1410")
    nodules = {uid: segment for uid, segment in segments.items() if not segment.is_part}
    require(set(volumes) == set(nodules), report, "segments and volume groups have different tracking UIDs")
    require(set(planes) == set(nodules), report, "segments and planar groups have different tracking UIDs")
    for uid, segment in nodules.items():
        _check_segment_reference(report, volumes[uid], segment)
        _check_volume(report, volumes[uid], segment)
        _check_attenuation(report, volumes[uid], segment, sources)
        _check_planar_group(report, planes[uid], segment, sources)


def _check_references(
    report: Dataset, segments: Mapping[str, StoredSegment], sources: Sequence[Sources], template: Dataset
) -> None:
    """Every instance in the tree is in the evidence, every instance in the evidence exists."""
    evidence = {
        str(instance.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    existing = {source.sop_instance_uid for each in sources for source in each.series.slices}
    existing |= {segment.sop_instance_uid for segment in segments.values()}
    existing |= {str(template.SOPInstanceUID)}
    require(evidence <= existing, report, "the evidence names an instance that does not exist")
    for item in _items(report):
        if item.ValueType == "IMAGE":
            uid = str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
            require(uid in evidence, report, "the evidence lacks an instance that the report refers to")


def _groups(report: Dataset, template: str) -> dict[str, Dataset]:
    """Return the measurement groups made by one template, by tracking UID."""
    groups: dict[str, Dataset] = {}
    for item in _items(report):
        made_by = item.get("ContentTemplateSequence")
        if made_by and made_by[0].TemplateIdentifier == template:
            uids = [child.UID for child in _named(item, codes.TRACKING_UNIQUE_IDENTIFIER)]
            require(len(uids) == 1, report, "a measurement group has no tracking UID, or two")
            require(uids[0] not in groups, report, "two groups have the same tracking UID")
            groups[uids[0]] = item
    return groups


def _check_segment_reference(report: Dataset, group: Dataset, segment: StoredSegment) -> None:
    references = [item.ReferencedSOPSequence[0] for item in _named(group, codes.REFERENCED_SEGMENT)]
    require(len(references) == 1, report, "a nodule refers to no segment, or to two")
    reference = references[0]
    same = (
        reference.ReferencedSOPClassUID == SegmentationStorage
        and reference.ReferencedSOPInstanceUID == segment.sop_instance_uid
        and int(reference.ReferencedSegmentNumber) == segment.number
    )
    require(same, report, "a nodule refers to another nodule's segment")


def _check_volume(report: Dataset, group: Dataset, segment: StoredSegment) -> None:
    said = _named(group, codes.VOLUME)
    require(len(said) == 1, report, "a nodule has no volume, or two")
    value = float(said[0].MeasuredValueSequence[0].NumericValue)
    fits = abs(value - segment.volume_mm3) <= 0.01 + _VOLUME_TOLERANCE * segment.volume_mm3
    require(fits, report, f"volume {value:g} mm3, the segment has {segment.volume_mm3:g} mm3")


def _check_attenuation(report: Dataset, group: Dataset, segment: StoredSegment, sources: Sequence[Sources]) -> None:
    """Measure the source under the segment as stored: a segment that was shifted or flipped covers other tissue."""
    source = next(each for each in sources if each.series.series_instance_uid == segment.series_instance_uid)
    hu = source.series.volume.hu
    mean = float(np.concatenate([hu[k][mask] for k, mask in segment.masks.items()]).mean(dtype=np.float64))
    said = [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in _named(group, codes.ATTENUATION_COEFFICIENT)
        for derivation in _named(item, codes.DERIVATION)
        if derivation.ConceptCodeSequence[0].CodeValue == codes.MEAN.value
    ]
    require(len(said) == 1, report, "a nodule has no mean attenuation, or two")
    fits = abs(said[0] - mean) <= _HU_TOLERANCE
    require(fits, report, f"mean attenuation {said[0]:g} HU, the images have {mean:g} HU under the segment")


def _check_planar_group(report: Dataset, group: Dataset, segment: StoredSegment, sources: Sequence[Sources]) -> None:
    regions = _named(group, codes.IMAGE_REGION)
    require(len(regions) == 1, report, "a nodule has no outline, or two")
    image = regions[0].ContentSequence[0].ReferencedSOPSequence[0]
    slices = {k for each in sources if (k := each.index(image)) is not None}
    require(bool(slices), report, "an outline lies on an image that is not in the source")
    masks = [segment.masks[k] for k in slices if k in segment.masks]
    require(bool(masks), report, "an outline lies on an image where its segment is not")
    points = np.array(regions[0].GraphicData, dtype=float).reshape(-1, 2)
    rows, columns = (np.flatnonzero(masks[0].any(axis=axis)) for axis in (1, 0))
    inside = (
        points.min() >= 0
        and columns[0] <= points[:, 0].min() < points[:, 0].max() <= columns[-1] + 1
        and rows[0] <= points[:, 1].min() < points[:, 1].max() <= rows[-1] + 1
    )
    require(bool(inside), report, "an outline lies beside its segment")


def _items(item: Dataset) -> Iterator[Dataset]:
    """Yield all content items below one."""
    for child in item.get("ContentSequence") or ():
        yield child
        yield from _items(child)


def _named(item: Dataset, name: Code) -> list[Dataset]:
    """Return the children of an item that have this concept name."""
    found = []
    for child in item.get("ContentSequence") or ():
        names = child.get("ConceptNameCodeSequence")
        if names and (names[0].CodeValue, names[0].CodingSchemeDesignator) == (name.value, name.scheme_designator):
            found.append(child)
    return found
