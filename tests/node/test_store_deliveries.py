"""Deliveries: each for itself, back-off, parking, and only what is not stored yet is sent again."""

from dataclasses import replace

import pytest

from dicom_node.errors import IllegalTransition, LeaseLost, NoSuchJob
from tests.support.ledger import analysed, receive, saved, settle


@pytest.fixture
def job_id(store) -> int:
    return analysed(store, targets=("near", "far"))


def test_a_job_is_done_when_all_its_deliveries_are_at_their_end(store, job_id):
    store.finish_delivery(store.claim_delivery("d", 30, "near").id, "d")
    assert store.job(job_id).state == "ANALYSED"
    store.finish_delivery(store.claim_delivery("d", 30, "far").id, "d")
    assert store.job(job_id).state == "DONE"


def test_a_target_that_wants_commitment_ends_the_job_only_when_committed(store):
    receive(store, range(1, 4))
    settle(store, 1)
    store.claim_job("w", 30)
    store.save_analysis(1, "w", replace(saved(1, ("pacs",)), commitment_targets=("pacs",)))
    delivery = store.claim_delivery("d", 30)
    store.finish_delivery(delivery.id, "d")
    assert (store.job(1).state, store.deliveries(1)[0].state) == ("ANALYSED", "DELIVERED")
    store.confirm_commitment(delivery.id)
    assert (store.job(1).state, store.deliveries(1)[0].state) == ("DONE", "COMMITTED")


def test_a_delivery_is_claimed_once(store, job_id):
    assert store.claim_delivery("d", 30, "near")
    assert store.claim_delivery("e", 30, "near") is None
    assert store.claim_delivery("e", 30, "far")


def test_a_target_in_trouble_holds_up_no_other(store, job_id, clock):
    near = store.claim_delivery("d", 30, "near")
    store.park_target(near.id, "d", "rejected: calling AE title not recognised")
    assert store.claim_delivery("d", 30, "far").target == "far"


def test_a_delayed_delivery_waits_and_so_do_the_others_of_its_target(store, job_id, clock):
    other = analysed(store, targets=("near",), study="1.2.3")
    near = store.claim_delivery("d", 30, "near")
    store.delay_delivery(near.id, "d", "no answer", clock.now.replace(minute=1))
    assert store.claim_delivery("d", 30, "near") is None
    assert store.targets_in_trouble()[0].last_error == "no answer"
    clock.advance(60)
    # the one that has not failed yet comes first: an object that a target chokes on must not block the rest
    first = store.claim_delivery("d", 30, "near")
    assert first.job_id == other
    store.finish_delivery(first.id, "d")
    assert store.claim_delivery("d", 30, "near").job_id == job_id


def test_a_target_is_sent_one_delivery_at_a_time_so_that_a_mute_one_binds_one_worker(store, job_id, clock):
    analysed(store, targets=("near",), study="1.2.3")
    mute = store.claim_delivery("d", 30, "near")
    assert store.claimable_deliveries() == [store.deliveries(job_id)[1].id]
    assert store.claim_delivery("e", 30).target == "far"
    assert store.claim_delivery("f", 30) is None
    clock.advance(31)  # its worker is dead
    assert store.claim_delivery("f", 30).id != mute.id


def test_failures_of_a_target_are_counted_until_it_takes_something(store, job_id, clock):
    for n in (1, 2, 3):
        delivery = store.claim_delivery("d", 30, "near")
        store.delay_delivery(delivery.id, "d", "no answer", clock())
        assert store.target_failures("near") == n
    store.finish_delivery(store.claim_delivery("d", 30, "near").id, "d")
    assert store.target_failures("near") == 0


def test_a_parked_target_resumes_by_itself_once_unparked(store, job_id):
    near = store.claim_delivery("d", 30, "near")
    store.park_target(near.id, "d", "rejected")
    assert store.parked_targets() == ["near"]
    assert store.claim_delivery("d", 30, "near") is None
    assert store.deliveries(job_id)[0].state == "PENDING"
    assert not store.deliveries(job_id)[0].parked
    store.unpark("near")
    assert store.parked_targets() == []
    assert store.claim_delivery("d", 30, "near").id == near.id


