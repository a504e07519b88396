"""FROC figures against examples worked out by hand."""

from dataclasses import replace

import pytest

from ai_engine.domain import NoduleType
from ai_engine.evaluation.froc import RATES, Searched, Target, bootstrapped, curve


def target(score: float | None, diameter_mm: float = 8.0) -> Target:
    return Target("one", NoduleType.SOLID, diameter_mm, score)


# Two scans, four nodules. By hand, strictest threshold first:
#   0.9: found 0.9           1/4; false 0           0/2
#   0.8: found 0.9           1/4; false 0.8         1/2
#   0.7: found 0.9 0.7       2/4; false 0.8         1/2
#   0.5: found 0.9 0.7 0.5   3/4; false 0.8 0.5     2/2   (a tie: both are reported at 0.5)
#   0.2: found 0.9 0.7 0.5   3/4; false 0.8 0.5 0.2 3/2   (the fourth has no candidate at all)
SCANS = [
    Searched("here", "a", (target(0.9), target(None)), (0.8,)),
    Searched("there", "b", (target(0.7), target(0.5, 5.0)), (0.5, 0.2)),
]


def test_operating_points_by_hand():
    found = curve(SCANS)
    assert found.thresholds.tolist() == [0.9, 0.8, 0.7, 0.5, 0.2]
    assert found.sensitivities.tolist() == [0.25, 0.25, 0.5, 0.75, 0.75]
    assert found.rates.tolist() == [0, 0.5, 0.5, 1, 1.5]
    assert found.n_targets == 4


def test_sensitivities_at_the_seven_rates_and_their_mean():
    found = curve(SCANS)
    assert [found.at(rate)[1] for rate in RATES] == [0.25, 0.25, 0.5, 0.75, 0.75, 0.75, 0.75]
    assert found.cpm == pytest.approx((0.25 * 2 + 0.5 + 0.75 * 4) / 7)
    assert found.at(0.5) == (0.7, 0.5)
    assert found.point(0.6) == (0.5, 0.5)
    assert found.point(1.0) == (0, 0)


def test_the_threshold_that_a_sensitivity_needs():
    found = curve(SCANS)
    assert found.threshold_for(0.5) == 0.7
    assert found.threshold_for(0.75) == 0.5
    assert found.threshold_for(0.8) is None


def test_only_the_targets_asked_for_count_but_all_false_positives_do():
    found = curve(SCANS, lambda each: each.diameter_mm >= 6)
    assert found.n_targets == 3
    assert found.at(0.5) == (0.7, pytest.approx(2 / 3))
    assert found.rates[-1] == 1.5


def test_a_detector_that_is_wrong_at_once_finds_nothing_at_a_low_rate():
    found = curve([Searched("here", "a", (target(0.1),), (0.9,))])
    assert found.at(0.5) == (float("inf"), 0.0)
    assert found.at(1.0) == (0.1, 1.0)


def test_bootstrap_draws_lungs_with_all_their_scans():
    good = [Searched("good", str(n), (target(0.9),), ()) for n in range(20)]
    bad = [Searched("bad", str(n), (target(None),), ()) for n in range(20)]
    by_lung = bootstrapped(good + bad, lambda scans: curve(scans).at(1)[1], seed=1)
    assert by_lung.value == 0.5
    assert (by_lung.low, by_lung.high) == (0, 1)
    mixed = [replace(scan, lung=scan.scan) for scan in good + bad]
    alike = bootstrapped(mixed, lambda scans: curve(scans).at(1)[1], seed=1)
    assert alike.low == alike.high == 0.5, "each lung has a good and a bad scan"


def test_one_scan_has_no_interval():
    alone = bootstrapped(SCANS[:1], lambda scans: curve(scans).at(1)[1], seed=1)
    assert (alone.value, alone.low, alone.high) == (0.5, None, None)
