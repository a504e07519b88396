"""Retention: what may go goes, in time; nothing that may still be needed does."""

from pathlib import Path

import pytest

from dicom_node.jobs import housekeeping
from dicom_node.jobs.settle import decide, incomplete_series
from dicom_node.settings import RetentionSettings, SettleSettings
from tests.support.ledger import CALLED, STUDY, analysed, deliver, instance, receive, settle

WEEK = RetentionSettings(keep_received_days=7, keep_results_days=30)
DAY_S = 86_400


class Disk:
    """Remembers what was removed; may be told to fail."""

    def __init__(self) -> None:
        self.received: list[Path] = []
        self.results: list[int] = []
        self.fails = False

    def remove_received(self, path: Path) -> None:
        if self.fails:
            raise PermissionError(13, "Permission denied")
        self.received.append(path)

    def remove_results(self, job_id: int) -> None:
        self.results.append(job_id)


@pytest.fixture
def disk() -> Disk:
    return Disk()


def done(store, study: str = STUDY) -> int:
    job_id = analysed(store, study=study)
    deliver(store, job_id)
    assert store.job(job_id).state == "DONE"
    return job_id


def test_received_files_go_after_their_days_and_results_after_theirs(store, disk, clock):
    job_id = done(store)
    clock.advance(7 * DAY_S)
    assert housekeeping.run(store, disk, WEEK).received == 0
    clock.advance(1)
    assert housekeeping.run(store, disk, WEEK) == housekeeping.Removed(3, 0)
    assert disk.received == [instance(n).path for n in (1, 2, 3)]
    assert store.instances(job_id) == []
    clock.advance(23 * DAY_S)
    assert housekeeping.run(store, disk, WEEK) == housekeeping.Removed(0, 2)
    assert disk.results == [job_id]
    assert housekeeping.run(store, disk, WEEK) == housekeeping.Removed(0, 0)
    assert store.status(job_id).n_instances == 3  # the rows stay


@pytest.mark.parametrize("trouble", ["pending", "delayed", "parked", "target parked"])
def test_nothing_goes_while_a_delivery_is_not_at_its_end(store, disk, clock, trouble):
    job_id = analysed(store, targets=("pacs", "other"))
    store.finish_delivery(store.claim_delivery("d", 30, "other").id, "d")
    delivery = store.claim_delivery("d", 30, "pacs")
    if trouble == "pending":
        store.give_back_delivery(delivery.id, "d")
    elif trouble == "delayed":
        store.delay_delivery(delivery.id, "d", "no answer", clock())
    elif trouble == "parked":
        store.park_delivery(delivery.id, "d", "0xA900")
    else:
        store.park_target(delivery.id, "d", "rejected")
    clock.advance(365 * DAY_S)
    assert housekeeping.run(store, disk, WEEK) == housekeeping.Removed(0, 0)
    store.retry(job_id)
    store.finish_delivery(store.claim_delivery("d", 30, "pacs").id, "d")
    clock.advance(365 * DAY_S)
    assert housekeeping.run(store, disk, WEEK) == housekeeping.Removed(3, 2)


def test_nothing_goes_while_a_later_revision_is_not_done(store, disk, clock):
    done(store)
    clock.advance(6 * DAY_S)
    receive(store, range(4, 5))
    clock.advance(365 * DAY_S)
    assert housekeeping.run(store, disk, WEEK) == housekeeping.Removed(0, 0)
    settle(store, 2)
    assert housekeeping.run(store, disk, WEEK) == housekeeping.Removed(0, 0)


def test_nothing_goes_of_a_parked_job(store, disk, clock):
    receive(store, range(1, 4))
    settle(store, 1)
    for _ in range(2):
        store.claim_job("w", 30)
        store.fail(1, "w", "bug", transient=False)
    assert store.status(1).parked
    clock.advance(365 * DAY_S)
    assert housekeeping.run(store, disk, WEEK) == housekeeping.Removed(0, 0)


def test_another_studys_files_are_left_alone(store, disk, clock):
    done(store, study="1.2.3")
    analysed(store, study="1.2.4")
    clock.advance(8 * DAY_S)
    assert housekeeping.run(store, disk, WEEK).received == 3
    assert {path.parent.name for path in disk.received} == {"1.2.3"}


def test_a_crash_between_mark_and_removal_leaves_files_that_the_next_run_removes(store, disk, clock):
    done(store)
    clock.advance(8 * DAY_S)
    assert len(store.removable_received(clock.now)) == 3  # marked; then the node dies
    assert housekeeping.run(store, disk, WEEK).received == 3


def test_a_file_that_cannot_be_removed_is_tried_again(store, disk, clock):
    done(store)
    clock.advance(8 * DAY_S)
    disk.fails = True
    assert housekeeping.run(store, disk, WEEK).received == 0
    disk.fails = False
    assert housekeeping.run(store, disk, WEEK).received == 3


def test_a_late_slice_after_the_removal_does_not_replace_the_result_by_one_on_a_part(store, disk, clock):
    done(store)
    clock.advance(8 * DAY_S)
    housekeeping.run(store, disk, WEEK)
    receive(store, range(4, 5))
    clock.advance(400)
    (facts,) = store.receiving_studies()
    decision = decide(facts, clock.now, SettleSettings(), clock.now.replace(year=2020))
    assert decision.incomplete
    (reason,) = incomplete_series(decision.evidence).values()
    assert "no longer held" in reason


def test_a_study_that_is_sent_again_whole_after_the_removal_is_analysed_again(store, disk, clock):
    done(store)
    clock.advance(8 * DAY_S)
    housekeeping.run(store, disk, WEEK)
    assert store.known_instance(CALLED, instance(1).sop_instance_uid) is None
    receive(store, range(1, 4))
    clock.advance(400)
    (facts,) = store.receiving_studies()
    assert (facts.revision, facts.n_held, facts.n_removed) == (2, 3, 0)
    assert not decide(facts, clock.now, SettleSettings(), clock.now.replace(year=2020)).incomplete


def test_a_slice_that_comes_between_mark_and_removal_finds_its_study_incomplete(store, disk, clock):
    done(store)
    clock.advance(8 * DAY_S)
    marked = store.removable_received(clock.now)
    receive(store, range(4, 5))
    store.note_received_removed(marked)
    (facts,) = store.receiving_studies()
    assert (facts.n_held, facts.n_removed) == (1, 3)


def test_zero_days_removes_as_soon_as_the_job_is_done(store, disk, clock):
    done(store)
    clock.advance(1)
    settings = RetentionSettings(keep_received_days=0, keep_results_days=0)
    assert housekeeping.run(store, disk, settings) == housekeeping.Removed(3, 2)


def test_the_ledger_knows_every_file_that_must_be_there(store, disk, clock):
    done(store, study="1.2.3")
    clock.advance(8 * DAY_S)
    store.removable_received(clock.now)
    receive(store, range(1, 2), study="1.2.4")
    held = store.received_paths()
    assert held[str(instance(1, study="1.2.4").path)]
    assert not held[str(instance(1, study="1.2.3").path)]
