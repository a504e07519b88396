"""Progress of jobs and deliveries: two tables, ``(state, event) -> state``. Pure.

Trouble (attempts, back-off, last error, parked) is never a state; it is kept in columns beside them. An event that has
no row here for the present state is illegal: the store refuses it, and where it was a slice that arrived, the next
revision of the study is opened instead.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from dicom_node.errors import IllegalTransition


class JobState(StrEnum):
    """How far the work on one revision of a study has come."""

    RECEIVING = "RECEIVING"
    READY = "READY"
    ANALYSED = "ANALYSED"
    DONE = "DONE"


class JobEvent(StrEnum):
    """What moves a job."""

    INSTANCE_STORED = "instance_stored"
    SETTLED = "settled"
    ANALYSIS_SAVED = "analysis_saved"
    DELIVERIES_ENDED = "deliveries_ended"


class DeliveryState(StrEnum):
    """How far the results of one job have come on their way to one target."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    COMMITTED = "COMMITTED"
    CANCELLED = "CANCELLED"


class DeliveryEvent(StrEnum):
    """What moves a delivery."""

    SENT = "sent"
    COMMITTED = "committed"
    SUPERSEDED = "superseded"


JOB_TABLE: Mapping[tuple[JobState, JobEvent], JobState] = {
    (JobState.RECEIVING, JobEvent.INSTANCE_STORED): JobState.RECEIVING,
    (JobState.RECEIVING, JobEvent.SETTLED): JobState.READY,
    # a slice after all: what was analysed meanwhile is dropped
    (JobState.READY, JobEvent.INSTANCE_STORED): JobState.RECEIVING,
    (JobState.READY, JobEvent.ANALYSIS_SAVED): JobState.ANALYSED,
    (JobState.ANALYSED, JobEvent.DELIVERIES_ENDED): JobState.DONE,
}

DELIVERY_TABLE: Mapping[tuple[DeliveryState, DeliveryEvent], DeliveryState] = {
    (DeliveryState.PENDING, DeliveryEvent.SENT): DeliveryState.DELIVERED,
    (DeliveryState.PENDING, DeliveryEvent.SUPERSEDED): DeliveryState.CANCELLED,
    (DeliveryState.DELIVERED, DeliveryEvent.COMMITTED): DeliveryState.COMMITTED,
}

State = TypeVar("State", JobState, DeliveryState)
Event = TypeVar("Event", JobEvent, DeliveryEvent)


def next_state(table: Mapping[tuple[State, Event], State], state: State, event: Event) -> State:
    """Return the state that ``event`` leads to from ``state``.

    Raises
    ------
    IllegalTransition
        The table has no row for the pair.
    """
    try:
        return table[state, event]
    except KeyError:
        raise IllegalTransition(f"{event} is not possible in state {state}") from None


def is_legal(table: Mapping[tuple[State, Event], State], state: State, event: Event) -> bool:
    """Tell whether the table has a row for the pair."""
    return (state, event) in table


def has_ended(state: DeliveryState, commitment_wanted: bool) -> bool:
    """Tell whether a delivery has come to its end: nothing more will be done for it.

    DELIVERED is the end only where no storage commitment is configured for the target.
    """
    if state is DeliveryState.DELIVERED:
        return not commitment_wanted
    return state in (DeliveryState.COMMITTED, DeliveryState.CANCELLED)


def means_stored(status: int) -> bool:
    """Tell whether a C-STORE status says that the peer now holds the object.

    Success; the warnings of PS3.4 B.2.3 (0xB000, 0xB006, 0xB007) and PS3.7 annex C (0x0001, 0x0107, 0x0116, 0xBxxx);
    and 0x0111, duplicate SOP instance (PS3.7 C.5.6): the peer had it already.
    """
    return status in (0x0000, 0x0001, 0x0107, 0x0111, 0x0116) or (status & 0xF000) == 0xB000
