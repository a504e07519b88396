"""One nodule in the report: a volume group and a group on the key slice, under one tracking identifier.

The volume group (TID 1411) points at the segment and carries what belongs to the nodule as a whole; the planar group
(TID 1410) carries the outline and the diameters on the key slice. Viewers that know only one of the two still show the
nodule, and OHIF draws both as one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from ai_engine.domain import (
    Algorithm,
    Category,
    Descriptors,
    Finding,
    Location,
    Measurements,
    NoduleType,
    RiskScore,
)
from dicom_node.objects import codes
from dicom_node.objects.content import Is, code, container, image, number, polyline, text, uid
from dicom_node.objects.ct_series import CtSeries
from dicom_node.objects.outline import outlines
from dicom_node.objects.tracking import TrackedFinding


@dataclass(frozen=True)
class SegmentReference:
    """Where the segment of a nodule is."""

    sop_instance_uid: str
    segment_number: int


def groups(
    each: TrackedFinding, series: CtSeries, segment: SegmentReference, algorithm: Algorithm
) -> tuple[Dataset, Dataset]:
    """Return the volume group and the planar group of one finding."""
    return _volume_group(each, series, segment, algorithm), _planar_group(each, series, algorithm)


def _volume_group(each: TrackedFinding, series: CtSeries, segment: SegmentReference, algorithm: Algorithm) -> Dataset:
    finding = each.finding
    return container(
        codes.MEASUREMENT_GROUP,
        *_identity(each, algorithm),
        image(
            Is.CONTAINED,
            codes.REFERENCED_SEGMENT,
            SegmentationStorage,
            segment.sop_instance_uid,
            segment=segment.segment_number,
        ),
        uid(Is.CONTAINED, codes.SOURCE_SERIES_FOR_SEGMENTATION, series.series_instance_uid),
        *_volume_measurements(finding.measurements),
        *(item for risk in finding.malignancy for item in _risk(risk)),
        *_descriptors(finding.descriptors),
        *lung_rads(finding.lung_rads, finding.descriptors.nodule_type),
        *_remarks(finding),
        template="1411",
    )


def _planar_group(each: TrackedFinding, series: CtSeries, algorithm: Algorithm) -> Dataset:
    finding = each.finding
    k = finding.measurements.key_slice_k
    source = series.slices[k]
    outline = outlines(finding.segment.on(series.volume.hu.shape)[k])[0]
    region = polyline(
        codes.IMAGE_REGION,
        outline,
        image(Is.SELECTED_FROM, codes.SOURCE, source.sop_class_uid, source.sop_instance_uid, frame=source.frame_number),
    )
    return container(
        codes.MEASUREMENT_GROUP,
        *_identity(each, algorithm),
        region,
        *_diameters(finding.measurements),
        template="1410",
    )


def _identity(each: TrackedFinding, algorithm: Algorithm) -> Iterator[Dataset]:
    yield text(Is.CONTEXT, codes.TRACKING_IDENTIFIER, each.tracked.identifier)
    yield uid(Is.CONTEXT, codes.TRACKING_UNIQUE_IDENTIFIER, each.tracked.uid)
    yield code(Is.CONTAINED, codes.FINDING, codes.NODULE)
    yield _site(each.finding.location)
    yield from algorithm_identification(algorithm)


def algorithm_identification(algorithm: Algorithm) -> Iterator[Dataset]:
    """Yield TID 4019: which algorithm, which version, with what parameters."""
    yield text(Is.MODIFIER, codes.ALGORITHM_NAME, algorithm.name)
    yield text(Is.MODIFIER, codes.ALGORITHM_VERSION, algorithm.version)
    for stage, what in algorithm.stages.items():
        yield text(Is.MODIFIER, codes.ALGORITHM_PARAMETERS, f"{stage}: {what}")
    yield text(Is.MODIFIER, codes.ALGORITHM_PARAMETERS, f"digest: {algorithm.digest}")
    yield code(Is.MODIFIER, codes.ALGORITHM_FAMILY, codes.algorithm_family(algorithm.family))


def _site(location: Location) -> Dataset:
    return code(
        Is.MODIFIER,
        codes.FINDING_SITE,
        codes.LOBES[location.lobe] if location.lobe else codes.LUNG,
        code(Is.MODIFIER, codes.LATERALITY, codes.SIDES[location.laterality]),
        code(Is.MODIFIER, codes.TOPOGRAPHICAL_MODIFIER, codes.ZONES[location.zone]),
    )


def _volume_measurements(measured: Measurements) -> Iterator[Dataset]:
    yield number(Is.CONTAINED, codes.VOLUME, round(measured.volume_mm3, 2), codes.MM3)
    yield number(Is.CONTAINED, codes.MAXIMUM_3D_DIAMETER, round(measured.maximum_3d_diameter_mm, 2), codes.MM)
    for derivation, value in (
        (codes.MEAN, measured.mean_hu),
        (codes.STANDARD_DEVIATION, measured.sd_hu),
        (codes.MINIMUM, measured.minimum_hu),
        (codes.MAXIMUM, measured.maximum_hu),
    ):
        yield number(
            Is.CONTAINED, codes.ATTENUATION_COEFFICIENT, round(value, 1), codes.HOUNSFIELD, _derived(derivation)
        )
    yield from _solid_part(measured)


def _solid_part(measured: Measurements) -> Iterator[Dataset]:
    for name, value, unit in (
        (codes.DIAMETER, measured.solid_mean_diameter_mm, codes.MM),
        (codes.VOLUME, measured.solid_volume_mm3, codes.MM3),
    ):
        if value is not None:
            site = code(Is.MODIFIER, codes.FINDING_SITE, codes.SOLID_PART)
            mean = [_derived(codes.MEAN)] if name is codes.DIAMETER else []
            yield number(Is.CONTAINED, name, round(value, 2), unit, *mean, site)


def _diameters(measured: Measurements) -> Iterator[Dataset]:
    yield number(Is.CONTAINED, codes.LONG_AXIS, measured.long_axis.length_mm, codes.MM)
    yield number(Is.CONTAINED, codes.SHORT_AXIS, measured.short_axis.length_mm, codes.MM)
    yield number(Is.CONTAINED, codes.DIAMETER, measured.mean_diameter_mm, codes.MM, _derived(codes.MEAN))


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
    """Yield a Lung-RADS category with its reason, of a nodule or of the examination.

    Parameters
    ----------
    nodule_type : NoduleType or None
        Of the nodule that decides; None where there is no nodule.
    """
    answer = codes.lung_rads(category, nodule_type)
    missing = f"; not known: {', '.join(category.missing)}" if category.missing else ""
    because = f"{category.scheme} category {category.value or 'not assigned'}: {category.because}{missing}"
    if answer is None:
        yield text(Is.CONTAINED, codes.LUNG_RADS, because)
    else:
        yield code(Is.CONTAINED, codes.LUNG_RADS, answer, text(Is.PROPERTY, codes.COMMENT, because))


def _risk(risk: RiskScore) -> Iterator[Dataset]:
    """Yield a probability with the model and the inputs that it comes from, or the inputs that are missing."""
    used = ", ".join(f"{name} {_plain(value)}" for name, value in risk.inputs.items())
    if risk.value is None:
        words = f"{risk.name}, probability of cancer: not computed; not known: {', '.join(risk.missing)}"
        yield text(Is.CONTAINED, codes.COMMENT, words + (f"; known: {used}" if used else ""))
        return
    yield number(
        Is.CONTAINED,
        codes.PROBABILITY_OF_CANCER,
        round(100 * risk.value, 2),
        codes.PERCENT,
        text(Is.MODIFIER, codes.ALGORITHM_NAME, risk.name),
        text(Is.MODIFIER, codes.ALGORITHM_VERSION, "published coefficients"),
        text(Is.MODIFIER, codes.ALGORITHM_PARAMETERS, used),
    )


def _remarks(finding: Finding) -> Iterator[Dataset]:
    touching = finding.descriptors.juxtapleural
    if touching is not None:
        words = "The nodule touches the pleura." if touching else "The nodule does not touch the pleura."
        yield text(Is.CONTAINED, codes.COMMENT, words)
    words = f"Detection score {finding.detection_score:.3g}: comparable within this algorithm only, not a probability."
    yield text(Is.CONTAINED, codes.COMMENT, words)


def _plain(value: float | bool | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
