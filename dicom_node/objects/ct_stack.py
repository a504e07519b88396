"""From frames to one regular stack of axial slices, by geometry alone: file order and instance numbers mean nothing.

A series may hold several stacks (two reconstructions, two phases, reformats, stray images). It is first divided into
sets with the same image plane; a set that is still no regular stack is divided by whatever header value separates it
into complete stacks. The best complete one is taken and the rest is noted; nothing is guessed: where no value separates
them, or where the parts continue one another, the series is refused.

PS3.3 C.7.6.2.1.1 defines position and orientation; what counts as regular here is ours and stands in the constants.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ai_engine.domain import FloatArray
from ai_engine.geometry import affine_from
from dicom_node.domain import Reason
from dicom_node.errors import SeriesRefused
from dicom_node.objects import ct_rank
from dicom_node.objects.ct_frames import TRAITS, Frame
from dicom_node.objects.ct_spacing import check_spacing

SamePixels = Callable[[Frame, Frame], bool]

MIN_SLICES = 12
MIN_LENGTH_MM = 30.0
_SAME_POSITION_MM = 0.05
_SAME_DIRECTION = 2e-3  # difference of direction cosines, 0.1 degree
_SAME_PIXEL_SPACING = 1e-3  # relative
_IN_PLANE_MM = 0.5  # scatter of the slices' origins across the plane; a pixel is about 0.7 mm
_SHEAR_DEG = 0.5
_AXIAL_DEG = 5.0
_CORONAL_DEG = 45.0
_STRAY_SHARE = 0.1
# Parts nearer than this along the body are taken for pieces of one scan whose joint is missing.
_APART_MM = 30.0


@dataclass(frozen=True, eq=False)
class Stack:
    """A regular stack of axial slices.

    Attributes
    ----------
    frames : tuple of Frame
        From the feet to the head; ``frames[k]`` lies at ``affine @ (k, 0, 0, 1)``.
    affine : (4, 4) float64
        Maps ``(k, r, c, 1)`` to LPS mm; the origin and step of k are those of the first and last slice.
    notes : tuple of str
        What was left out of the series, for the report.
    """

    frames: tuple[Frame, ...]
    affine: FloatArray
    notes: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> float:
        """Distance between slice centres."""
        return float(np.linalg.norm(self.affine[:3, 0]))

    @property
    def length_mm(self) -> float:
        """Length along the stacking direction, slices included."""
        return self.spacing_mm * len(self.frames)

    @property
    def slice_mm(self) -> float:
        """The coarser of spacing and slice thickness."""
        return max(self.spacing_mm, self.frames[0].slice_thickness_mm or 0.0)

    def rank(self, prefer_kernels: Sequence[str] = ()) -> tuple[bool, float, int, int]:
        """Return the sort key of ``ct_rank``, best first."""
        kernel = self.frames[0].convolution_kernel
        return ct_rank.key(self.length_mm, self.slice_mm, kernel, len(self.frames), prefer_kernels)


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
        heights = [_position(frame)[2] for frame in self.frames]
        return min(heights), max(heights)


def _attempt(frames: Sequence[Frame], build: Callable[[Sequence[Frame]], Stack]) -> _Outcome:
    try:
        return _Outcome(frames, build(frames), None)
    except SeriesRefused as refused:
        return _Outcome(frames, None, refused)


def _best(outcomes: Sequence[_Outcome], prefer_kernels: Sequence[str], how: str) -> Stack:
    """Return the best complete part; raise where a larger part is refused or where parts continue one another."""
    complete = [(outcome, outcome.stack) for outcome in outcomes if outcome.stack is not None]
    largest = max(outcomes, key=lambda outcome: len(outcome.frames))
    if not complete:
        raise largest.refused or SeriesRefused(Reason.MIXED_GEOMETRY)
    chosen, stack = min(complete, key=lambda pair: (pair[1].rank(prefer_kernels), -pair[1].length_mm))
    others = [outcome for outcome in outcomes if outcome is not chosen]
    for other in others:
        if other.refused and other.refused.reason is not Reason.NOT_AXIAL and len(other.frames) > len(chosen.frames):
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
        return _regular(frames, same_pixels)
    except SeriesRefused as refused:
        if refused.reason not in (Reason.MIXED_GEOMETRY, Reason.GAP, Reason.UNEVEN_SPACING):
            raise
        for parts, how in _by_trait(frames):
            outcomes = [_attempt(part, lambda part: _regular(part, same_pixels)) for part in parts]
            if _clean(outcomes):
                return _best(outcomes, prefer_kernels, how)
        raise


def _clean(outcomes: Sequence[_Outcome]) -> bool:
    """Whether a division gave complete stacks and few stray images."""
    large = [outcome for outcome in outcomes if len(outcome.frames) >= MIN_SLICES]
    n_stray = sum(len(outcome.frames) for outcome in outcomes if len(outcome.frames) < MIN_SLICES)
    n_large = sum(len(outcome.frames) for outcome in large)
    return bool(large) and all(outcome.stack for outcome in large) and n_stray <= _STRAY_SHARE * (n_large + n_stray)


def _by_trait(frames: Sequence[Frame]) -> Iterator[tuple[list[list[Frame]], str]]:
    """Divide frames by one header value after the other, by their origin in the plane, then by all values together."""
    rows = [tuple(frame.traits.get(keyword, "") for keyword in TRAITS) for frame in frames]
    origins = [tuple(np.round(_position(frame)[:2], 1)) for frame in frames]
    divisions: list[tuple[Sequence[object], str]] = [
        ([row[i] for row in rows], keyword) for i, keyword in enumerate(TRAITS)
    ]
    divisions.append((origins, "position in the plane"))
    divisions.append((rows, "acquisition and reconstruction"))
    for labels, name in divisions:
        parts: dict[object, list[Frame]] = {}
        for frame, label in zip(frames, labels, strict=True):
            parts.setdefault(label, []).append(frame)
        if 1 < len(parts) <= len(frames) / 2:
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


def _regular(frames: Sequence[Frame], same_pixels: SamePixels) -> Stack:
    """Build the stack of all frames of one plane, or say why they are none."""
    along_row, along_column, normal = _directions(frames[0])
    tilt_deg = _check_axial(normal, len(frames))
    heights = np.array([_position(frame) @ normal for frame in frames])
    order = np.argsort(heights, kind="stable")
    _check_shear([frames[i] for i in order], (along_row, along_column, normal), tilt_deg)
    slices, n_dropped = _without_repeats([frames[i] for i in order], heights[order], same_pixels)
    if len(slices) < MIN_SLICES:
        raise SeriesRefused(Reason.TOO_FEW_SLICES, f"{len(slices)}, at least {MIN_SLICES} are needed")
    check_spacing(
        np.array([_position(frame) @ normal for frame in slices]), np.array([_position(frame)[2] for frame in slices])
    )
    stack = Stack(tuple(slices), _affine(slices, along_row, along_column), _notes(n_dropped))
    if stack.length_mm < MIN_LENGTH_MM - _SAME_POSITION_MM:
        raise SeriesRefused(Reason.TOO_SHORT, f"{stack.length_mm:.0f} mm, at least {MIN_LENGTH_MM:.0f} mm are needed")
    return stack


def _notes(n_dropped: int) -> tuple[str, ...]:
    if not n_dropped:
        return ()
    return (f"{n_dropped} image{'s' * (n_dropped > 1)} sent twice under different instance UIDs, used once",)


def _position(frame: Frame) -> FloatArray:
    return np.array(frame.position_lps_mm, dtype=np.float64)


def _directions(frame: Frame) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the directions of increasing column and row index and of the slices' order, the last towards the head."""
    cosines = np.array(frame.orientation, dtype=np.float64)
    along_row, along_column = cosines[:3], cosines[3:]
    lengths = np.array([np.linalg.norm(along_row), np.linalg.norm(along_column)])
    if np.any(np.abs(lengths - 1) > 0.01) or abs(along_row @ along_column) > 0.01:
        raise SeriesRefused(
            Reason.NO_GEOMETRY, "Image Orientation (Patient) is not a pair of perpendicular unit vectors"
        )
    spacing = frame.pixel_spacing_mm or (0, 0)
    if min(spacing) <= 0:
        raise SeriesRefused(Reason.NO_GEOMETRY, f"Pixel Spacing is {spacing[0]:g} x {spacing[1]:g} mm")
    normal = np.cross(along_row, along_column)
    normal /= np.linalg.norm(normal)
    return along_row, along_column, normal if normal[2] >= 0 else -normal


