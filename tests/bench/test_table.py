"""What the benchmark makes of its measurements."""

from tests.bench.analysis import Cost, Stage
from tests.bench.reception import WHILE_ANALYSING, Reception
from tests.bench.servers import NODE, ORTHANC
from tests.bench.table import bars, lines_of_bars, lines_of_reception


def reception() -> Reception:
    """Return two rounds, the second on a machine half as fast."""
    result = Reception()
    for speed in (1.0, 0.5):
        result.rates[NODE, 1].append(260 * speed)
        result.rates[ORTHANC, 1].append(200 * speed)
        result.rates[NODE, 4].append(300 * speed)
        result.rates[ORTHANC, 4].append(300 * speed)
        result.rates[WHILE_ANALYSING, 1].append(90 * speed)
    return result


def test_a_slow_round_changes_the_rates_and_not_the_ratios() -> None:
    assert reception().rate(NODE, 1) == 195
    assert reception().ratio(NODE, ORTHANC, 1) == 1.3
    assert reception().ratio(NODE, ORTHANC, 4) == 1.0


def test_every_promise_is_reached_missed_or_not_measured() -> None:
    found = {bar.words: bar.is_met for bar in bars(reception(), {})}
    assert list(found.values()) == [True, False, False, None]


def test_messages_that_were_not_measured_promise_nothing() -> None:
    assert bars(None, {}) == []
    assert [bar.is_met for bar in bars(None, {}, 499.0)] == [False]


def test_seconds_are_for_300_slices_and_memory_is_the_highest_of_the_stages() -> None:
    cost = Cost((Stage("lungs", 10, 9, 700), Stage("candidates", 30, 29, 2100)), n_slices=150, n_findings=1)
    seconds, memory = bars(None, {"a phantom": cost})
    assert (seconds.value, seconds.is_met) == (80, False)
    assert (memory.value, memory.is_met) == (2100, False)


def test_the_tables_tell_all_that_was_measured() -> None:
    assert any("195 (1.30)" in line for line in lines_of_reception(reception()))
    assert sum("MISSED" in line for line in lines_of_bars(bars(reception(), {}))) == 2
