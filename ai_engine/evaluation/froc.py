"""Free-response ROC: how many nodules are found at how many false positives per scan. Only numbers here, no images.

Setio AAA et al., Med Image Anal 2017;42:1-13 (LUNA16): sensitivity at 1/8 to 8 false positives per scan, and their
mean, the CPM (Niemeijer M et al., IEEE Trans Med Imaging 2011;30:215). Unlike LUNA16's script nothing is interpolated:
the sensitivity at a rate is that of the lowest threshold which a detector can be set to without exceeding the rate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from ai_engine.domain import FloatArray, NoduleType

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_RESAMPLES = 1000
_INTERVAL_PERCENT = (2.5, 97.5)


@dataclass(frozen=True)
class Target:
    """One nodule that was to be found.

    Attributes
    ----------
    score : float or None
        Of the best candidate that hit it; None where none did.
    """

    name: str
    nodule_type: NoduleType | None
    diameter_mm: float
    score: float | None


@dataclass(frozen=True)
class Searched:
    """What came of one scan, candidates matched.

    Attributes
    ----------
    lung : str
        Whose lung it is: scans of one lung are not independent.
    false_positives : tuple of float
        Scores of the candidates that hit nothing.
    """

    lung: str
    scan: str
    targets: tuple[Target, ...]
    false_positives: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Curve:
    """Operating points, the strictest first.

    Attributes
    ----------
    thresholds, sensitivities, rates : (n,) float64
        What scores at least the threshold is reported; share of targets found; false positives per scan.
    n_targets : int
    """

    thresholds: FloatArray
    sensitivities: FloatArray
    rates: FloatArray
    n_targets: int

    def at(self, rate: float) -> tuple[float, float]:
        """Return threshold and sensitivity at no more than so many false positives per scan."""
        within = np.nonzero(self.rates <= rate)[0]
        if not len(within):
            return float("inf"), 0.0
        return float(self.thresholds[within[-1]]), float(self.sensitivities[within[-1]])

    def point(self, threshold: float) -> tuple[float, float]:
        """Return sensitivity and false positives per scan at a threshold."""
        above = np.nonzero(self.thresholds >= threshold)[0]
        if not len(above):
            return 0.0, 0.0
        return float(self.sensitivities[above[-1]]), float(self.rates[above[-1]])

    def threshold_for(self, sensitivity: float) -> float | None:
        """Return the strictest threshold that finds so large a share; None where none does."""
        reached = np.nonzero(self.sensitivities >= sensitivity - 1e-9)[0]
        return float(self.thresholds[reached[0]]) if len(reached) else None

    @property
    def cpm(self) -> float:
        """Mean sensitivity at the seven rates."""
        return fmean(self.at(rate)[1] for rate in RATES)


def curve(searched: Sequence[Searched], counts: Callable[[Target], bool] = lambda target: True) -> Curve:
    """Compute the operating points of scans.

    Parameters
    ----------
    searched : sequence of Searched
    counts : callable
        Which targets are asked for. All false positives count in any case: they have no size and no type.
    """
    targets = [target for scan in searched for target in scan.targets if counts(target)]
    hits = np.sort([target.score for target in targets if target.score is not None])
    wrong = np.sort([score for scan in searched for score in scan.false_positives])
    thresholds = np.unique(np.concatenate([hits, wrong]))[::-1]
    found = len(hits) - np.searchsorted(hits, thresholds, side="left")
    false = len(wrong) - np.searchsorted(wrong, thresholds, side="left")
    return Curve(thresholds, found / max(len(targets), 1), false / max(len(searched), 1), len(targets))


@dataclass(frozen=True)
class Interval:
    """A figure with what bootstrap says of it (95 %); no interval where there is nothing to draw from."""

    value: float
    low: float | None
    high: float | None


def bootstrapped(
    searched: Sequence[Searched],
    figure: Callable[[Sequence[Searched]], float],
    seed: int,
) -> Interval:
    """Compute a figure and its interval; drawn with replacement are lungs with all their scans.

    A single lung is drawn scan by scan: that says nothing of other lungs.
    """
    groups: dict[str, list[Searched]] = {}
    for scan in searched:
        groups.setdefault(scan.lung, []).append(scan)
    drawable = list(groups.values()) if len(groups) > 1 else [[scan] for scan in searched]
    value = figure(searched)
    if len(drawable) < 2:
        return Interval(value, None, None)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(len(drawable), size=len(drawable))
        values.append(figure([scan for i in drawn for scan in drawable[i]]))
    low, high = np.percentile(values, _INTERVAL_PERCENT)
    return Interval(value, float(low), float(high))