def test_a_refused_delivery_waits_for_retry_while_its_target_goes_on(store, job_id):
    other = analysed(store, targets=("near",), study="1.2.3")
    near = store.claim_delivery("d", 30, delivery_id=store.deliveries(job_id)[0].id)
    store.park_delivery(near.id, "d", "0xA900: data set does not match SOP class", "Traceback ...")
    goes_on = store.claim_delivery("d", 30, "near")
    assert goes_on.job_id == other
    store.finish_delivery(goes_on.id, "d")
    store.unpark("near")
    assert store.claim_delivery("d", 30, "near") is None
    assert store.counts().parked == {"near": 1}
    assert store.retry(job_id) == ["will be sent again to near"]
    assert store.claim_delivery("d", 30, "near").id == near.id
    attempt = store.attempts(job_id)[1]
    assert (attempt.target, attempt.result, attempt.traceback) == ("near", "failed", "Traceback ...")


def test_a_retry_sends_only_what_is_not_stored(store, job_id):
    near = store.claim_delivery("d", 30, "near")
    seg, sr = (one.result for one in store.objects(near.id))
    store.note_sent(near.id, seg.sop_instance_uid, 0xB000)
    store.note_sent(near.id, sr.sop_instance_uid, 0xA900)
    assert [(one.result, one.status, one.stored) for one in store.objects(near.id)] == [
        (seg, 0xB000, True),
        (sr, 0xA900, False),
    ]
    store.note_sent(near.id, sr.sop_instance_uid, 0x0000)
    assert all(one.stored for one in store.objects(near.id))
    far = store.claim_delivery("d", 30, "far")
    assert [one.status for one in store.objects(far.id)] == [None, None]


def test_a_delivery_whose_worker_died_is_sent_again_with_what_was_noted(store, job_id, clock):
    near = store.claim_delivery("d", 30, "near")
    first = store.objects(near.id)[0].result
    store.note_sent(near.id, first.sop_instance_uid, 0)
    clock.advance(31)
    store.sweep()
    clock.advance(2)
    again = store.claim_delivery("e", 30, "near")
    assert (again.id, again.attempts) == (near.id, 2)
    assert [one.stored for one in store.objects(again.id)] == [True, False]


def test_a_heartbeat_keeps_a_delivery(store, job_id, clock):
    near = store.claim_delivery("d", 30, "near")
    clock.advance(20)
    store.beat_delivery(near.id, "d", 30)
    clock.advance(20)
    assert store.sweep() == 0
    store.finish_delivery(near.id, "d")


def test_a_worker_that_lost_a_delivery_learns_it(store, job_id, clock):
    near = store.claim_delivery("d", 30, "near")
    clock.advance(31)
    store.sweep()
    clock.advance(2)
    store.claim_delivery("e", 30, "near")
    with pytest.raises(LeaseLost):
        store.beat_delivery(near.id, "d", 30)
    with pytest.raises(LeaseLost):
        store.finish_delivery(near.id, "d")
    store.finish_delivery(near.id, "e")
    with pytest.raises(IllegalTransition):
        store.finish_delivery(near.id, "e")


def test_a_delivery_given_back_costs_no_attempt(store, job_id):
    near = store.claim_delivery("d", 30, "near")
    store.give_back_delivery(near.id, "d")
    assert store.claim_delivery("d", 30, "near").attempts == 1


def test_the_counts_show_what_waits_for_whom(store, job_id):
    counts = store.counts()
    assert counts.pending == {"near": 1, "far": 1}
    assert counts.jobs == {"ANALYSED": 1}
    assert (counts.parked_jobs, counts.bytes_held) == (0, 3 * 525_000)


def test_retry_of_a_job_that_does_not_exist_says_so(store):
    with pytest.raises(NoSuchJob, match="no job 77"):
        store.retry(77)
