"""One regular stack of axial slices, by geometry alone: file order and instance numbers mean nothing.

PS3.3 C.7.6.2.1.1 defines position and orientation; what counts as regular here is ours and stands in the constants.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ai_engine.domain import FloatArray
from ai_engine.geometry import affine_from
from dicom_node.domain import Reason
from dicom_node.errors import SeriesRefused
from dicom_node.objects import ct_rank
from dicom_node.objects.ct_frames import Frame
from dicom_node.objects.ct_spacing import check_spacing

SamePixels = Callable[[Frame, Frame], bool]

MIN_SLICES = 12
MIN_LENGTH_MM = 30.0
_SAME_POSITION_MM = 0.05
_IN_PLANE_MM = 0.5  # scatter of the slices' origins across the plane; a pixel is about 0.7 mm
_SHEAR_DEG = 0.5
_AXIAL_DEG = 5.0
_CORONAL_DEG = 45.0


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


def regular_stack(frames: Sequence[Frame], same_pixels: SamePixels) -> Stack:
    """Build the stack of all frames given, which share one image plane.

    Parameters
    ----------
    frames : sequence of Frame
        With position, orientation and pixel spacing, in any order.
    same_pixels : callable
        Whether two frames at the same position show the same image.

    Raises
    ------
    SeriesRefused
        They are no regular stack of axial slices.
    """
    along_row, along_column, normal = _directions(frames[0])
    tilt_deg = _check_axial(normal, len(frames))
    heights = np.array([position_lps_mm(frame) @ normal for frame in frames])
    order = np.argsort(heights, kind="stable")
    _check_shear([frames[i] for i in order], (along_row, along_column, normal), tilt_deg)
    slices, n_dropped = _without_repeats([frames[i] for i in order], heights[order], same_pixels)
    if len(slices) < MIN_SLICES:
        raise SeriesRefused(Reason.TOO_FEW_SLICES, f"{len(slices)}, at least {MIN_SLICES} are needed")
    check_spacing(
        np.array([position_lps_mm(frame) @ normal for frame in slices]),
        np.array([position_lps_mm(frame)[2] for frame in slices]),
    )
    stack = Stack(tuple(slices), _affine(slices, along_row, along_column), _notes(slices[0], n_dropped))
    if stack.length_mm < MIN_LENGTH_MM - _SAME_POSITION_MM:
        raise SeriesRefused(Reason.TOO_SHORT, f"{stack.length_mm:.0f} mm, at least {MIN_LENGTH_MM:.0f} mm are needed")
    return stack


def _notes(frame: Frame, n_dropped: int) -> tuple[str, ...]:
    notes = []
    if n_dropped:
        notes.append(f"{n_dropped} image{'s' * (n_dropped > 1)} sent twice under different instance UIDs, used once")
    if abs(frame.gantry_tilt_deg or 0) > _SHEAR_DEG:
        stated = f"Gantry/Detector Tilt says {frame.gantry_tilt_deg:.1f} degrees"
        notes.append(f"{stated}, but the image positions form a straight stack and were used")
    return tuple(notes)


def position_lps_mm(frame: Frame) -> FloatArray:
    """Return Image Position (Patient) of a frame that has one, (3,) float64."""
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
    positions = np.array([position_lps_mm(frame) for frame in frames])
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
            detail = f"different images at table position {position_lps_mm(frame)[2]:.1f} mm{more}"
            raise SeriesRefused(Reason.MIXED_GEOMETRY, f"{detail}, and no header value tells them apart")
    return slices, len(frames) - len(slices)


def _affine(slices: Sequence[Frame], along_row: FloatArray, along_column: FloatArray) -> FloatArray:
    first, last = position_lps_mm(slices[0]), position_lps_mm(slices[-1])
    between_rows, between_columns = slices[0].pixel_spacing_mm or (0.0, 0.0)
    step_k = (last - first) / (len(slices) - 1)
    return affine_from(
        first.tolist(), step_k.tolist(), (along_column * between_rows).tolist(), (along_row * between_columns).tolist()
    )
