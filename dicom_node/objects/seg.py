"""Findings -> DICOM Segmentation (PS3.3 A.51): BINARY, one segment per nodule, only frames that hold something.

A part of a nodule that was asked for is a segment of another instance: parts overlap their nodules, and not all viewers
show segments that do.

Written directly on the standard's modules, not through highdicom's constructor: that one draws UIDs at random, stamps
the clock and takes a multi-frame source only as one whole instance. Its building blocks for segments are used.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage
from pydicom.valuerep import DSfloat

from ai_engine.domain import Algorithm, BoolArray, Segment
from dicom_node.objects import codes, composite
from dicom_node.objects.colours import Rgb, colour, lighter
from dicom_node.objects.composite import ObjectContext, ResultSeries, code_item
from dicom_node.objects.ct_series import CtSeries
from dicom_node.objects.patient_study import copy_element
from dicom_node.objects.planes import Plane, planes
from dicom_node.objects.tracking import TrackedFinding
from dicom_node.objects.uids import derive

# OHIF and others disable segmentations of more frames than this.
MAX_FRAMES = 400
# Tags of the dimension indices: Segment Number, Image Position (Patient), and the macros they stand in.
_SEGMENT_NUMBER, _SEGMENT_MACRO = 0x0062000B, 0x0062000A
_POSITION, _POSITION_MACRO = 0x00200032, 0x00209113


@dataclass(frozen=True, eq=False)
class _Outlined:
    """What becomes a segment: a nodule, or a part of it."""

    nodule: TrackedFinding
    segment: Segment
    identifier: str
    tracking_uid: str
    property_type: Code
    description: str
    colour: Rgb


@dataclass(frozen=True, eq=False)
class _Frame:
    """One slice of one segment; ``mask`` is cut to the segment's box, (r, c) bool."""

    segment_number: int
    k: int
    rows: slice
    columns: slice
    mask: BoolArray


def encode(
    series: CtSeries,
    found: Sequence[TrackedFinding],
    template: Dataset,
    context: ObjectContext,
    result_series: ResultSeries,
) -> list[Dataset]:
    """Return the segmentations of one analysed series: one instance, more where frames exceed ``MAX_FRAMES``.

    Parts that were asked for come last, in instances of their own.

    Parameters
    ----------
    found : sequence of TrackedFinding
        Not empty.
    template : Dataset
        Header whose patient and study the objects take.
    """
    groups = [*_split([_nodule(each) for each in found]), *_split(list(_parts(found, context)))]
    return [
        _instance(series, group, template, context, result_series, number)
        for number, group in enumerate(groups, start=1)
    ]


def _nodule(each: TrackedFinding) -> _Outlined:
    finding, tracked = each.finding, each.tracked
    description = f"{finding.descriptors.nodule_type} nodule, {finding.location.laterality} lung"
    shown = colour(finding.number)
    return _Outlined(each, finding.segment, tracked.identifier, tracked.uid, codes.NODULE, description, shown)


def _parts(found: Sequence[TrackedFinding], context: ObjectContext) -> Iterator[_Outlined]:
    """Yield the parts that were asked for and are seen; a whole nodule is the segment of the nodule."""
    for each in found:
        part = each.finding.part
        if part is None or part.segment is None or part.is_whole:
            continue
        uid = derive(context.installation_uid, "part", each.tracked.uid)
        description, shown = f'Asked for as "{part.name}"', lighter(colour(each.finding.number))
        yield _Outlined(each, part.segment, each.part_identifier, uid, codes.SOLID_PART, description, shown)


def _split(outlined: Sequence[_Outlined]) -> list[list[_Outlined]]:
    """Split between segments, never within one."""
    groups: list[list[_Outlined]] = []
    frames = 0
    for each in outlined:
        n = int(each.segment.mask.any(axis=(1, 2)).sum())
        if not groups or frames + n > MAX_FRAMES:
            groups.append([])
            frames = 0
        groups[-1].append(each)
        frames += n
    return groups


