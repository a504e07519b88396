"""The instances of one CT series as one volume, or the reason why not.

Each slice is decoded straight into its place in the volume, so that memory holds the volume and one slice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from pydicom import Dataset

from ai_engine.domain import CtVolume, HuArray
from dicom_node.domain import InstanceRef, Reason
from dicom_node.errors import SeriesRefused
from dicom_node.objects import ct_kind, ct_pixels
from dicom_node.objects.ct_divide import best_stack
from dicom_node.objects.ct_frames import Frame, frames_of_dataset, lookup, words
from dicom_node.objects.ct_stack import Stack

# A volume in Hounsfield units holds air around or in the patient; without a stated unit it has to. Values at the lower
# end are padding or cut off, and say nothing of the unit.
_AIR_HU = (-1020, -800)
_AIR_SHARE = 0.01


@dataclass(frozen=True)
class SourceSlice:
    """Where one slice of a volume came from; ``frame_number`` counts from 1 and is None in a single-frame instance."""

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None


@dataclass(frozen=True, eq=False)
class CtSeries:
    """One stack of one CT series.

    Attributes
    ----------
    volume : CtVolume
        k runs from the feet to the head; rows and columns are those of the images as stored.
    slices : tuple of SourceSlice
        ``slices[k]`` is the source of ``volume.hu[k]``.
    datasets : tuple of Dataset
        Headers of the instances used, without pixel data, file meta kept: ``datasets[k]`` for single frames, the
        distinct instances in order of their first slice for multi-frame ones.
    notes : tuple of str
        What was left out or assumed, for the report.
    """

    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    volume: CtVolume
    slices: tuple[SourceSlice, ...]
    datasets: tuple[Dataset, ...]
    notes: tuple[str, ...] = ()


def to_volume(refs: Sequence[InstanceRef], prefer_kernels: Sequence[str] = ()) -> CtSeries:
    """Read the instances of one series into one volume.

    Parameters
    ----------
    refs : sequence of InstanceRef
        In any order, single-frame or multi-frame.
    prefer_kernels : sequence of str
        Which stack to take where the series holds several; see ``ct_rank``.

    Raises
    ------
    SeriesRefused
        With a coded reason; no other error comes from what the files hold.
    """
    distinct = {(ref.sop_instance_uid, ref.digest or str(ref.path)): ref for ref in refs}
    headers = {ref.path: ct_pixels.read_header(ref) for ref in distinct.values()}
    frames = [frame for _, ref in sorted(distinct.items()) for frame in frames_of_dataset(ref, headers[ref.path])]
    usable, left_out = ct_kind.screen(frames)
    stack = best_stack(usable, _same_pixels, prefer_kernels)
    hu = _decode(stack, [headers[frame.ref.path] for frame in stack.frames])
    unit = _check_unit(stack.frames[0], hu)
    used = {frame.ref.path: headers[frame.ref.path] for frame in stack.frames}
    first = stack.frames[0]
    return CtSeries(
        study_instance_uid=first.ref.study_instance_uid,
        series_instance_uid=first.ref.series_instance_uid,
        frame_of_reference_uid=first.frame_of_reference_uid,
        volume=CtVolume(hu, stack.affine, _contrast(next(iter(used.values())))),
        slices=tuple(SourceSlice(f.ref.sop_class_uid, f.ref.sop_instance_uid, f.number) for f in stack.frames),
        datasets=tuple(used.values()),
        notes=(*left_out, *stack.notes, *unit),
    )


def _same_pixels(one: Frame, other: Frame) -> bool:
    if (one.rescale_slope, one.rescale_intercept) != (other.rescale_slope, other.rescale_intercept):
        return False
    first, second = (next(ct_pixels.stored_frames(frame.ref, [frame.number])) for frame in (one, other))
    return np.array_equal(first, second)


def _decode(stack: Stack, headers: Sequence[Dataset]) -> HuArray:
    """Decode all slices of a stack into one (k, r, c) int16 array of HU."""
    rows, columns = stack.frames[0].shape
    try:
        hu = np.empty((len(stack.frames), rows, columns), dtype=np.int16)
    except MemoryError as error:
        size = f"{len(stack.frames)} x {rows} x {columns}"
        raise SeriesRefused(Reason.FAILED, f"not enough memory for {size} voxels") from error
    by_instance = sorted(range(len(stack.frames)), key=lambda k: str(stack.frames[k].ref.path))
    for _, ks in groupby(by_instance, key=lambda k: stack.frames[k].ref.path):
        _decode_instance(stack, list(ks), headers, hu)
    return hu


def _decode_instance(stack: Stack, ks: Sequence[int], headers: Sequence[Dataset], hu: HuArray) -> None:
    numbers = [stack.frames[k].number for k in ks]
    for k, stored in zip(ks, ct_pixels.stored_frames(stack.frames[ks[0]].ref, numbers), strict=True):
        if stored.shape != hu.shape[1:]:
            raise SeriesRefused(Reason.UNDECODABLE, f"{stored.shape} pixels where the header says {hu.shape[1:]}")
        ct_pixels.to_hounsfield(stored, stack.frames[k], headers[k], hu[k])


def _check_unit(frame: Frame, hu: HuArray) -> tuple[str, ...]:
    """Where the header leaves the unit open, let the air in the images decide."""
    if frame.rescale_type != ct_kind.UNSPECIFIED_TYPE:
        return ()
    if sum(_count_air(one) for one in hu) < _AIR_SHARE * hu.size:
        raise SeriesRefused(Reason.NOT_HOUNSFIELD, "Rescale Type is US (unspecified) and the images hold no air")
    return ("Rescale Type is US (unspecified); taken for Hounsfield units because the images hold air",)


def _count_air(one: HuArray) -> int:
    return int(np.count_nonzero((one >= _AIR_HU[0]) & (one <= _AIR_HU[1])))


def _contrast(header: Dataset) -> bool | None:
    """Whether contrast medium was given (PS3.3 C.7.6.4 and C.7.6.4b); None where the header does not say."""
    value = lookup(header)
    if value("ContrastBolusAgentSequence"):
        return True
    agent = words(value("ContrastBolusAgent"))
    if not agent or not agent[0]:
        return None
    return agent[0] not in ("NO", "NONE", "N", "NO CONTRAST")
