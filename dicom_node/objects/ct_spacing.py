"""Whether slice positions are evenly spaced, and in words where they are not."""

import numpy as np

from ai_engine.domain import FloatArray
from dicom_node.domain import Reason
from dicom_node.errors import SeriesRefused

MAX_SPACING_MM = 8.0
# Scanners round positions to 0.1 mm, so that 0.625 mm reads as 0.6 and 0.7.
_ROUNDING_MM = 0.11
_UNEVEN = 0.1  # of the usual spacing
_OFF_GRID = 0.3  # of the usual spacing: a drift that no single step shows
_MISSING = 1.5  # times the usual spacing
# More wide steps than this share are not slices that went missing but a scan planned with several spacings.
_MISSING_SHARE = 0.2


def check_spacing(heights_mm: FloatArray, table_mm: FloatArray) -> None:
    """Raise ``SeriesRefused`` unless the slices form a regular grid of at most 8 mm.

    Parameters
    ----------
    heights_mm : (n,) float64
        Positions along the slices' normal, ascending and distinct, n of at least 2.
    table_mm : (n,) float64
        The same slices' z in LPS mm, for the words.
    """
    steps_mm = np.diff(heights_mm)
    usual_mm = float(np.median(steps_mm))
    wide = np.flatnonzero(steps_mm > _MISSING * usual_mm)
    if usual_mm > MAX_SPACING_MM + 0.05:
        raise SeriesRefused(Reason.SPACING_TOO_WIDE, f"{usual_mm:.1f} mm, at most {MAX_SPACING_MM:.0f} mm are analysed")
    if 0 < len(wide) <= _MISSING_SHARE * len(steps_mm):
        raise SeriesRefused(Reason.GAP, _gap(steps_mm, table_mm, wide, usual_mm))
    tolerance_mm = max(_UNEVEN * usual_mm, _ROUNDING_MM)
    worst = int(np.argmax(np.abs(steps_mm - usual_mm)))
    if abs(steps_mm[worst] - usual_mm) > tolerance_mm:
        detail = f"{steps_mm.min():.1f} to {steps_mm.max():.1f} mm, usually {usual_mm:.1f} mm"
        raise SeriesRefused(Reason.UNEVEN_SPACING, f"{detail}; worst after table position {table_mm[worst]:.1f} mm")
    grid_mm = np.linspace(heights_mm[0], heights_mm[-1], len(heights_mm))
    drift_mm = float(np.abs(heights_mm - grid_mm).max())
    if drift_mm > max(_OFF_GRID * usual_mm, _ROUNDING_MM):
        raise SeriesRefused(Reason.UNEVEN_SPACING, f"slices lie up to {drift_mm:.1f} mm off an even grid")


def _gap(steps_mm: FloatArray, table_mm: FloatArray, wide: np.ndarray, usual_mm: float) -> str:
    first = int(wide[0])
    n_missing = round(float(steps_mm[first]) / usual_mm) - 1
    what = "slice missing" if n_missing == 1 else f"{n_missing} slices missing"
    more = f" ({len(wide)} gaps in all)" if len(wide) > 1 else ""
    where = f"{what} after table position {table_mm[first]:.1f} mm"
    return f"{where}: gap of {steps_mm[first]:.1f} mm where {usual_mm:.1f} mm is usual{more}"
