"""Can planted tissue be told from real soft tissue by its noise? A classifier tries, in lungs that it has not seen."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from ai_engine.composites.background import Background
from ai_engine.composites.domain import Composite
from ai_engine.composites.noise import soft_tissue
from ai_engine.domain import FloatArray, NoduleType
from ai_engine.grid import Float32Array

# A patch: two slices of a small square, all of it tissue and away from the blurred edge.
SLICES, SIDE = 2, 7
EDGE_MM = 4.0
# Calcium and the like is not what soft tissue is compared with.
MOST_HU = 150.0
PER_COMPOSITE, PER_LUNG = 3, 200
# Each statistic is held against that of so many further real patches of the same series: noise differs much more
# between scanners than planted from real tissue, and must not hide the difference from the classifier.
REFERENCE = 200
# Real patches come from other blocks than those that the renderers take their noise from.
OTHER_BLOCKS_SEED = 1

FEATURES = ("strength", "strength of second differences", "lag 1", "lag 2", "across slices", "colour", "tails")


@dataclass(frozen=True)
class NoiseAuc:
    """How well planted and real soft tissue are told apart; 0.5 is not at all.

    Attributes
    ----------
    auc : float
        Of a classifier on all statistics, mean over lungs that it was not fitted in.
    control : float
        The same where both kinds are real: how far from 0.5 chance alone leads with so few patches.
    single : dict
        The same for each statistic alone, whichever way it points, within each lung.
    lungs : dict
        Patches of each kind, by lung.
    """

    auc: float
    control: float
    single: Mapping[str, float]
    lungs: Mapping[str, int]


def noise_auc(composites: Iterable[Composite], backgrounds: Iterable[Background], seed: int = 1) -> NoiseAuc:
    """Measure it on solid planted nodules and on soft tissue of the same series.

    Raises
    ------
    ValueError
        Fewer than two lungs hold large enough nodules.
    """
    rng = np.random.default_rng(seed)
    planted: dict[str, list[FloatArray]] = {}
    for composite in composites:
        if composite.nodule_type is NoduleType.SOLID:
            planted.setdefault(composite.lung, []).extend(_statistics(p) for p in _planted(composite, rng))
    rows, others, truth, lungs = [], [], [], []
    for background in backgrounds:
        mine = planted.get(background.name, [])[:PER_LUNG]
        if not mine:
            continue
        real = np.array([_statistics(patch) for patch in _real(background, REFERENCE + 2 * len(mine), rng)])
        usual, spread = real[:REFERENCE].mean(axis=0), real[:REFERENCE].std(axis=0)
        scaled = [(row - usual) / spread for row in (*mine, *real[REFERENCE:])]
        rows += scaled[: 2 * len(mine)]
        others += [*scaled[2 * len(mine) :], *scaled[len(mine) : 2 * len(mine)]]
        truth += [1] * len(mine) + [0] * len(mine)
        lungs += [background.name] * 2 * len(mine)
    features, is_planted, lung = np.array(rows), np.array(truth), np.array(lungs)
    if len(set(lungs)) < 2:
        raise ValueError("planted nodules in two lungs are needed, large enough to hold a patch")
    names, counts = np.unique(lung, return_counts=True)
    return NoiseAuc(
        auc=_classified(features, is_planted, lung),
        control=_classified(np.array(others), is_planted, lung),
        single={name: _alone(features[:, i], is_planted, lung) for i, name in enumerate(FEATURES)},
        lungs={str(name): int(count) // 2 for name, count in zip(names, counts, strict=True)},
    )


def _planted(composite: Composite, rng: np.random.Generator) -> Iterator[Float32Array]:
    """Draw some patches all inside the target."""
    depth = ndimage.distance_transform_edt(composite.labels == 1, sampling=composite.spacing_krc_mm)
    deep = depth > EDGE_MM
    at = np.argwhere(_full(deep))
    for k, r, c in rng.permutation(at)[:PER_COMPOSITE]:
        patch = composite.hu[k : k + SLICES, r : r + SIDE, c : c + SIDE].astype(np.float32)
        if patch.mean() < MOST_HU:
            yield patch


def _full(deep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """First corners of the boxes of the size of a patch that are all ``deep``."""
    size = (SLICES, SIDE, SIDE)
    least = ndimage.minimum_filter(deep, size, mode="constant", cval=0)
    return np.asarray(least[tuple(slice(n // 2, m - (n - 1 - n // 2)) for n, m in zip(size, deep.shape, strict=True))])


def _real(background: Background, n: int, rng: np.random.Generator) -> Iterator[Float32Array]:
    """Draw patches of soft tissue outside the lungs."""
    blocks = soft_tissue(background.volume, background.lungs, OTHER_BLOCKS_SEED).blocks
    for _ in range(n):
        block = blocks[rng.integers(len(blocks))]
        k, r, c = (int(rng.integers(m - s + 1)) for m, s in zip(block.shape, (SLICES, SIDE, SIDE), strict=True))
        yield block[k : k + SLICES, r : r + SIDE, c : c + SIDE]


def _statistics(patch: Float32Array) -> FloatArray:
    """Statistics of the high-pass part of a patch (k, r, c), in the order of ``FEATURES``."""
    fine = patch - ndimage.uniform_filter(patch, (0, 3, 3))
    fine = fine[:, 1:-1, 1:-1]
    second = np.diff(patch, 2, axis=2)
    first = np.diff(patch, axis=2)
    level = _without_slope(patch)
    return np.array(
        [
            np.log(fine.std() + 1),
            np.log(second.std() + 1),
            _alike(level[:, :, 1:], level[:, :, :-1]) + _alike(level[:, 1:], level[:, :-1]),
            _alike(level[:, :, 2:], level[:, :, :-2]) + _alike(level[:, 2:], level[:, :-2]),
            _alike(fine[1:], fine[:-1]),
            second.std() / (first.std() + 1e-3),
            float(stats.kurtosis(fine, axis=None)),
        ]
    )


def _without_slope(patch: Float32Array) -> Float32Array:
    """Take the best plane out of each slice: a slope across a whole patch is anatomy or an edge, not noise."""
    r, c = (axis.ravel() - axis.mean() for axis in np.indices(patch.shape[1:], dtype=np.float32))
    planes = np.stack([np.ones_like(r), r, c], axis=1)
    flat = patch.reshape(len(patch), -1)
    return (flat - (flat @ np.linalg.pinv(planes).T) @ planes.T).reshape(patch.shape).astype(np.float32)


def _alike(one: Float32Array, other: Float32Array) -> float:
    """Correlation."""
    return float((one * other).mean() / (one.std() * other.std() + 1e-3))


def _classified(features: FloatArray, truth: NDArray[np.int_], lungs: NDArray[np.str_]) -> float:
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - slow to import

    patients = np.array([lung.split("/")[0] for lung in lungs])
    aucs = []
    for patient in np.unique(patients):
        test = patients == patient
        model = RandomForestClassifier(100, min_samples_leaf=5, random_state=0).fit(features[~test], truth[~test])
        score = model.predict_proba(features[test])[:, 1]
        aucs += [_auc(score[lungs[test] == lung], truth[test][lungs[test] == lung]) for lung in np.unique(lungs[test])]
    return float(np.mean(aucs))


def _alone(values: FloatArray, truth: NDArray[np.int_], lungs: NDArray[np.str_]) -> float:
    """AUC of one statistic within each lung; the direction is the same in all."""
    mean = float(np.mean([_auc(values[lungs == lung], truth[lungs == lung]) for lung in np.unique(lungs)]))
    return max(mean, 1 - mean)


def _auc(score: FloatArray, truth: NDArray[np.int_]) -> float:
    """Area under the ROC curve, from ranks."""
    ranks = stats.rankdata(score)
    n = int(truth.sum())
    return float((ranks[truth == 1].sum() - n * (n + 1) / 2) / (n * (len(truth) - n)))