def _instance(
    series: CtSeries,
    outlined: Sequence[_Outlined],
    template: Dataset,
    context: ObjectContext,
    result_series: ResultSeries,
    number: int,
) -> Dataset:
    result = composite.new(template, context, result_series, SegmentationStorage, number)
    composite.image_series_attributes(template, result)
    frames = [frame for i, each in enumerate(outlined, start=1) for frame in _frames(i, each.segment)]
    where = planes(series)
    _image(result, series, frames)
    _segments(result, outlined, context.algorithm)
    _dimensions(result, context)
    _shared_groups(result, series, where[0])
    result.PerFrameFunctionalGroupsSequence = _frame_groups(series, frames, where)
    result.ReferencedSeriesSequence = [_references(series, frames)]
    pixels = _pixels(frames, series.volume.hu.shape[1:])
    result.SegmentsOverlap = "YES" if _overlap(frames, pixels) else "NO"
    # PS3.5 section 8.1.1: the first pixel in the least significant bit, frames without padding between them
    packed = np.packbits(pixels, bitorder="little").tobytes()
    result.PixelData = packed + b"\0" * (len(packed) % 2)
    result["PixelData"].VR = "OB"
    return result


def _frames(segment_number: int, segment: Segment) -> list[_Frame]:
    _, rows, columns = segment.box
    first_k = segment.origin_krc[0]
    return [
        _Frame(segment_number, first_k + i, rows, columns, part) for i, part in enumerate(segment.mask) if part.any()
    ]


def _pixels(frames: Sequence[_Frame], shape: tuple[int, int]) -> BoolArray:
    pixels = np.zeros((len(frames), *shape), dtype=bool)
    for i, frame in enumerate(frames):
        pixels[i, frame.rows, frame.columns] = frame.mask
    return pixels


def _image(result: Dataset, series: CtSeries, frames: Sequence[_Frame]) -> None:
    result.ImageType = ["DERIVED", "PRIMARY"]
    result.FrameOfReferenceUID = series.frame_of_reference_uid
    if not copy_element(series.datasets[0], result, "PositionReferenceIndicator"):
        result.PositionReferenceIndicator = None
    result.Rows, result.Columns = series.volume.hu.shape[1:]
    result.NumberOfFrames = len(frames)
    result.SamplesPerPixel = 1
    result.PhotometricInterpretation = "MONOCHROME2"
    result.BitsAllocated = result.BitsStored = 1
    result.HighBit = result.PixelRepresentation = 0
    result.SegmentationType = "BINARY"
    result.ContentLabel = "LUNG_NODULES"
    result.ContentDescription = composite.RESEARCH_USE_ONLY
    result.ContentCreatorName = None
    composite.lossy_history(series.datasets[0], result)


def _overlap(frames: Sequence[_Frame], pixels: BoolArray) -> bool:
    """Whether any voxel belongs to two segments."""
    seen: dict[int, BoolArray] = {}
    for frame, mask in zip(frames, pixels, strict=True):
        if frame.k in seen and (seen[frame.k] & mask).any():
            return True
        seen[frame.k] = seen[frame.k] | mask if frame.k in seen else mask
    return False


def _segments(result: Dataset, outlined: Sequence[_Outlined], algorithm: Algorithm) -> None:
    identification = algorithm_identification(algorithm)
    result.SegmentSequence = [_segment(i, each, identification) for i, each in enumerate(outlined, start=1)]


def algorithm_identification(algorithm: Algorithm) -> hd.AlgorithmIdentificationSequence:
    """Return the Algorithm Identification Macro (PS3.3 10.16) of what ran, and what it was asked for."""
    asked = {"prompt": algorithm.prompt} if algorithm.prompt else {}
    return hd.AlgorithmIdentificationSequence(
        name=algorithm.name[:64],
        family=codes.algorithm_family(algorithm.family),
        version=algorithm.version[:64],
        parameters={"digest": algorithm.digest, **asked, **algorithm.stages},
    )


def _segment(number: int, each: _Outlined, identification: hd.AlgorithmIdentificationSequence) -> Dataset:
    location = each.nodule.finding.location
    segment = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=each.identifier,
        segmented_property_category=codes.MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
        segmented_property_type=each.property_type,
        algorithm_type="AUTOMATIC",
        algorithm_identification=identification,
        tracking_uid=each.tracking_uid,
        tracking_id=each.identifier,
        anatomic_regions=[codes.LOBES[location.lobe] if location.lobe else codes.LUNG],
        display_color=hd.color.CIELabColor.from_rgb(*each.colour),
    )
    segment.SegmentDescription = each.description
    segment.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [code_item(codes.SIDES[location.laterality])]
    return segment


