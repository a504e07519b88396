"""The one place where voxel indices ``(k, r, c)`` meet the patient's space (LPS, mm)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ai_engine.domain import BoxPrompt, CtVolume, FloatArray, PointPrompt, Prompt, Segment
from ai_engine.errors import VolumeError


def krc_to_lps_mm(affine: FloatArray, points_krc: ArrayLike) -> FloatArray:
    """Map voxel indices to the patient's space.

    Parameters
    ----------
    affine : (4, 4) float64
        As in ``CtVolume``.
    points_krc : (..., 3)
        Voxel indices; integers are voxel centres.

    Returns
    -------
    (..., 3) float64
        LPS mm.
    """
    points = np.asarray(points_krc, dtype=np.float64)
    return points @ affine[:3, :3].T + affine[:3, 3]


def lps_mm_to_krc(affine: FloatArray, points_lps_mm: ArrayLike) -> FloatArray:
    """Map points in the patient's space (..., 3), LPS mm, to fractional voxel indices (..., 3)."""
    points = np.asarray(points_lps_mm, dtype=np.float64) - affine[:3, 3]
    return points @ np.linalg.inv(affine[:3, :3]).T


def affine_from(
    origin_lps_mm: Sequence[float], step_k_mm: Sequence[float], step_r_mm: Sequence[float], step_c_mm: Sequence[float]
) -> FloatArray:
    """Build an affine from the centre of voxel (0, 0, 0) and the step in LPS mm to the next voxel along k, r and c."""
    affine = np.eye(4)
    affine[:3, :3] = np.stack([step_k_mm, step_r_mm, step_c_mm], axis=1)
    affine[:3, 3] = origin_lps_mm
    return affine


@dataclass(frozen=True)
class Turn:
    """How a volume's grid is turned so that k runs to the head, r to the back and c to the left of the patient.

    The stages work on turned arrays and need not care how the scanner or the sender wrote the slices.

    Attributes
    ----------
    axes : tuple of int
        ``axes[i]`` is the source axis that becomes axis i.
    reversed : tuple of bool
        Whether turned axis i runs against its source axis.
    shape : tuple of int
        Shape of the turned array.
    """

    axes: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]
    shape: tuple[int, int, int]

    @property
    def index_affine(self) -> FloatArray:
        """(4, 4) float64: maps turned voxel indices to source voxel indices."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1.0
        for turned, source in enumerate(self.axes):
            matrix[source, turned] = -1.0 if self.reversed[turned] else 1.0
            matrix[source, 3] = self.shape[turned] - 1 if self.reversed[turned] else 0
        return matrix

    def array(self, source: NDArray[Any]) -> NDArray[Any]:
        """Turn a source array; a view, not a copy."""
        steps = tuple(slice(None, None, -1 if flag else None) for flag in self.reversed)
        return source.transpose(self.axes)[steps]

    def volume(self, source: CtVolume) -> CtVolume:
        """Turn a volume; its values are a view of the source's."""
        return CtVolume(self.array(source.hu), source.affine @ self.index_affine, source.contrast)

    def segment_to_source(self, segment: Segment) -> Segment:
        """Carry a segment of the turned grid back to the source grid."""
        corners = np.array([segment.origin_krc, np.add(segment.origin_krc, segment.mask.shape) - 1])
        origin = self.points_to_source(corners).min(axis=0)
        steps = tuple(slice(None, None, -1 if flag else None) for flag in self.reversed)
        mask = segment.mask[steps].transpose(np.argsort(self.axes))
        k, r, c = (round(float(value)) for value in origin)
        return replace(segment, mask=np.ascontiguousarray(mask), origin_krc=(k, r, c))

    def points_to_source(self, points_krc: ArrayLike) -> FloatArray:
        """Map turned voxel indices (..., 3) to source voxel indices (..., 3)."""
        return krc_to_lps_mm(self.index_affine, points_krc)

    def prompt_to_turned(self, prompt: Prompt) -> Prompt:
        """Carry a prompt on the source grid to the turned grid."""
        if isinstance(prompt, PointPrompt):
            k, r, c = (round(float(i)) for i in self._points_to_turned((prompt.k, prompt.r, prompt.c)))
            return PointPrompt(k, r, c)
        corners = self._points_to_turned([(prompt.k, *prompt.low_rc), (prompt.k, *prompt.high_rc)])
        (k, r0, c0), (_, r1, c1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return BoxPrompt(round(k), (r0, c0), (r1, c1))

    def _points_to_turned(self, points_krc: ArrayLike) -> FloatArray:
        return lps_mm_to_krc(self.index_affine, points_krc)


def turn_of(volume: CtVolume) -> Turn:
    """Find the turn that brings an axial volume of any orientation into the engine's.

    Raises
    ------
    VolumeError
        The slices are not axial: k lies nearer to another axis of the patient than to the body axis.
    """
    # columns: direction of k, r, c in LPS; wanted along turned k, r, c: +S, +P, +L, which are LPS axes 2, 1, 0
    directions = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    wanted = directions[[2, 1, 0]]
    axes = tuple(int(axis) for axis in np.argmax(np.abs(wanted), axis=1))
    if axes not in ((0, 1, 2), (0, 2, 1)):
        raise VolumeError(
            f"the slices are not axial: direction of the slice axis in LPS is {directions[:, 0].round(2)}"
        )
    backwards = tuple(bool(wanted[turned, source] < 0) for turned, source in enumerate(axes))
    k, r, c = axes
    shape = volume.hu.shape
    return Turn((k, r, c), (backwards[0], backwards[1], backwards[2]), (shape[k], shape[r], shape[c]))
