"""Tells whether two data sets are the same instance.

An instance is its data set without file meta. Sent again in another transfer syntax, or with a corrected name, it is
the same image; other pixels or another place in the patient under one SOP Instance UID are not, and must not replace
it.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import iter_pixels

from dicom_node.objects.headers import data_set_digest, walk

# What gives a stored pixel its place and its meaning (PS3.3 C.7.6.2, C.7.6.3, C.11.1), and an instance its study.
_SINGLE_FRAME = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "FrameOfReferenceUID"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PixelRepresentation"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"),
)
_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
# The same for the macros of multi-frame images (PS3.3 C.7.6.16.2).
_MACROS = (
    *("PlanePositionSequence", "PlaneOrientationSequence"),
    *("PixelMeasuresSequence", "PixelValueTransformationSequence"),
)
# A hostile header may announce frames of any size; none of a CT is larger.
_MAX_FRAME_BYTES = 16 << 20


class Sameness(StrEnum):
    """How two data sets of one SOP Instance UID compare."""

    SAME_BYTES = "same bytes"
    SAME_PIXELS = "same pixels and geometry"
    DIFFERENT = "different pixels or geometry"


def compare(held: Path, arrived: Path) -> Sameness:
    """Compare two instances on disk, frame by frame, so that memory holds one frame of each.

    Pixel data that cannot be decoded are not known to be the same, and so are different.

    Raises
    ------
    InstanceUnreadable
        One of them is not whole.
    """
    walked = walk(held), walk(arrived)
    digests = [data_set_digest(path, found.offset) for path, found in zip((held, arrived), walked, strict=True)]
    if digests[0] == digests[1] and walked[0].transfer_syntax_uid == walked[1].transfer_syntax_uid:
        return Sameness.SAME_BYTES
    if _place(held) != _place(arrived) or not _same_pixels(held, arrived):
        return Sameness.DIFFERENT
    return Sameness.SAME_PIXELS


def _place(path: Path) -> list[str]:
    ds = dcmread(path, stop_before_pixels=True, force=True)
    place = [_value(ds, keyword) for keyword in _SINGLE_FRAME]
    for keyword in _FUNCTIONAL_GROUPS:
        for groups in ds.get(keyword) or ():
            place += [_value(item, element) for macro in _MACROS for item in groups.get(macro, ()) for element in item]
    return place


def _value(ds: Dataset, which: Any) -> str:
    """One value as text that does not depend on how it was written: 1.0 and 1.00 are equal."""
    value = which.value if hasattr(which, "value") else ds.get(which)
    if value is None or value == "":
        return ""
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return "\\".join(str(float(v)) if isinstance(v, (int, float)) else str(v) for v in values)


def _same_pixels(held: Path, arrived: Path) -> bool:
    try:
        pairs = zip(_frames(held), _frames(arrived), strict=True)
        return all(np.array_equal(one, other) for one, other in pairs)
    except Exception:  # decoders of others raise what they like on damaged pixel data
        return False


def _frames(path: Path) -> Iterator[NDArray[Any]]:
    """Yield the stored values of each frame."""
    ds = dcmread(path, stop_before_pixels=True, force=True)
    if ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated // 8 > _MAX_FRAME_BYTES:
        raise ValueError("a frame too large to compare")
    yield from iter_pixels(path, raw=True)
