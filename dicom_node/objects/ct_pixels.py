"""From pixel data in any transfer syntax to Hounsfield units, one slice at a time.

The decoders that pydicom calls hold Python's global lock, so a second thread would gain nothing here (measured: 5.8 ms
a JPEG-LS slice with one thread, 7.3 with two).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options, iter_pixels
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ai_engine.domain import HuArray
from dicom_node.domain import InstanceRef, Reason
from dicom_node.errors import SeriesRefused
from dicom_node.objects.ct_frames import Frame, lookup, number
from dicom_node.objects.readable import keep_readable

AIR_HU = -1024
# A padding value within this range is also a tissue's: replacing it would dig holes into the patient.
_TISSUE_HU = (-1024.0, 3071.0)
# Where several decoders can: for JPEG-LS the fastest (5.8 ms against 7.8 for one slice of 512 x 512); for RLE the
# slower (2.9 ms against 0.6), because pylibjpeg-rle panics on damaged data, and its panic is no Exception.
_PLUGINS: Mapping[UID, str] = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls", JPEGLSNearLossless: "pyjpegls"}

Stored = NDArray[Any]


def read_header(ref: InstanceRef) -> Dataset:
    """Read an instance without its pixel data and without values that cannot be read.

    A bare data set gets the transfer syntax found at reception; the UIDs are those that reception knows it by.

    Raises
    ------
    SeriesRefused
        The file cannot be read.
    """
    header = _read(ref, stop_before_pixels=True)
    keep_readable(header)
    header.StudyInstanceUID = ref.study_instance_uid
    header.SeriesInstanceUID = ref.series_instance_uid
    header.SOPInstanceUID = ref.sop_instance_uid
    header.SOPClassUID = ref.sop_class_uid
    return header


def stored_frames(ref: InstanceRef, numbers: Sequence[int | None]) -> Iterator[Stored]:
    """Decode frames of one instance, in the order given, holding one at a time.

    Parameters
    ----------
    numbers : sequence of int or None
        Frame numbers from 1; None in a single-frame instance.

    Yields
    ------
    (r, c) integer array
        Stored pixel values, sign and Bits Stored applied.

    Raises
    ------
    SeriesRefused
        Without pixel data, or they cannot be decoded.
    """
    try:
        yield from _decoded(ref, [(frame_number or 1) - 1 for frame_number in numbers])
    except SeriesRefused:
        raise
    except Exception as error:  # each decoder raises what it likes on damaged input; all mean the same
        raise SeriesRefused(
            Reason.UNDECODABLE, f"instance ...{ref.sop_instance_uid[-8:]}: {_first_line(error)}"
        ) from error


def to_hounsfield(stored: Stored, frame: Frame, header: Dataset, out: HuArray) -> None:
    """Apply the rescale and write one slice.

    Parameters
    ----------
    stored : (r, c) integer
        As from ``stored_frames``.
    out : (r, c) int16
        Receives HU: rounded, padding and everything below -1024 as air.
    """
    slope, intercept = frame.rescale_slope or 1.0, frame.rescale_intercept or 0.0
    hu = stored.astype(np.float32)
    hu *= slope
    hu += intercept
    for low, high in _padding(header, stored):
        if not _TISSUE_HU[0] <= low * slope + intercept <= _TISSUE_HU[1]:
            hu[(stored >= low) & (stored <= high)] = AIR_HU
    np.rint(hu, out=hu)
    np.clip(hu, AIR_HU, np.iinfo(np.int16).max, out=out, casting="unsafe")


def _read(ref: InstanceRef, *, stop_before_pixels: bool) -> Dataset:
    try:
        dataset = dcmread(ref.path, force=True, stop_before_pixels=stop_before_pixels)
    except Exception as error:  # pydicom raises what it runs into
        raise SeriesRefused(Reason.UNDECODABLE, f"a file cannot be read: {_first_line(error)}") from error
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = UID(ref.transfer_syntax_uid)
    return dataset


def _decoded(ref: InstanceRef, indices: Sequence[int]) -> Iterator[Stored]:
    transfer_syntax_uid = UID(ref.transfer_syntax_uid)
    plugin = _PLUGINS.get(transfer_syntax_uid, "")
    if len(indices) > 1 and transfer_syntax_uid != DeflatedExplicitVRLittleEndian and _has_meta(ref):
        # from the file, so that the pixel data of a multi-frame instance are never in memory as a whole
        yield from iter_pixels(ref.path, indices=list(indices), decoding_plugin=plugin)
        return
    dataset = _read(ref, stop_before_pixels=False)
    if not dataset.get("PixelData"):
        raise SeriesRefused(Reason.NO_PIXELS, f"instance ...{ref.sop_instance_uid[-8:]}")
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    options = as_pixel_options(dataset)
    for index in indices:
        yield decoder.as_array(dataset, index=index, decoding_plugin=plugin, **options)[0]


def _has_meta(ref: InstanceRef) -> bool:
    with ref.path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _padding(header: Dataset, stored: Stored) -> Iterator[tuple[int, int]]:
    """Yield the range of stored values that mark pixels outside the field of view (PS3.3 C.7.5.1.1.2), if any."""
    value = lookup(header)
    first = _as_stored(value("PixelPaddingValue"), stored)
    limit = _as_stored(value("PixelPaddingRangeLimit"), stored)
    if first is not None:
        last = first if limit is None else limit
        yield min(first, last), max(first, last)


def _as_stored(value: object, stored: Stored) -> int | None:
    """Return a padding value in the sign of the pixels: many writers give -2000 the VR US, and it reads 63536."""
    plain = number(value)
    if plain is None:
        return None
    bits = 8 * stored.dtype.itemsize
    wrapped = int(plain) % (1 << bits)
    return wrapped - (1 << bits) if stored.dtype.kind == "i" and wrapped >= 1 << (bits - 1) else wrapped


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(":")
