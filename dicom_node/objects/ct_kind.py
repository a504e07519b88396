"""Which images are axial CT in Hounsfield units, judged from their header values alone."""

from collections import Counter
from collections.abc import Sequence

from pydicom.uid import UID

from dicom_node.domain import Reason
from dicom_node.errors import SeriesRefused
from dicom_node.objects.ct_frames import Frame
from dicom_node.settings import CT_STORAGE

# Words within the values of Image Type (0008,0008), split at blanks and underscores. Scanners and workstations mark
# scouts and reformats here; SECONDARY and DERIVED alone mark nothing of the kind (a resampled or de-identified axial
# series carries them too). PS3.3 C.8.2.1.1.1, C.8.16.1.3 and C.8.16.1.4; the vendors' words from their conformance
# statements.
_LOCALIZER_WORDS = frozenset(
    {"LOCALIZER", "LOCALISER", "TOPOGRAM", "TOP", "SCOUT", "SURVIEW", "SCANOGRAM", "SCANOSCOPE"}
)
# fmt: off
_DERIVED_WORDS = frozenset({
    "MPR", "CPR", "MIP", "MINIP", "MAXIP", "PROJECTION", "REFORMATTED", "REFORMAT", "RESAMPLED", "CURVED",
    "SSD", "VRT", "VR", "3D", "RENDERED", "RENDERING", "SCREEN", "CAPTURE", "SUBTRACTION", "PERFUSION",
    "RCBF", "RCBV", "RMTT", "RTTP", "MTT", "CBF", "CBV", "TTP", "PBV", "MASK", "DOSE", "CSAPARALLEL",
    "CSARADIAL",
})
# fmt: on
_DERIVED_VALUES = frozenset({"MAX_IP", "MIN_IP", "STD_DEV", "VOLUME_RENDER", "SURFACE_RENDER", "CURVED_MPR"})
# PS3.3 C.11.1.1.2: "US" says that the unit was not specified; converters write it into CT that is in Hounsfield units,
# so it is settled by the pixels (``ct_series``). All other types (HU_MOD, Z_EFF, ED, MGML...) are other quantities.
UNSPECIFIED_TYPE = "US"


def screen(frames: Sequence[Frame]) -> tuple[list[Frame], tuple[str, ...]]:
    """Leave out what is not axial CT.

    Returns
    -------
    (list of Frame, tuple of str)
        The frames that are left, and notes on those left out.

    Raises
    ------
    SeriesRefused
        None is left; with the commonest reason.
    """
    refusals = [(frame, refusal(frame)) for frame in frames]
    kept = [frame for frame, refused in refusals if refused is None]
    reasons = Counter(refused.reason for _, refused in refusals if refused is not None)
    if kept:
        return kept, tuple(f"{n} image{'s' * (n > 1)} left out: {reason.sentence}" for reason, n in reasons.items())
    if not reasons:
        raise SeriesRefused(Reason.NO_PIXELS, "the series holds no image")
    commonest = reasons.most_common(1)[0][0]
    raise next(refused for _, refused in refusals if refused is not None and refused.reason is commonest)


def refusal(frame: Frame) -> SeriesRefused | None:
    """Return why one image cannot be part of a CT volume, or None."""
    for check in (_image_type, _object, _pixels, _geometry, _unit):
        if (found := check(frame)) is not None:
            return SeriesRefused(*found)
    return None


def _object(frame: Frame) -> tuple[Reason, str] | None:
    if frame.ref.sop_class_uid not in CT_STORAGE:
        return Reason.NOT_CT, UID(frame.ref.sop_class_uid).name or "unknown SOP class"
    if frame.modality != "CT":
        return Reason.NOT_CT, f"Modality is {frame.modality or 'missing'}"
    return None


def _image_type(frame: Frame) -> tuple[Reason, str] | None:
    if frame.ref.sop_class_uid not in CT_STORAGE:
        return None
    found = {word for value in frame.image_type for word in value.replace("_", " ").split()}
    shown = "Image Type is " + "\\".join(frame.image_type)
    if found & _LOCALIZER_WORDS:
        return Reason.LOCALIZER, shown
    if found & _DERIVED_WORDS or _DERIVED_VALUES & set(frame.image_type):
        return Reason.DERIVED, shown
    return None


def _pixels(frame: Frame) -> tuple[Reason, str] | None:
    if 0 in frame.shape:
        return Reason.NO_PIXELS, "Rows or Columns is missing"
    if "pixel_bytes" in frame.ref.header and not frame.ref.header["pixel_bytes"]:
        return Reason.NO_PIXELS, ""
    return None


def _geometry(frame: Frame) -> tuple[Reason, str] | None:
    needed = {
        "Image Position (Patient)": frame.position_lps_mm,
        "Image Orientation (Patient)": frame.orientation,
        "Pixel Spacing": frame.pixel_spacing_mm,
        "Frame of Reference UID": frame.frame_of_reference_uid,
    }
    missing = [name for name, value in needed.items() if not value]
    return (Reason.NO_GEOMETRY, f"{', '.join(missing)} missing or unreadable") if missing else None


def _unit(frame: Frame) -> tuple[Reason, str] | None:
    if frame.samples_per_pixel != 1:
        return Reason.NOT_HOUNSFIELD, "colour images"
    if not frame.rescale_slope or frame.rescale_intercept is None:
        return Reason.NOT_HOUNSFIELD, "Rescale Slope or Rescale Intercept is missing"
    if frame.rescale_type not in ("", "HU", UNSPECIFIED_TYPE):
        return Reason.NOT_HOUNSFIELD, f"Rescale Type is {frame.rescale_type}"
    return None
