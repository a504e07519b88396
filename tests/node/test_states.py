"""The two tables against a second, hand-written copy: every pair of state and event, also those that must not be."""

from itertools import product

import pytest

from dicom_node.errors import IllegalTransition
from dicom_node.jobs import states
from dicom_node.jobs.states import DELIVERY_TABLE, JOB_TABLE, DeliveryEvent, DeliveryState, JobEvent, JobState

# columns: instance_stored settled analysis_saved deliveries_ended; "-" is illegal
JOBS = """
RECEIVING   RECEIVING   READY   -           -
READY       RECEIVING   -       ANALYSED    -
ANALYSED    -           -       -           DONE
DONE        -           -       -           -
"""
# columns: sent committed superseded
DELIVERIES = """
PENDING     DELIVERED   -           CANCELLED
DELIVERED   -           COMMITTED   -
COMMITTED   -           -           -
CANCELLED   -           -           -
"""
JOB_COLUMNS = ("instance_stored", "settled", "analysis_saved", "deliveries_ended")
DELIVERY_COLUMNS = ("sent", "committed", "superseded")


def by_hand(text: str, columns: tuple[str, ...]) -> dict[tuple[str, str], str]:
    rows = [line.split() for line in text.strip().splitlines()]
    return {(row[0], event): to for row in rows for event, to in zip(columns, row[1:], strict=True)}


CASES = [
    (table, state(pair[0]), event(pair[1]), to)
    for table, copy, state, event in (
        (JOB_TABLE, by_hand(JOBS, JOB_COLUMNS), JobState, JobEvent),
        (DELIVERY_TABLE, by_hand(DELIVERIES, DELIVERY_COLUMNS), DeliveryState, DeliveryEvent),
    )
    for pair, to in copy.items()
]


@pytest.mark.parametrize(("table", "state", "event", "to"), CASES, ids=lambda value: str(value)[:20])
def test_every_pair_is_as_the_hand_written_copy_says(table, state, event, to):
    if to == "-":
        with pytest.raises(IllegalTransition):
            states.next_state(table, state, event)
    else:
        assert states.next_state(table, state, event) == to


def test_the_hand_written_copy_is_complete():
    pairs = {(state, event) for _, state, event, _ in CASES}
    assert pairs == {*product(JobState, JobEvent), *product(DeliveryState, DeliveryEvent)}


@pytest.mark.parametrize(("table", "start", "all_states"), [
    (JOB_TABLE, JobState.RECEIVING, JobState),
    (DELIVERY_TABLE, DeliveryState.PENDING, DeliveryState),
])  # fmt: skip
def test_every_state_is_reachable(table, start, all_states):
    reached = {start}
    for _ in all_states:
        reached |= {to for (state, _), to in table.items() if state in reached}
    assert reached == set(all_states)


def test_done_is_the_end_of_a_job():
    assert not [event for state, event in JOB_TABLE if state is JobState.DONE]


@pytest.mark.parametrize(("state", "without_commitment", "with_commitment"), [
    (DeliveryState.PENDING, False, False),
    (DeliveryState.DELIVERED, True, False),
    (DeliveryState.COMMITTED, True, True),
    (DeliveryState.CANCELLED, True, True),
])  # fmt: skip
def test_a_delivery_ends_where_it_is_delivered_or_committed_if_that_is_wanted(
    state, without_commitment, with_commitment
):
    assert states.has_ended(state, False) is without_commitment
    assert states.has_ended(state, True) is with_commitment


# PS3.4 table B.2-1, PS3.7 annex C
@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0x0111, 0x0107, 0x0116])
def test_success_warnings_and_duplicates_mean_that_the_peer_holds_the_object(status):
    assert states.means_stored(status)


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC000, 0xC1FF, 0x0110, 0x0122, 0x0124, 0x0210, 0xFE00])
def test_failures_do_not_mean_that_the_peer_holds_the_object(status):
    assert not states.means_stored(status)
