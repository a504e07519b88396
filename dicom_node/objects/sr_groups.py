"""One nodule in the report: a volume group and a group on the key slice, under one tracking identifier.

The volume group (TID 1411) points at the segment and carries what belongs to the nodule as a whole; the planar group
(TID 1410) carries the outline and the diameters on the key slice. Viewers that know only one of the two still show the
nodule, and OHIF draws both as one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from ai_engine.domain import (
    Algorithm,
    Category,
    Descriptors,
    Location,
    Measurements,
    NoduleType,
    RiskScore,
    Segment,
)
from dicom_node.objects import codes, words
from dicom_node.objects.content import Is, code, container, image, number, polyline, text, uid
from dicom_node.objects.ct_series import CtSeries
from dicom_node.objects.outline import on_slice
from dicom_node.objects.tracking import TrackedFinding


@dataclass(frozen=True)
class SegmentReference:
    """Where the segment of a nodule is."""

    sop_instance_uid: str
    segment_number: int


def groups(
    each: TrackedFinding, series: CtSeries, segment: SegmentReference, algorithm: Algorithm
) -> tuple[Dataset, Dataset]:
    """Return the planar group and the volume group of one finding.

    In this order: a viewer that merges the two by tracking UID and shows the first few numbers (OHIF shows five) then
    shows the diameters and the volume.
    """
    return _planar_group(each, series, algorithm), _volume_group(each, series, segment, algorithm)


def _volume_group(each: TrackedFinding, series: CtSeries, segment: SegmentReference, algorithm: Algorithm) -> Dataset:
    finding = each.finding
    return container(
        codes.MEASUREMENT_GROUP,
        *_identity(each),
        image(
            Is.CONTAINED,
            codes.REFERENCED_SEGMENT,
            SegmentationStorage,
            segment.sop_instance_uid,
            segment=segment.segment_number,
        ),
        uid(Is.CONTAINED, codes.SOURCE_SERIES_FOR_SEGMENTATION, series.series_instance_uid),
        *_volume_measurements(finding.measurements, algorithm),
        *_confidence(finding.segment, algorithm),
        *_detection_score(finding.detection_score, algorithm),
        *(_probability(risk) for risk in finding.malignancy if risk.value is not None),
        *_descriptors(finding.descriptors),
        *lung_rads(finding.lung_rads, finding.descriptors.nodule_type),
        template="1411",
    )


def _planar_group(each: TrackedFinding, series: CtSeries, algorithm: Algorithm) -> Dataset:
    finding = each.finding
    k = finding.measurements.key_slice_k
    source = series.slices[k]
    outline = on_slice(finding.segment, k)[0]
    region = polyline(
        codes.IMAGE_REGION,
        outline,
        image(Is.SELECTED_FROM, codes.SOURCE, source.sop_class_uid, source.sop_instance_uid, frame=source.frame_number),
    )
    return container(
        codes.MEASUREMENT_GROUP,
        *_identity(each),
        region,
        *_diameters(finding.measurements, algorithm),
        template="1410",
    )


def _identity(each: TrackedFinding) -> Iterator[Dataset]:
    yield text(Is.CONTEXT, codes.TRACKING_IDENTIFIER, each.tracked.identifier)
    yield uid(Is.CONTEXT, codes.TRACKING_UNIQUE_IDENTIFIER, each.tracked.uid)
    yield code(Is.CONTAINED, codes.FINDING, codes.NODULE)
    yield _site(each.finding.location)


def _site(location: Location) -> Dataset:
    return code(
        Is.MODIFIER,
        codes.FINDING_SITE,
        codes.LOBES[location.lobe] if location.lobe else codes.LUNG,
        code(Is.MODIFIER, codes.LATERALITY, codes.SIDES[location.laterality]),
        code(Is.MODIFIER, codes.TOPOGRAPHICAL_MODIFIER, codes.ZONES[location.zone]),
    )


def _volume_measurements(measured: Measurements, algorithm: Algorithm) -> Iterator[Dataset]:
    by = partial(_measured, algorithm)
    yield by(codes.VOLUME, round(measured.volume_mm3, 2), codes.MM3)
    yield by(codes.MAXIMUM_3D_DIAMETER, round(measured.maximum_3d_diameter_mm, 2), codes.MM)
    for derivation, value in (
        (codes.MEAN, measured.mean_hu),
        (codes.STANDARD_DEVIATION, measured.sd_hu),
        (codes.MINIMUM, measured.minimum_hu),
        (codes.MAXIMUM, measured.maximum_hu),
    ):
        yield by(codes.ATTENUATION_COEFFICIENT, round(value, 1), codes.HOUNSFIELD, _derived(derivation))
    solid = code(Is.MODIFIER, codes.FINDING_SITE, codes.SOLID_PART)
    if measured.solid_mean_diameter_mm is not None:
        yield by(codes.SOLID_PART_SIZE, measured.solid_mean_diameter_mm, codes.MM, _derived(codes.MEAN), solid)
    if measured.solid_volume_mm3 is not None:
        yield by(codes.VOLUME_FROM_VOXELS, round(measured.solid_volume_mm3, 2), codes.MM3, solid)


def _confidence(segment: Segment, algorithm: Algorithm) -> Iterator[Dataset]:
    """Yield how sure the outline is, where the algorithm tells; what follows from it is said in words."""
    if segment.confidence is not None:
        value = round(100 * segment.confidence)
        yield _measured(algorithm, codes.ANALYSIS_QUALITY_RATING, value, codes.OF_100)


def _detection_score(score: float, algorithm: Algorithm) -> Iterator[Dataset]:
    """Yield the encoder's score with the encoder, the prompt and what the score means (TID 4019)."""
    by = algorithm.scored_by
    if by is not None:
        yield number(
            Is.CONTAINED,
            codes.SCORE,
            round(score, 4),
            codes.NO_UNITS,
            text(Is.MODIFIER, codes.ALGORITHM_NAME, by.name),
            text(Is.MODIFIER, codes.ALGORITHM_VERSION, f"{by.version}, weights {by.sha256}"),
            text(Is.MODIFIER, codes.ALGORITHM_PARAMETERS, f"prompt: {algorithm.prompt}"),
            text(Is.MODIFIER, codes.ALGORITHM_PARAMETERS, words.what_a_score_is(by)),
        )


