"""How large and how dense a nodule is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A straight line across a nodule on one axial slice, ends as voxel indices ``(k, r, c)``."""

    start_krc: tuple[float, float, float]
    end_krc: tuple[float, float, float]
    length_mm: float


@dataclass(frozen=True)
class Measurements:
    """Sizes and attenuation of one segment.

    Diameters follow Lung-RADS v2022: on the axial slice of the largest area, long axis and the longest perpendicular
    short axis, each rounded to 0.1 mm; their mean is rounded to 0.1 mm.
    """

    key_slice_k: int
    long_axis: Axis
    short_axis: Axis
    mean_diameter_mm: float
    maximum_3d_diameter_mm: float
    volume_mm3: float
    mean_hu: float
    sd_hu: float
    minimum_hu: float
    maximum_hu: float
    solid_mean_diameter_mm: float | None = None
    solid_volume_mm3: float | None = None
