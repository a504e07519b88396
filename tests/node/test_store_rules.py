"""Anything may happen in any order: what must hold then, always, and that all work comes to an end afterwards."""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dicom_node.domain import Outcome, Reason
from dicom_node.errors import IllegalTransition, LeaseLost
from dicom_node.jobs import housekeeping, states
from dicom_node.jobs.settle import settle_due
from dicom_node.jobs.states import JOB_TABLE, DeliveryState, JobEvent, JobState
from dicom_node.jobs.store import Saved, Store
from dicom_node.settings import RetentionSettings, SettleSettings
from tests.support.clock import Clock
from tests.support.ledger import CALLED, instance, saved

STUDIES = st.sampled_from(["1.2.1", "1.2.2"])
SLICES = st.integers(1, 5)
WORKERS = st.sampled_from(["w1", "w2"])
TARGETS = st.sampled_from([(), ("near",), ("near", "far")])
SETTLE = SettleSettings(quiet_s=10, incomplete_hold_s=50)
KEEP = RetentionSettings(keep_received_days=0.01, keep_results_days=0.02)


class Disk:
    """Removes nothing but remembers."""

    def __init__(self) -> None:
        self.gone: set[Path] = set()

    def remove_received(self, path: Path) -> None:
        self.gone.add(path)

    def remove_results(self, job_id: int) -> None:
        pass