def _diameters(measured: Measurements, algorithm: Algorithm) -> Iterator[Dataset]:
    by = partial(_measured, algorithm)
    yield by(codes.LONG_AXIS, measured.long_axis.length_mm, codes.MM)
    yield by(codes.SHORT_AXIS, measured.short_axis.length_mm, codes.MM)
    yield by(codes.DIAMETER, measured.mean_diameter_mm, codes.MM, _derived(codes.MEAN))


def _measured(algorithm: Algorithm, name: Code, value: float, unit: Code, *modifiers: Dataset) -> Dataset:
    """Return a measurement (TID 300) with the algorithm that made it (TID 4019), as IHE AI Results asks."""
    return number(
        Is.CONTAINED,
        name,
        value,
        unit,
        *modifiers,
        text(Is.MODIFIER, codes.ALGORITHM_NAME, algorithm.name),
        text(Is.MODIFIER, codes.ALGORITHM_VERSION, algorithm.version),
    )


def _derived(how: Code) -> Dataset:
    return code(Is.MODIFIER, codes.DERIVATION, how)


def _descriptors(descriptors: Descriptors) -> Iterator[Dataset]:
    yield code(Is.CONTAINED, codes.TEXTURE, codes.NODULE_TYPES[descriptors.nodule_type])
    for name, value in (
        (codes.CALCIFICATION, descriptors.calcified),
        (codes.SPICULATION, descriptors.spiculated),
    ):
        if value is not None:
            yield code(Is.CONTAINED, name, codes.YES if value else codes.NO)


def lung_rads(category: Category, nodule_type: NoduleType | None) -> Iterator[Dataset]:
    """Yield a Lung-RADS category, of a nodule or of the examination; nothing where it was not assigned.

    Parameters
    ----------
    nodule_type : NoduleType or None
        Of the nodule that decides; None where there is no nodule.
    """
    answer = codes.lung_rads(category, nodule_type)
    if answer is not None:
        yield code(Is.CONTAINED, codes.LUNG_RADS, answer)


def _probability(risk: RiskScore) -> Dataset:
    """Return a probability of cancer with the model and the inputs that it comes from."""
    return number(
        Is.CONTAINED,
        codes.PROBABILITY_OF_CANCER,
        round(100 * (risk.value or 0.0), 2),
        codes.PERCENT,
        text(Is.MODIFIER, codes.ALGORITHM_NAME, risk.name),
        text(Is.MODIFIER, codes.ALGORITHM_VERSION, "published coefficients"),
        text(Is.MODIFIER, codes.ALGORITHM_PARAMETERS, words.inputs(risk)),
    )
