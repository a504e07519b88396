"""Which series of a study to analyse, judged from header values; multi-frame instances are asked for theirs on disk.

One series per frame of reference is analysed: the best by ``ct_rank``; the pipeline goes on to the next where the best
holds no lungs. Every other series gets a verdict with a coded reason, for the report.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dicom_node.domain import InstanceRef, Reason, SeriesVerdict
from dicom_node.errors import SeriesRefused
from dicom_node.objects.ct_divide import best_stack
from dicom_node.objects.ct_frames import Frame, frames_of_dataset, frames_of_header, is_multi_frame, number
from dicom_node.objects.ct_kind import screen
from dicom_node.objects.ct_pixels import read_header
from dicom_node.objects.ct_stack import Stack
from dicom_node.settings import CT_STORAGE


@dataclass(frozen=True, eq=False)
class RankedSeries:
    """A series that can be analysed, as far as its headers tell.

    Attributes
    ----------
    refs : tuple of InstanceRef
        All its instances.
    spacing_mm, length_mm : float
        Of its best stack.
    """

    series_instance_uid: str
    frame_of_reference_uid: str
    refs: tuple[InstanceRef, ...]
    spacing_mm: float
    length_mm: float
    n_slices: int

    def verdict(self, reason: Reason | None = None, detail: str = "") -> SeriesVerdict:
        """Return what became of the series; without a reason it was analysed."""
        return verdict(self.refs, reason, detail)


@dataclass(frozen=True)
class Choice:
    """What can be analysed of a study.

    Attributes
    ----------
    ranked : tuple of tuple of RankedSeries
        One tuple for each frame of reference, best series first; the frames of reference in the order of their best.
    refused : tuple of SeriesVerdict
        All other series, with their reason, in the order of series numbers.
    """

    ranked: tuple[tuple[RankedSeries, ...], ...]
    refused: tuple[SeriesVerdict, ...]

    @property
    def localizers_only(self) -> bool:
        """Whether the study's only CT images are localizers: nobody expects a report on those."""
        reasons = {refused.reason for refused in self.refused}
        return not self.ranked and Reason.LOCALIZER in reasons and reasons <= {Reason.LOCALIZER, Reason.NOT_CT}


def choose(refs: Sequence[InstanceRef], prefer_kernels: Sequence[str] = ()) -> Choice:
    """Rank the series of one study.

    Parameters
    ----------
    refs : sequence of InstanceRef
        All instances of the study, in any order.
    prefer_kernels : sequence of str
        Convolution kernels to prefer, best first.
    """
    by_series: dict[str, list[InstanceRef]] = {}
    for ref in sorted(refs, key=lambda ref: ref.sop_instance_uid):
        by_series.setdefault(ref.series_instance_uid, []).append(ref)
    ranked: list[tuple[RankedSeries, Stack]] = []
    refused: list[SeriesVerdict] = []
    for series in by_series.values():
        try:
            ranked.append(_outline(series, prefer_kernels))
        except SeriesRefused as error:
            refused.append(verdict(series, error.reason, error.detail))
    ranked.sort(
        key=lambda pair: (pair[1].rank(prefer_kernels), _number_of(pair[0].refs) or 0, pair[0].series_instance_uid)
    )
    by_frame_of_reference: dict[str, list[RankedSeries]] = {}
    for one, _ in ranked:
        by_frame_of_reference.setdefault(one.frame_of_reference_uid, []).append(one)
    return Choice(
        ranked=tuple(tuple(group) for group in by_frame_of_reference.values()),
        refused=tuple(sorted(refused, key=lambda v: (v.series_number or 0, v.series_instance_uid))),
    )


def verdict(refs: Sequence[InstanceRef], reason: Reason | None = None, detail: str = "") -> SeriesVerdict:
    """Return the verdict on one series, with what the header of its first instance says of it."""
    header = refs[0].header
    return SeriesVerdict(
        series_instance_uid=refs[0].series_instance_uid,
        series_number=_number_of(refs),
        description=str(header.get("SeriesDescription") or ""),
        modality=str(header.get("Modality") or ""),
        n_instances=len(refs),
        reason=reason,
        detail=detail,
    )


def _outline(refs: Sequence[InstanceRef], prefer_kernels: Sequence[str]) -> tuple[RankedSeries, Stack]:
    """Find the stack that the headers promise; images at one position are taken for the same until they are decoded."""
    frames = [frame for ref in refs for frame in _frames(ref)]
    usable, _ = screen(frames)
    stack = best_stack(usable, lambda one, other: True, prefer_kernels)
    outline = RankedSeries(
        series_instance_uid=refs[0].series_instance_uid,
        frame_of_reference_uid=stack.frames[0].frame_of_reference_uid,
        refs=tuple(refs),
        spacing_mm=stack.spacing_mm,
        length_mm=stack.length_mm,
        n_slices=len(stack.frames),
    )
    return outline, stack


def _frames(ref: InstanceRef) -> list[Frame]:
    if ref.sop_class_uid in CT_STORAGE and (is_multi_frame(ref) or not ref.header):
        return frames_of_dataset(ref, read_header(ref))
    return frames_of_header(ref)


def _number_of(refs: Sequence[InstanceRef]) -> int | None:
    found = number(refs[0].header.get("SeriesNumber"))
    return None if found is None else int(found)
