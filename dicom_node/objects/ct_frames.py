"""CT images as frames: a single-frame instance and one frame of a multi-frame instance read the same.

Knows where each header value lives; knows nothing of stacks and never touches pixels. Values of others may be missing
or malformed: such a value is None here, and who needs it refuses the series with a reason.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from dicom_node.domain import InstanceRef

Lookup = Callable[[str], object]

# Header values that may tell two stacks of one series apart, in the order in which they are tried.
TRAITS = (
    "AcquisitionNumber",
    "ConvolutionKernel",
    "ImageType",
    "SliceThickness",
    "StackID",
    "TemporalPositionIndex",
    "TemporalPositionIdentifier",
    "NominalPercentageOfCardiacPhase",
    "ContrastBolusAgent",
    "KVP",
    "FilterType",
    "ReconstructionDiameter",
    "AcquisitionDateTime",
    "AcquisitionTime",
)

_ENHANCED = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
# PS3.3 C.7.6.16.2 and C.8.15.3: the functional group macros that hold, per frame or shared, what a single-frame header
# holds at its top. Legacy converted instances keep the rest among the unassigned converted attributes.
_UNASSIGNED = ("UnassignedPerFrameConvertedAttributesSequence", "UnassignedSharedConvertedAttributesSequence")
_HOMES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "ImagePositionPatient": (("PlanePositionSequence",), "ImagePositionPatient"),
    "ImageOrientationPatient": (("PlaneOrientationSequence",), "ImageOrientationPatient"),
    "PixelSpacing": (("PixelMeasuresSequence",), "PixelSpacing"),
    "SliceThickness": (("PixelMeasuresSequence",), "SliceThickness"),
    "RescaleSlope": (("PixelValueTransformationSequence",), "RescaleSlope"),
    "RescaleIntercept": (("PixelValueTransformationSequence",), "RescaleIntercept"),
    "RescaleType": (("PixelValueTransformationSequence",), "RescaleType"),
    "ImageType": (("CTImageFrameTypeSequence",), "FrameType"),
    "VolumeBasedCalculationTechnique": (("CTImageFrameTypeSequence",), "VolumeBasedCalculationTechnique"),
    "ConvolutionKernel": (("CTReconstructionSequence", *_UNASSIGNED), "ConvolutionKernel"),
    "GantryDetectorTilt": (("CTAcquisitionDetailsSequence", *_UNASSIGNED), "GantryDetectorTilt"),
    "AcquisitionNumber": (("FrameContentSequence",), "FrameAcquisitionNumber"),
    "StackID": (("FrameContentSequence",), "StackID"),
    "TemporalPositionIndex": (("FrameContentSequence",), "TemporalPositionIndex"),
}


@dataclass(frozen=True, eq=False)
class Frame:
    """One CT image.

    Attributes
    ----------
    number : int or None
        Frame number from 1; None in a single-frame instance.
    image_type : tuple of str
        Image Type, or Frame Type, and after it the Volume Based Calculation Technique if there was one.
    position_lps_mm : tuple of float or None
        Image Position (Patient): centre of the first pixel.
    orientation : tuple of float or None
        Image Orientation (Patient): direction of increasing column index, then of increasing row index.
    pixel_spacing_mm : tuple of float or None
        Between rows, between columns.
    shape : tuple of int
        Rows, columns; 0 where missing.
    traits : dict
        The values of ``TRAITS`` as text.
    """

    ref: InstanceRef
    number: int | None
    modality: str
    frame_of_reference_uid: str
    image_type: tuple[str, ...]
    position_lps_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing_mm: tuple[float, ...] | None
    shape: tuple[int, int]
    samples_per_pixel: int
    slice_thickness_mm: float | None
    gantry_tilt_deg: float | None
    convolution_kernel: str
    rescale_slope: float | None
    rescale_intercept: float | None
    rescale_type: str
    traits: Mapping[str, str] = field(default_factory=dict)


def frames_of_header(ref: InstanceRef) -> list[Frame]:
    """Return the one frame of a single-frame instance, from the header values recorded at reception."""
    return [_frame(ref, None, ref.header.get)]


def frames_of_dataset(ref: InstanceRef, dataset: Dataset) -> list[Frame]:
    """Return the frames of an instance, in the order in which they are stored."""
    top = lookup(dataset)
    groups = top("PerFrameFunctionalGroupsSequence")
    if not isinstance(groups, Sequence) or not len(groups):
        return [_frame(ref, None, top)]
    shared = next(iter(_items(top("SharedFunctionalGroupsSequence"))), Dataset())
    return [_frame(ref, i, _grouped(top, (group, shared))) for i, group in enumerate(groups, start=1)]


def is_multi_frame(ref: InstanceRef) -> bool:
    """Whether the frames of a CT instance can only be learnt from its file."""
    return ref.sop_class_uid in _ENHANCED or (number(ref.header.get("NumberOfFrames")) or 1) > 1


def lookup(dataset: Dataset) -> Lookup:
    """Return a function that reads header values by keyword; one that cannot be decoded counts as missing."""

    def value(keyword: str) -> object:
        try:
            return dataset.get(keyword)
        except Exception:  # a malformed value of others raises whatever its decoding ran into: it counts as missing
            return None

    return value


def number(value: object) -> float | None:
    """Return a header value as a finite number, or None."""
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def numbers(value: object, count: int) -> tuple[float, ...] | None:
    """Return a multi-valued header value as exactly ``count`` finite numbers, or None."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != count:
        return None
    results = tuple(result for result in map(number, value) if result is not None)
    return results if len(results) == count else None