def _check_axial(normal: FloatArray, n_frames: int) -> float:
    """Return the angle of the slices to the axial plane in degrees; raise where they are coronal or sagittal."""
    angle_deg = float(np.degrees(np.arccos(np.clip(normal[2], -1, 1))))
    if angle_deg > _CORONAL_DEG:
        name = "sagittal" if abs(normal[0]) > abs(normal[1]) else "coronal"
        raise SeriesRefused(Reason.NOT_AXIAL, f"{n_frames} {name} image{'s' * (n_frames > 1)}")
    return angle_deg


def _check_shear(
    frames: Sequence[Frame], directions: tuple[FloatArray, FloatArray, FloatArray], tilt_deg: float
) -> None:
    """Compare the direction of stacking with the slices' normal; they differ where the gantry was tilted."""
    positions = np.array([_position(frame) for frame in frames])
    along = positions @ directions[2]
    across = positions @ np.stack(directions[:2], axis=1)
    if np.ptp(along) > _SAME_POSITION_MM:
        centred = along - along.mean()
        slope = centred @ across / (centred @ centred)
        shear_deg = float(np.degrees(np.arctan(np.linalg.norm(slope))))
        scatter_mm = float(np.abs(across - across.mean(axis=0) - np.outer(centred, slope)).max())
        if shear_deg > _SHEAR_DEG and scatter_mm <= _IN_PLANE_MM:
            raise SeriesRefused(Reason.TILT, f"by {max(shear_deg, tilt_deg):.1f} degrees")
    if np.ptp(across, axis=0).max() > _IN_PLANE_MM + np.ptp(along) * np.tan(np.radians(_SHEAR_DEG)):
        raise SeriesRefused(Reason.MIXED_GEOMETRY, f"their origins differ by {np.ptp(across, axis=0).max():.1f} mm")
    if tilt_deg > _AXIAL_DEG:
        reason = Reason.TILT if abs(frames[0].gantry_tilt_deg or 0) > _SHEAR_DEG else Reason.NOT_AXIAL
        raise SeriesRefused(reason, f"the slices are {tilt_deg:.1f} degrees from axial")


