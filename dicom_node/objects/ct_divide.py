"""The stacks of one series: which images belong together, and which stack is taken.

A series may hold several stacks (two reconstructions, two phases, reformats, stray images). It is first divided into
sets with the same image plane; a set that is still no regular stack is divided by whatever header value separates it
into complete stacks. The best complete one is taken and the rest is noted; nothing is guessed: where no value separates
them, or where the parts continue one another, the series is refused.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from pydicom.datadict import dictionary_description

from dicom_node.domain import Reason
from dicom_node.errors import SeriesRefused
from dicom_node.objects.ct_frames import TRAITS, Frame
from dicom_node.objects.ct_stack import MIN_SLICES, SamePixels, Stack, position_lps_mm, regular_stack

_SAME_DIRECTION = 2e-3  # difference of direction cosines, 0.1 degree
_SAME_PIXEL_SPACING = 1e-3  # relative
_STRAY_SHARE = 0.1
_MOST_STACKS = 20  # ten phases of a gated scan in two reconstructions
_NOT_REGULAR = frozenset({Reason.MIXED_GEOMETRY, Reason.GAP, Reason.UNEVEN_SPACING})
# Parts nearer than this along the body are taken for pieces of one scan whose joint is missing.
_APART_MM = 30.0


def best_stack(frames: Sequence[Frame], same_pixels: SamePixels, prefer_kernels: Sequence[str] = ()) -> Stack:
    """Return the best complete axial stack among the frames of one series.

    Parameters
    ----------
    frames : sequence of Frame
        With position, orientation and pixel spacing, in any order.
    same_pixels : callable
        Whether two frames at the same position show the same image.

    Raises
    ------
    SeriesRefused
        There is none, or it would be a guess.
    """
    planes = _by_plane(frames)
    if len(planes) == 1:
        return _of_one_plane(planes[0], same_pixels, prefer_kernels)
    outcomes = [_attempt(part, lambda part: _of_one_plane(part, same_pixels, prefer_kernels)) for part in planes]
    return _best(outcomes, prefer_kernels, "with another image plane")


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What became of one part of a series."""

    frames: Sequence[Frame]
    stack: Stack | None
    refused: SeriesRefused | None

    @property
    def span_mm(self) -> tuple[float, float]:
        heights = [position_lps_mm(frame)[2] for frame in self.frames]
        return min(heights), max(heights)


def _attempt(frames: Sequence[Frame], build: Callable[[Sequence[Frame]], Stack]) -> _Outcome:
    try:
        return _Outcome(frames, build(frames), None)
    except SeriesRefused as refused:
        return _Outcome(frames, None, refused)


def _best(outcomes: Sequence[_Outcome], prefer_kernels: Sequence[str], how: str) -> Stack:
    """Return the best complete part; raise where a larger part is refused or where parts continue one another."""
    complete = [(outcome, outcome.stack) for outcome in outcomes if outcome.stack is not None]
    if not complete:
        raise max(outcomes, key=lambda outcome: len(outcome.frames)).refused or SeriesRefused(Reason.MIXED_GEOMETRY)
    chosen, stack = min(complete, key=lambda pair: (pair[1].rank(prefer_kernels), -pair[1].length_mm))
    others = [outcome for outcome in outcomes if outcome is not chosen]
    for other in others:
        if other.refused and other.refused.reason in _NOT_REGULAR and len(other.frames) > len(chosen.frames):
            raise other.refused
        if _continues(chosen, other):
            raise SeriesRefused(Reason.MIXED_GEOMETRY, _joint(chosen, other))
    n_left = sum(len(other.frames) for other in others)
    note = f"{n_left} image{'s' * (n_left > 1)} {how} left out"
    return Stack(stack.frames, stack.affine, (*stack.notes, note))


