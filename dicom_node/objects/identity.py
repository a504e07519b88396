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
from pydicom import DataElement, Dataset, dcmread
from pydicom.pixels.utils import iter_pixels

from dicom_node.objects.headers import Walked, data_set_digest, walk

# What gives a stored pixel its place and its meaning (PS3.3 C.7.6.2, C.7.6.3, C.11.1), and an instance its series.
_PLACE = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "FrameOfReferenceUID"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PixelRepresentation"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"),
)
# The same in the functional groups of multi-frame images (PS3.3 C.7.6.16.2).
_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_MACROS = (
    *("PlanePositionSequence", "PlaneOrientationSequence"),
    *("PixelMeasuresSequence", "PixelValueTransformationSequence"),
)
# A hostile instance may be of any size; where comparing would need more memory than this, it is not done.
_MAX_BYTES = 16 << 20


class Sameness(StrEnum):
    """How two data sets of one SOP Instance UID compare."""

    SAME_BYTES = "same bytes"
    SAME_PIXELS = "same pixels and geometry"
    DIFFERENT = "different pixels or geometry"


def compare(held: Path, arrived: Path) -> Sameness:
    """Compare two instances on disk, frame by frame, so that memory holds little of either.

    Pixel data that cannot be decoded are not known to be the same, and so are different.

    Raises
    ------
    InstanceUnreadable
        One of them is not whole.
    """
    one, other = walk(held), walk(arrived)
    same_syntax = one.transfer_syntax_uid == other.transfer_syntax_uid
    if same_syntax and data_set_digest(held, one.offset) == data_set_digest(arrived, other.offset):
        return Sameness.SAME_BYTES
    if not (_is_small(one) and _is_small(other)) or _place(held) != _place(arrived):
        return Sameness.DIFFERENT
    return Sameness.SAME_PIXELS if _same_pixels(held, arrived) else Sameness.DIFFERENT


def _is_small(walked: Walked) -> bool:
    """Whether header and one frame fit the memory; a deflated data set is inflated as a whole."""
    pixel_bytes = walked.header["pixel_bytes"]
    n_bytes = walked.n_inflated
    if isinstance(pixel_bytes, int) and not walked.is_deflated:
        n_bytes -= pixel_bytes
    return max(n_bytes, _frame_bytes(walked)) <= _MAX_BYTES


def _frame_bytes(walked: Walked) -> int:
    n_bytes = 1
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated"):
        value = walked.header.get(keyword, 0)
        n_bytes *= value if isinstance(value, int) else 0
    return n_bytes // 8


def _place(path: Path) -> list[str]:
    ds = dcmread(path, stop_before_pixels=True, specific_tags=[*_PLACE, *_FUNCTIONAL_GROUPS], force=True)
    place = [_text(ds[keyword]) if keyword in ds else "" for keyword in _PLACE]
    for keyword in _FUNCTIONAL_GROUPS:
        for groups in ds.get(keyword) or ():
            place += [text for macro in _MACROS for item in groups.get(macro, ()) for text in _texts(item)]
    return place


def _texts(item: Dataset) -> list[str]:
    return [f"{element.tag} {_text(element)}" for element in item]


def _text(element: DataElement) -> str:
    """Return a value as text that does not depend on how it was written: 1.0 and 1.00 are equal."""
    values = [element.value] if element.VM <= 1 else element.value
    return "\\".join(str(float(value)) if isinstance(value, int | float) else str(value or "") for value in values)


def _same_pixels(held: Path, arrived: Path) -> bool:
    try:
        pairs = zip(_frames(held), _frames(arrived), strict=True)
        return all(np.array_equal(one, other) for one, other in pairs)
    except Exception:  # decoders of others raise what they like on damaged pixel data
        return False


def _frames(path: Path) -> Iterator[NDArray[Any]]:
    """Yield the stored values of each frame."""
    # pydicom does not inflate what it reads frame by frame.
    yield from iter_pixels(dcmread(path) if walk(path).is_deflated else path, raw=True)