def _without_repeats(frames: Sequence[Frame], heights: FloatArray, same_pixels: SamePixels) -> tuple[list[Frame], int]:
    """Drop repeats of the same image; raise where different images lie at one position."""
    slices: list[Frame] = [frames[0]]
    last_mm = heights[0]
    for frame, height_mm in zip(frames[1:], heights[1:], strict=True):
        if height_mm - last_mm > _SAME_POSITION_MM:
            slices.append(frame)
            last_mm = height_mm
        elif not same_pixels(slices[-1], frame):
            n_repeats = int((np.diff(heights) <= _SAME_POSITION_MM).sum())
            more = f" and at {n_repeats - 1} more" if n_repeats > 1 else ""
            detail = f"different images at table position {_position(frame)[2]:.1f} mm{more}"
            raise SeriesRefused(Reason.MIXED_GEOMETRY, f"{detail}, and no header value tells them apart")
    return slices, len(frames) - len(slices)


def _affine(slices: Sequence[Frame], along_row: FloatArray, along_column: FloatArray) -> FloatArray:
    first, last = _position(slices[0]), _position(slices[-1])
    between_rows, between_columns = slices[0].pixel_spacing_mm or (0.0, 0.0)
    step_k = (last - first) / (len(slices) - 1)
    return affine_from(
        first.tolist(), step_k.tolist(), (along_column * between_rows).tolist(), (along_row * between_columns).tolist()
    )
