"""One unit of work: claimed, run beside a heartbeat, recorded, whatever comes of it."""

import logging
import threading
from random import Random

import pytest

from dicom_node.domain import Outcome, Reason, RemoteAE
from dicom_node.errors import (
    AssociationRejected,
    LeaseLost,
    LedgerError,
    NodeError,
    PeerTimeout,
    ResultInvalid,
    SpoolError,
    StoreRefused,
)
from dicom_node.jobs.backoff import CAP_S, backoff_s
from dicom_node.jobs.store import Saved
from dicom_node.jobs.worker import Heartbeat, Steps, Worker
from tests.support.ledger import analysed, receive, saved, settle

PACS = RemoteAE("PACS", "192.0.2.1", 104)


class Stopped(BaseException):
    """What SIGTERM turns into."""


def worker(store, analyse=None, deliver=None, name="w") -> Worker:
    def nothing(*_):
        raise AssertionError("not to be called")

    return Worker(store, Steps(analyse or nothing, deliver or nothing), name, 30, Random(1))


def raising(error: BaseException):
    def step(*_):
        raise error

    return step


@pytest.fixture
def ready(store) -> int:
    receive(store, range(1, 4))
    settle(store, 1)
    return 1


def test_a_job_is_analysed_and_delivered(store, ready):
    sent = []
    one = worker(store, lambda job, progress: saved(job.id), lambda delivery: sent.append(delivery.target))
    assert one.run_once() == ready
    assert one.deliver_once() == store.deliveries(ready)[0].id
    assert sent == ["pacs"]
    assert store.job(ready).state == "DONE"
    assert one.run_once() is None
    assert one.deliver_once() is None


def test_a_task_for_a_job_that_somebody_has_does_nothing(store, ready):
    store.claim_job("other", 30)
    assert worker(store).run_once(ready) is None


def test_an_error_that_is_not_transient_asks_for_a_not_analysed_result(store, ready):
    seen = []

    def analyse(job, progress):
        seen.append(job.reason)
        if job.reason is not Reason.FAILED:
            raise ResultInvalid("SEG: 3 frames reference no source image")
        return Saved(Outcome.NOT_ANALYSED, Reason.FAILED, job.detail)

    one = worker(store, analyse)
    one.run_once()
    one.run_once()
    assert seen == [None, Reason.FAILED]
    assert store.job(ready).detail == "SEG: 3 frames reference no source image"
    assert store.job(ready).state == "DONE"


@pytest.mark.parametrize("error", [MemoryError(), LedgerError("database is locked")])
def test_a_transient_error_is_tried_again(store, ready, clock, error):
    worker(store, raising(error)).run_once()
    clock.advance(61)
    assert worker(store, lambda job, progress: saved(job.id)).run_once() == ready
    assert store.job(ready).state == "ANALYSED"


def test_a_full_disk_is_waited_for_however_long_it_takes(store, ready, clock):
    for _ in range(20):
        assert worker(store, raising(SpoolError("No space left on device"))).run_once() == ready
        clock.advance(61)
    assert worker(store, lambda job, progress: saved(job.id)).run_once() == ready
    assert (store.job(ready).state, store.job(ready).outcome) == ("ANALYSED", Outcome.FINDINGS)


def test_only_a_mistake_is_logged_with_its_traceback(store, ready, caplog):
    with caplog.at_level(logging.WARNING):
        worker(store, raising(ResultInvalid("SEG: a frame too many"))).run_once()
        assert not any(record.exc_info for record in caplog.records)
        worker(store, raising(KeyError("PatientName"))).run_once()
        assert caplog.records[-1].exc_info


def test_a_bare_exception_is_kept_with_its_traceback_and_not_tried_for_ever(store, ready, caplog):
    with caplog.at_level(logging.WARNING):
        worker(store, raising(KeyError("PatientName"))).run_once()
    attempt = store.attempts(ready)[0]
    assert attempt.error == "KeyError: 'PatientName'"
    assert "Traceback" in attempt.traceback
    worker(store, raising(KeyError("again"))).run_once()
    assert store.status(ready).parked


def test_a_result_that_became_void_is_dropped(store, ready):
    def analyse(job, progress):
        receive(store, range(4, 5))
        return saved(job.id)

    assert worker(store, analyse).run_once() == ready
    assert store.job(ready).state == "RECEIVING"
    assert store.results(ready) == []


def test_a_failure_after_the_lease_was_lost_is_dropped_too(store, ready):
    def analyse(job, progress):
        receive(store, range(4, 5))
        raise ValueError("the files changed under me")

    worker(store, analyse).run_once()
    assert store.job(ready).state == "RECEIVING"
    assert store.status(ready).last_error is None


def test_a_ledger_that_is_away_when_the_result_is_there_leaves_the_job_to_the_next_attempt(
    store, ready, clock, monkeypatch
):
    def away(*_, **__):
        raise LedgerError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(store, "save_analysis", away)
        patch.setattr(store, "fail", away)
        assert worker(store, lambda job, progress: saved(job.id)).run_once() == ready
    clock.advance(31)
    store.sweep()
    clock.advance(2)
    assert worker(store, lambda job, progress: saved(job.id)).run_once() == ready
    assert [attempt.result for attempt in store.attempts(ready)] == ["lease expired", "saved"]