class Ledger(RuleBasedStateMachine):
    """Senders, workers, targets and housekeeping, all at once."""

    def __init__(self, new_ledger_url: Callable[[], str]) -> None:
        super().__init__()
        self.new_ledger_url = new_ledger_url

    @initialize()
    def open(self) -> None:
        self.clock = Clock()
        self.store = Store(self.new_ledger_url(), self.clock, max_attempts=2)
        self.started_at = self.clock.now
        self.disk = Disk()
        self.acknowledged: dict[str, set[str]] = defaultdict(set)
        self.held_jobs: list[tuple[int, str]] = []
        self.held_deliveries: list[tuple[int, str]] = []

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.everything_ends()
            self.store.close()

    # --- what may happen -----------------------------------------------------------------------------------------

    @rule(study=STUDIES, slices=st.sets(SLICES, min_size=1), how=st.sampled_from(["released", "aborted", "lost", None]))
    def send(self, study: str, slices: set[int], how: str | None) -> None:
        association = self.store.association_opened("SCANNER", CALLED, "192.0.2.7")
        for number in slices:
            ref = instance(number, study=study)
            if self.store.known_instance(CALLED, ref.sop_instance_uid) is None:
                self.disk.gone.discard(ref.path)
                assert self.store.note_instance(CALLED, association, ref)
            else:
                self.store.note_repeat(CALLED, association, ref.sop_instance_uid, "same bytes")
            self.acknowledged[study].add(ref.sop_instance_uid)
        if how is not None:
            self.store.association_ended(association, how)

    @rule(seconds=st.sampled_from([1, 11, 61, 3600]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        settle_due(self.store, SETTLE, self.started_at)

    @rule()
    def restart(self) -> None:
        self.store.close_open_associations()
        self.started_at = self.clock.now

    @rule(to=TARGETS)
    def everything_is_settled_and_analysed(self, to: tuple[str, ...]) -> None:
        self.store.close_open_associations()
        self.clock.advance(3600)
        settle_due(self.store, SETTLE, self.started_at)
        while (job := self.store.claim_job("quick", 30)) is not None:
            self.store.save_analysis(job.id, "quick", saved(job.id, to))

    @rule()
    def everything_is_delivered(self) -> None:
        while (delivery := self.store.claim_delivery("quick", 30)) is not None:
            self.store.finish_delivery(delivery.id, "quick")

    @rule(worker=WORKERS)
    def claim(self, worker: str) -> None:
        job = self.store.claim_job(worker, 30)
        if job is not None:
            self.held_jobs.append((job.id, worker))

    @precondition(lambda self: self.held_jobs)
    @rule(to=TARGETS, end=st.sampled_from(["save", "not analysed", "transient", "lasting", "give back", "beat"]))
    def work(self, to: tuple[str, ...], end: str) -> None:
        job_id, worker = self.held_jobs.pop(0)
        try:
            if end == "save":
                self.store.save_analysis(job_id, worker, saved(job_id, to))
            elif end == "not analysed":
                self.store.save_analysis(job_id, worker, Saved(Outcome.NOT_ANALYSED, Reason.FAILED, targets=to))
            elif end == "give back":
                self.store.give_back(job_id, worker)
            elif end == "beat":
                self.store.beat(job_id, worker, 30, "lungs", 0.5)
                self.held_jobs.append((job_id, worker))
            else:
                self.store.fail(job_id, worker, "an error", end == "transient")
        except (LeaseLost, IllegalTransition):
            pass

    @rule(worker=WORKERS)
    def claim_delivery(self, worker: str) -> None:
        delivery = self.store.claim_delivery(worker, 30)
        if delivery is not None:
            self.held_deliveries.append((delivery.id, worker))

    @precondition(lambda self: self.held_deliveries)
    @rule(end=st.sampled_from(["finish", "delay", "park", "park target", "give back"]))
    def send_results(self, end: str) -> None:
        delivery_id, worker = self.held_deliveries.pop(0)
        try:
            if end == "finish":
                self.store.finish_delivery(delivery_id, worker)
            elif end == "delay":
                again = self.clock.now + timedelta(seconds=5)
                self.store.delay_delivery(delivery_id, worker, "no answer", again)
            elif end == "park":
                self.store.park_delivery(delivery_id, worker, "0xA900")
            elif end == "park target":
                self.store.park_target(delivery_id, worker, "rejected")
            else:
                self.store.give_back_delivery(delivery_id, worker)
        except (LeaseLost, IllegalTransition):
            pass

    @rule(name=st.sampled_from(["near", "far"]))
    def target_answers(self, name: str) -> None:
        self.store.unpark(name)

    @rule(worker=WORKERS)
    def worker_dies(self, worker: str) -> None:
        self.store.abandon(worker)

    @rule(index=st.integers(0, 3))
    def operator_retries(self, index: int) -> None:
        jobs = self.store.jobs()
        if jobs:
            self.store.retry(jobs[index % len(jobs)].job.id)

    @rule()
    def keep_house(self) -> None:
        before = set(self.disk.gone)
        housekeeping.run(self.store, self.disk, KEEP)
        for study in {path.parent.name for path in self.disk.gone - before}:
            assert {job.state for job in self.store.jobs_of_study(study)} == {JobState.DONE}

    # --- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def no_acknowledged_instance_is_lost(self) -> None:
        for study, uids in getattr(self, "acknowledged", {}).items():
            newest = self.store.jobs_of_study(study)[-1]
            in_set = {ref.sop_instance_uid for ref in self.store.instances(newest.id)}
            gone = {uid for uid in uids if self.store.known_instance(CALLED, uid) is None}
            assert in_set == uids - gone
            assert all(instance(int(uid.split(".")[-1]), study=study).path in self.disk.gone for uid in gone)

    @invariant()
    def revisions_are_a_chain_and_only_the_newest_is_worked_on(self) -> None:
        for study in getattr(self, "acknowledged", {}):
            chain = self.store.jobs_of_study(study)
            assert [job.revision for job in chain] == list(range(1, len(chain) + 1))
            assert [job.predecessor_id for job in chain] == [None, *(job.id for job in chain[:-1])]
            assert all(job.state in (JobState.ANALYSED, JobState.DONE) for job in chain[:-1])

    @invariant()
    def a_job_is_done_exactly_when_its_deliveries_are_at_their_end(self) -> None:
        for status in self._jobs():
            ended = all(states.has_ended(DeliveryState(one.state), False) for one in status.deliveries)
            if status.job.state in (JobState.ANALYSED, JobState.DONE):
                assert (status.job.state == JobState.DONE) is ended
            else:
                assert not status.deliveries

    @invariant()
    def nothing_of_a_superseded_revision_waits_to_be_sent(self) -> None:
        superseded = {status.job.predecessor_id for status in self._jobs()}
        claimable = self.store.claimable_deliveries() if superseded else []
        waiting = {one.id for status in self._jobs() if status.job.id in superseded for one in status.deliveries}
        assert not waiting & set(claimable)

    @invariant()
    def the_history_replayed_through_the_table_gives_the_state(self) -> None:
        for status in self._jobs():
            state = JobState.RECEIVING
            for line in self.store.history(status.job.id):
                if line.event in list(JobEvent):
                    state = states.next_state(JOB_TABLE, state, JobEvent(line.event))
            assert state == status.job.state

    @invariant()
    def attempts_are_bounded(self) -> None:
        assert all(status.attempts <= 2 for status in self._jobs() if status.job.state != JobState.ANALYSED)

    # --- and in the end ------------------------------------------------------------------------------------------

    def everything_ends(self) -> None:
        """With targets that answer and workers that live, every job comes to DONE."""
        self.store.close_open_associations()
        for worker in ("w1", "w2"):
            self.store.abandon(worker)
        for status in self._jobs():
            self.store.retry(status.job.id)
        for name in ("near", "far"):
            self.store.unpark(name)
        self.clock.advance(3600)
        settle_due(self.store, SETTLE, self.started_at)
        while (job := self.store.claim_job("last", 30)) is not None:
            self.store.save_analysis(job.id, "last", saved(job.id, ("near",)))
        while (delivery := self.store.claim_delivery("last", 30)) is not None:
            self.store.finish_delivery(delivery.id, "last")
        assert {status.job.state for status in self._jobs()} <= {JobState.DONE}
        self.a_job_is_done_exactly_when_its_deliveries_are_at_their_end()

    def _jobs(self):
        return self.store.jobs(1000) if hasattr(self, "store") else []


@pytest.mark.slow
def test_what_must_hold_does(new_ledger_url: Callable[[], str]) -> None:
    effort = settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(lambda: Ledger(new_ledger_url), settings=effort)