def _continues(one: _Outcome, other: _Outcome) -> bool:
    """Whether two parts cover neighbouring pieces of the body, as one scan cut in two does."""
    if len(other.frames) < MIN_SLICES or (other.refused and other.refused.reason is Reason.NOT_AXIAL):
        return False
    (low, high), (other_low, other_high) = one.span_mm, other.span_mm
    overlap_mm = min(high, other_high) - max(low, other_low)
    return -_APART_MM < overlap_mm < 0.5 * min(high - low, other_high - other_low)


def _joint(one: _Outcome, other: _Outcome) -> str:
    lower, upper = sorted((one, other), key=lambda outcome: outcome.span_mm)
    return (
        f"two stacks of {len(lower.frames)} and {len(upper.frames)} images continue one another near table position "
        f"{upper.span_mm[0]:.1f} mm"
    )


def _of_one_plane(frames: Sequence[Frame], same_pixels: SamePixels, prefer_kernels: Sequence[str]) -> Stack:
    try:
        return regular_stack(frames, same_pixels)
    except SeriesRefused as refused:
        stack = _divided(frames, same_pixels, prefer_kernels) if refused.reason in _NOT_REGULAR else None
        if stack is None:
            raise
        return stack


def _divided(frames: Sequence[Frame], same_pixels: SamePixels, prefer_kernels: Sequence[str]) -> Stack | None:
    """Return the best stack of the first division into complete ones, or None."""
    for parts, how in _by_trait(frames):
        outcomes = [_attempt(part, lambda part: regular_stack(part, same_pixels)) for part in parts]
        if _clean(outcomes):
            with suppress(SeriesRefused):
                return _best(outcomes, prefer_kernels, how)
    return None


def _clean(outcomes: Sequence[_Outcome]) -> bool:
    """Whether a division gave complete stacks and few stray images."""
    large = [outcome for outcome in outcomes if len(outcome.frames) >= MIN_SLICES]
    n_stray = sum(len(outcome.frames) for outcome in outcomes if len(outcome.frames) < MIN_SLICES)
    n_large = sum(len(outcome.frames) for outcome in large)
    return bool(large) and all(outcome.stack for outcome in large) and n_stray <= _STRAY_SHARE * (n_large + n_stray)


def _by_trait(frames: Sequence[Frame]) -> Iterator[tuple[list[list[Frame]], str]]:
    """Divide frames by one header value after the other, by their origin in the plane, then by all values together."""
    columns = {
        dictionary_description(keyword): [frame.traits.get(keyword, "") for frame in frames] for keyword in TRAITS
    }
    origins = [tuple(np.round(position_lps_mm(frame)[:2], 1)) for frame in frames]
    few = [column for column in columns.values() if len(set(column)) <= _MOST_STACKS]
    divisions: dict[str, Sequence[object]] = {**columns, "position in the plane": origins}
    divisions["acquisition and reconstruction"] = list(zip(*few, strict=True))
    for name, labels in divisions.items():
        parts: dict[object, list[Frame]] = {}
        for frame, label in zip(frames, labels, strict=True):
            parts.setdefault(label, []).append(frame)
        if 1 < len(parts) <= _MOST_STACKS:
            yield list(parts.values()), f"with another {name}"


def _by_plane(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Divide frames into sets of equal size, orientation, pixel spacing and frame of reference, largest first."""
    planes: list[list[Frame]] = []
    for frame in frames:
        for plane in planes:
            if _same_plane(plane[0], frame):
                plane.append(frame)
                break
        else:
            planes.append([frame])
    return sorted(planes, key=len, reverse=True)


def _same_plane(one: Frame, other: Frame) -> bool:
    return (
        one.shape == other.shape
        and one.frame_of_reference_uid == other.frame_of_reference_uid
        and np.allclose(one.orientation or 0, other.orientation or 0, rtol=0, atol=_SAME_DIRECTION)
        and np.allclose(one.pixel_spacing_mm or 0, other.pixel_spacing_mm or 0, rtol=_SAME_PIXEL_SPACING, atol=0)
    )