def test_a_worker_told_to_stop_gives_its_work_back(store, ready):
    with pytest.raises(Stopped):
        worker(store, raising(Stopped())).run_once()
    assert store.claimable_jobs() == [ready]
    assert store.status(ready).attempts == 0
    job_id = analysed(store, study="1.2.3")
    with pytest.raises(Stopped):
        worker(store, deliver=raising(Stopped())).deliver_once()
    assert store.claimable_deliveries() == [store.deliveries(job_id)[0].id]


def test_a_target_that_does_not_answer_is_tried_again_after_longer_and_longer_pauses(store, clock):
    analysed(store)
    one, waits = worker(store, deliver=raising(PeerTimeout(PACS, "no answer in 30 s"))), []
    for _ in range(12):
        assert one.deliver_once() is not None
        assert one.deliver_once() is None
        due = max(store.targets_in_trouble()[0].next_attempt_at, store.deliveries(1)[0].next_attempt_at)
        waits.append((due - clock.now).total_seconds())
        clock.advance(waits[-1])
    assert all(2**n / 2 <= wait <= 2**n for n, wait in enumerate(waits[:6]))
    assert all(CAP_S / 2 <= wait <= CAP_S for wait in waits[7:])


def test_a_permanent_rejection_parks_the_target_and_everything_resumes_when_it_answers(store):
    job_id = analysed(store)
    worker(
        store, deliver=raising(AssociationRejected(PACS, "calling AE title not recognised", permanent=True))
    ).deliver_once()
    assert store.parked_targets() == ["pacs"]
    assert worker(store).deliver_once() is None
    store.unpark("pacs")
    worker(store, deliver=lambda delivery: None).deliver_once()
    assert store.job(job_id).state == "DONE"


def test_a_transient_rejection_is_no_reason_to_park(store):
    analysed(store)
    worker(store, deliver=raising(AssociationRejected(PACS, "local limit exceeded"))).deliver_once()
    assert store.parked_targets() == []


@pytest.mark.parametrize(("status", "parked"), [(0xA700, False), (0xA701, False), (0xA900, True), (0xC000, True)])
def test_only_objects_that_were_refused_wait_for_retry(store, status, parked):
    job_id = analysed(store)
    worker(store, deliver=raising(StoreRefused(PACS, status))).deliver_once()
    assert store.deliveries(job_id)[0].parked is parked
    assert store.parked_targets() == []


def test_a_mistake_of_ours_parks_the_delivery_with_its_traceback(store):
    job_id = analysed(store)
    worker(store, deliver=raising(AttributeError("no such thing"))).deliver_once()
    assert store.deliveries(job_id)[0].parked
    assert "Traceback" in store.attempts(job_id)[-1].traceback


def test_one_target_that_fails_does_not_keep_the_other_waiting(store):
    job_id = analysed(store, targets=("near", "far"))

    def deliver(delivery):
        if delivery.target == "near":
            raise PeerTimeout(PACS, "mute")

    one = worker(store, deliver=deliver)
    assert one.deliver_once() is not None
    assert one.deliver_once() is not None
    assert [delivery.state for delivery in store.deliveries(job_id)] == ["PENDING", "DELIVERED"]


# --- the heartbeat ---------------------------------------------------------------------------------------------


def test_the_heart_beats_while_the_step_runs_and_tells_its_stage():
    beats, enough = [], threading.Event()

    def beat(stage, fraction):
        beats.append((stage, fraction))
        if len(beats) > 2:
            enough.set()

    with Heartbeat(beat, 0.001) as heartbeat:
        heartbeat.progress("lungs", 0.5)
        assert enough.wait(30)
    assert beats[-1] == ("lungs", 0.5)
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_a_step_learns_at_its_next_progress_that_its_lease_is_lost():
    asked = threading.Event()

    def beat(stage, fraction):
        asked.set()
        raise LeaseLost("somebody else has it")

    with Heartbeat(beat, 0.001) as heartbeat:
        assert asked.wait(30)
        assert heartbeat._lost.wait(30)
        with pytest.raises(LeaseLost):
            heartbeat.progress("lungs", 0.5)


def test_a_ledger_that_is_away_for_a_moment_does_not_stop_the_heart(caplog):
    again = threading.Event()
    answers = iter([LedgerError("locked"), LedgerError("locked"), None])

    def beat(stage, fraction):
        answer = next(answers, None)
        if answer is None:
            again.set()
        else:
            raise answer

    with Heartbeat(beat, 0.001) as heartbeat:
        assert again.wait(30)
        heartbeat.progress("lungs", 0.5)
    assert "locked" in caplog.text


@pytest.mark.parametrize("failures", range(1, 40))
def test_the_pause_grows_to_a_minute_and_its_jitter_never_exceeds_it(failures):
    assert backoff_s(failures) == min(60, 2 ** (failures - 1))
    assert backoff_s(failures) / 2 <= backoff_s(failures, Random(failures)) <= backoff_s(failures)


def test_no_error_that_parks_is_called_transient():
    # AssociationRejected is transient as a class: whether it parks is said by the peer, not by its type
    assert not NodeError.transient
    assert AssociationRejected(PACS, "x").transient
    assert not AssociationRejected(PACS, "x").permanent
