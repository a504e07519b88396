"""Claims, leases, heartbeats, failures: who has a job, and that every job comes to an end."""

from dataclasses import replace

import pytest

from dicom_node.domain import Outcome, Reason
from dicom_node.errors import IllegalTransition, LeaseLost
from tests.support.ledger import analysed, receive, saved, settle


@pytest.fixture
def ready(store) -> int:
    receive(store, range(1, 4))
    settle(store, 1)
    return 1


def test_a_job_is_claimed_once(store, ready):
    assert store.claim_job("a", 30).id == ready
    assert store.claim_job("b", 30) is None
    assert store.claim_job("b", 30, ready) is None


def test_a_job_in_receiving_cannot_be_claimed(store):
    receive(store, range(1, 4))
    assert store.claim_job("a", 30) is None
    assert store.claimable_jobs() == []


def test_a_job_whose_lease_ran_out_is_given_to_the_next_worker_after_a_pause(store, ready, clock):
    store.claim_job("a", 30)
    clock.advance(31)
    assert store.claim_job("b", 30) is None
    clock.advance(2)
    assert store.claim_job("b", 30).id == ready
    assert [(one.worker, one.result) for one in store.attempts(ready)] == [("a", "lease expired"), ("b", None)]


def test_a_heartbeat_keeps_the_lease_and_shows_the_stage(store, ready, clock):
    store.claim_job("a", 30)
    clock.advance(20)
    store.beat(ready, "a", 30, "lungs", 0.25)
    clock.advance(20)
    assert store.sweep() == 0
    assert (store.status(ready).stage, store.status(ready).fraction) == ("lungs", 0.25)


def test_what_a_dead_worker_held_is_given_back_at_once_when_its_death_is_known(store, ready, clock):
    store.claim_job("host-12-analyse", 30)
    assert store.abandon("host-1-") == 0
    assert store.abandon("host_12") == 0  # no wildcard
    assert store.abandon("host-12-") == 1
    clock.advance(2)
    assert store.claim_job("b", 30).id == ready


def test_a_worker_that_lost_its_lease_learns_it_from_beat_save_and_fail(store, ready, clock):
    store.claim_job("a", 30)
    clock.advance(33)
    store.sweep()
    clock.advance(2)
    store.claim_job("b", 30)
    with pytest.raises(LeaseLost):
        store.beat(ready, "a", 30, None, None)
    with pytest.raises(LeaseLost):
        store.save_analysis(ready, "a", saved(ready))
    with pytest.raises(LeaseLost):
        store.fail(ready, "a", "late", transient=True)
    store.save_analysis(ready, "b", saved(ready))
    assert len(store.results(ready)) == 2


def test_the_result_of_a_job_that_went_back_to_receiving_is_refused(store, ready):
    store.claim_job("a", 30)
    receive(store, range(4, 5))
    with pytest.raises(IllegalTransition):
        store.save_analysis(ready, "a", saved(ready))
    with pytest.raises(LeaseLost):
        store.beat(ready, "a", 30, None, None)
    assert store.results(ready) == []
    assert store.attempts(ready)[0].result == "dropped"


def test_an_analysis_is_saved_once(store, ready):
    store.claim_job("a", 30)
    store.save_analysis(ready, "a", saved(ready))
    with pytest.raises(IllegalTransition):
        store.save_analysis(ready, "a", saved(ready))


def test_what_was_saved_is_read_back(store, ready):
    store.claim_job("a", 30)
    analysis = saved(ready, targets=("near", "far"))
    store.save_analysis(ready, "a", analysis)
    assert store.saved(ready) == analysis
    assert store.results(ready) == list(analysis.results)
    assert store.job(ready).outcome is Outcome.FINDINGS


def test_a_job_with_nothing_to_deliver_is_done(store):
    job_id = analysed(store, targets=())
    assert store.job(job_id).state == "DONE"


def test_a_transient_failure_is_tried_again_later_up_to_the_number_of_attempts(store, ready, clock):
    waits = []
    for _ in range(2):
        store.claim_job("a", 30)
        store.fail(ready, "a", "out of memory", transient=True)
        assert store.claim_job("a", 30) is None
        waits.append((store.status(ready).next_attempt_at - clock.now).total_seconds())
        clock.advance(waits[-1])
    assert waits == [1, 2]
    assert store.claim_job("a", 30).reason is None


def test_after_the_last_attempt_the_job_asks_for_a_not_analysed_result(store, ready, clock):
    for _ in range(3):
        clock.advance(60)
        assert store.claim_job("a", 30).reason is None
        store.fail(ready, "a", "out of memory", transient=True)
    job = store.claim_job("a", 30)
    assert (job.outcome, job.reason, job.detail) == (Outcome.NOT_ANALYSED, Reason.FAILED, "out of memory")
    assert store.status(ready).attempts == 1


def test_a_lasting_failure_asks_for_a_not_analysed_result_at_once_and_is_parked_if_that_fails_too(store, ready):
    store.claim_job("a", 30)
    store.fail(ready, "a", "ValueError: bug", transient=False, traceback="Traceback ...")
    assert store.claim_job("a", 30).reason is Reason.FAILED
    store.fail(ready, "a", "ValueError: bug again", transient=False)
    status = store.status(ready)
    assert (status.parked, status.last_error) == (True, "ValueError: bug again")
    assert store.claim_job("a", 30) is None
    assert [(one.error, one.traceback) for one in store.attempts(ready)] == [
        ("ValueError: bug", "Traceback ..."),
        ("ValueError: bug again", None),
    ]


def test_a_job_that_kills_every_worker_comes_to_an_end(store, ready, clock):
    claims = 0
    while not store.status(ready).parked:
        clock.advance(61)
        claims += store.claim_job(f"w{claims}", 30) is not None
        assert claims < 20
        clock.advance(31)
        store.sweep()
    assert claims == 6  # three to analyse, three to build the report of the failure


def test_a_worker_that_is_told_to_stop_gives_back_without_spending_an_attempt(store, ready):
    store.claim_job("a", 30)
    store.give_back(ready, "a")
    assert store.status(ready).attempts == 0
    assert store.claim_job("b", 30).id == ready


def test_late_slices_give_the_job_all_its_attempts_again(store, ready):
    store.claim_job("a", 30)
    store.fail(ready, "a", "ValueError: bug", transient=False)
    receive(store, range(4, 5))
    settle(store, ready)
    job = store.claim_job("a", 30)
    assert (job.reason, job.outcome, job.detail) == (None, None, "")
    assert store.status(ready).attempts == 1


def test_retry_takes_up_a_parked_job(store, ready):
    store.claim_job("a", 30)
    store.fail(ready, "a", "bug", transient=False)
    store.claim_job("a", 30)
    store.fail(ready, "a", "bug", transient=False)
    assert store.retry(ready) == ["will be analysed again"]
    assert store.claim_job("a", 30).reason is None


def test_retry_of_a_job_reported_as_failed_opens_the_next_revision_once(store, ready):
    store.claim_job("a", 30)
    failed = replace(saved(ready, ()), outcome=Outcome.NOT_ANALYSED, reason=Reason.FAILED)
    store.save_analysis(ready, "a", failed)
    assert store.retry(ready) == ["opened revision 2 as job 2"]
    assert store.job(2).predecessor_id == ready
    assert len(store.instances(2)) == 3
    assert store.retry(ready) == []


def test_retry_leaves_alone_what_is_not_stuck(store, ready):
    assert store.retry(ready) == []
    job_id = analysed(store, targets=(), study="1.2.3")
    assert store.retry(job_id) == []