def _dimensions(result: Dataset, context: ObjectContext) -> None:
    uid = context.uid("dimensions", result.SOPInstanceUID)
    result.DimensionOrganizationSequence = [Dataset()]
    result.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    result.DimensionIndexSequence = [
        _dimension(uid, _SEGMENT_NUMBER, _SEGMENT_MACRO, "Segment Number"),
        _dimension(uid, _POSITION, _POSITION_MACRO, "Image Position (Patient)"),
    ]


def _dimension(uid: str, pointer: int, macro: int, label: str) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = uid
    item.DimensionIndexPointer = pointer
    item.FunctionalGroupPointer = macro
    item.DimensionDescriptionLabel = label
    return item


def _shared_groups(result: Dataset, series: CtSeries, plane: Plane) -> None:
    between_slices = series.volume.spacing_krc_mm[0]
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = _decimals(plane.pixel_spacing_mm)
    measures.SliceThickness = DSfloat(plane.slice_thickness_mm or between_slices, auto_format=True)
    measures.SpacingBetweenSlices = DSfloat(between_slices, auto_format=True)
    orientation.ImageOrientationPatient = _decimals(plane.orientation)
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    result.SharedFunctionalGroupsSequence = [shared]


def _frame_groups(series: CtSeries, frames: Sequence[_Frame], where: Sequence[Plane]) -> list[Dataset]:
    ranks = _ranks(frames, where)
    return [_frame_group(series, frame, where[frame.k], ranks[frame.k]) for frame in frames]


def _ranks(frames: Sequence[_Frame], where: Sequence[Plane]) -> dict[int, int]:
    """Return the dimension index of each slice in use: 1 for the lowest along the normal of the planes."""
    normal = np.cross(where[0].orientation[:3], where[0].orientation[3:])
    used = sorted({frame.k for frame in frames}, key=lambda k: float(np.dot(normal, where[k].position_lps_mm)))
    return {k: rank for rank, k in enumerate(used, start=1)}


def _frame_group(series: CtSeries, frame: _Frame, plane: Plane, rank: int) -> Dataset:
    group, content, position, segment = Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [frame.segment_number, rank]
    position.ImagePositionPatient = _decimals(plane.position_lps_mm)
    segment.ReferencedSegmentNumber = frame.segment_number
    group.FrameContentSequence = [content]
    group.PlanePositionSequence = [position]
    group.SegmentIdentificationSequence = [segment]
    group.DerivationImageSequence = [_derivation(series, frame.k)]
    return group


def _derivation(series: CtSeries, k: int) -> Dataset:
    source = source_item(series, k)
    source.SpatialLocationsPreserved = "YES"
    source.PurposeOfReferenceCodeSequence = [code_item(codes.SOURCE_FOR_PROCESSING)]
    item = Dataset()
    item.DerivationCodeSequence = [code_item(codes.SEGMENTATION)]
    item.SourceImageSequence = [source]
    return item


def source_item(series: CtSeries, k: int) -> Dataset:
    """Return an Image SOP Instance Reference (PS3.3 10.3) to the source image of slice ``k``."""
    source, item = series.slices[k], Dataset()
    item.ReferencedSOPClassUID = source.sop_class_uid
    item.ReferencedSOPInstanceUID = source.sop_instance_uid
    if source.frame_number is not None:
        item.ReferencedFrameNumber = source.frame_number
    return item


def _references(series: CtSeries, frames: Sequence[_Frame]) -> Dataset:
    used = {series.slices[k].sop_instance_uid: series.slices[k].sop_class_uid for k in sorted({f.k for f in frames})}
    item = Dataset()
    item.SeriesInstanceUID = series.series_instance_uid
    item.ReferencedInstanceSequence = []
    for sop_instance_uid, sop_class_uid in used.items():
        reference = Dataset()
        reference.ReferencedSOPClassUID = sop_class_uid
        reference.ReferencedSOPInstanceUID = sop_instance_uid
        item.ReferencedInstanceSequence.append(reference)
    return item


def _decimals(values: Sequence[float] | NDArray[np.float64]) -> list[DSfloat]:
    """Return numbers as decimal strings of at most 16 characters."""
    return [DSfloat(float(value), auto_format=True) for value in values]