def words(value: object) -> tuple[str, ...]:
    """Return a header value as upper-case strings, one per value."""
    if value is None or value == "":
        return ()
    values = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
    return tuple(str(item).strip().upper() for item in values)


def _frame(ref: InstanceRef, frame_number: int | None, value: Lookup) -> Frame:
    kernel = value("ConvolutionKernel")
    kernels = [kernel] if isinstance(kernel, str) or not isinstance(kernel, Sequence) else kernel
    techniques = words(value("VolumeBasedCalculationTechnique"))
    return Frame(
        ref=ref,
        number=frame_number,
        modality=" ".join(words(value("Modality"))),
        frame_of_reference_uid=str(value("FrameOfReferenceUID") or ""),
        image_type=words(value("ImageType")) + tuple(technique for technique in techniques if technique != "NONE"),
        position_lps_mm=numbers(value("ImagePositionPatient"), 3),
        orientation=numbers(value("ImageOrientationPatient"), 6),
        pixel_spacing_mm=numbers(value("PixelSpacing"), 2),
        shape=(int(number(value("Rows")) or 0), int(number(value("Columns")) or 0)),
        samples_per_pixel=int(number(value("SamplesPerPixel")) or 1),
        slice_thickness_mm=number(value("SliceThickness")),
        gantry_tilt_deg=number(value("GantryDetectorTilt")),
        convolution_kernel="\\".join(str(part).strip() for part in kernels if part),
        rescale_slope=number(value("RescaleSlope")),
        rescale_intercept=number(value("RescaleIntercept")),
        rescale_type=" ".join(words(value("RescaleType"))),
        traits={keyword: "\\".join(words(value(keyword))) for keyword in TRAITS},
    )


def _grouped(top: Lookup, groups: Sequence[Dataset]) -> Lookup:
    def value(keyword: str) -> object:
        sequences, inner = _HOMES.get(keyword, ((), ""))
        for item in _macros(groups, sequences):
            found = lookup(item)(inner)
            if found is not None:
                return found
        return top(keyword)

    return value


def _macros(groups: Sequence[Dataset], sequences: Sequence[str]) -> Iterator[Dataset]:
    for group in groups:
        for sequence in sequences:
            yield from _items(lookup(group)(sequence))


def _items(value: object) -> Sequence[Dataset]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
