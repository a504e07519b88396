"""What the ledger keeps of associations and instances, and which revision a slice belongs to."""

import sqlite3
import threading
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import update

from dicom_node.domain import Outcome, Reason
from dicom_node.errors import LedgerError
from dicom_node.jobs.group_commit import GroupCommit, _Ticket
from dicom_node.jobs.store import Saved, Store
from dicom_node.jobs.tables import schema_version
from tests.support.ledger import CALLED, STUDY, analysed, deliver, instance, receive, send_again, settle


def test_an_instance_is_known_under_the_ae_title_that_received_it_only(store):
    ref = instance(1)
    assert store.note_instance(CALLED, None, ref)
    assert store.known_instance(CALLED, ref.sop_instance_uid) == ref
    assert store.known_instance("OTHER", ref.sop_instance_uid) is None
    assert store.known_instance(CALLED, ref.sop_instance_uid).header == ref.header


def test_what_was_noted_is_there_for_the_next_process(store, ledger_url, clock):
    receive(store, range(1, 4))
    store.close()
    again = Store(ledger_url, clock)
    assert [ref.sop_instance_uid for ref in again.instances(1)] == [instance(n).sop_instance_uid for n in (1, 2, 3)]
    again.close()


def test_of_two_associations_with_the_same_instance_only_one_is_told_that_it_was_noted(store):
    refs = [instance(n) for n in range(1, 21)]
    told: list[bool] = []

    def send() -> None:
        association = store.association_opened("SCANNER", CALLED, "192.0.2.7")
        told.extend([store.note_instance(CALLED, association, ref) for ref in refs])

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count(True) == 20
    assert told.count(False) == 60
    assert len(store.instances(1)) == 20


def test_many_threads_lose_nothing(store):
    gate = threading.Barrier(8)

    def send(series: int) -> None:
        gate.wait()
        receive(store, range(1, 26), series)

    threads = [threading.Thread(target=send, args=(series,)) for series in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.instances(1)) == 200
    assert len(store.jobs()) == 1


def test_callers_that_arrive_during_a_commit_share_the_next_one():
    entered, go_on = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def commit(items):
        batches.append(list(items))
        if len(batches) == 1:
            entered.set()
            go_on.wait(30)
        return [-item for item in items]

    group = GroupCommit(commit)
    results: dict[int, int] = {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: group.submit(n)})) for n in range(9)]
    threads[0].start()
    assert entered.wait(30)
    for thread in threads[1:]:
        thread.start()
    while len(group._waiting) < 8:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert [len(batch) for batch in batches] == [1, 8]
    assert results == {n: -n for n in range(9)}


def test_a_commit_that_is_interrupted_never_looks_like_success():
    class Interrupted(BaseException):
        pass

    def commit(items):
        raise Interrupted

    group = GroupCommit(commit)
    ticket = _Ticket("waits for the same commit")
    group._waiting.append(ticket)
    with pytest.raises(Interrupted):
        group.submit("leads")
    assert ticket.done
    assert isinstance(ticket.error, LedgerError)


def test_an_instance_that_cannot_be_written_fails_alone(store):
    good, bad = instance(1), instance(2, JunkThatJsonCannotHold={1, 2})
    with store.write():  # both wait for the same turn
        errors: list[BaseException | None] = []

        def send(ref):
            try:
                store.note_instance(CALLED, None, ref)
                errors.append(None)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=send, args=(ref,)) for ref in (good, bad)]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert len([error for error in errors if error]) == 1
    assert [ref.sop_instance_uid for ref in store.instances(1)] == [good.sop_instance_uid]


def test_a_late_slice_returns_a_ready_job_to_receiving(store):
    receive(store, range(1, 4))
    settle(store, 1)
    receive(store, range(4, 5))
    assert store.job(1).state == "RECEIVING"
    assert store.job(1).settled_at is None
    assert len(store.jobs()) == 1


def test_a_late_slice_after_the_analysis_opens_the_next_revision_with_all_instances(store):
    first = analysed(store, range(1, 4))
    receive(store, range(4, 5))
    new = store.jobs_of_study(STUDY)[-1]
    assert (new.revision, new.predecessor_id, new.state) == (2, first, "RECEIVING")
    assert len(store.instances(new.id)) == 4
    assert len(store.instances(first)) == 3


def test_the_next_revision_cancels_what_its_predecessor_has_not_delivered(store):
    first = analysed(store, range(1, 4), targets=("near", "far"))
    near = store.claim_delivery("d", 30, "near")
    store.finish_delivery(near.id, "d")
    receive(store, range(4, 5))
    assert {one.target: one.state for one in store.deliveries(first)} == {"near": "DELIVERED", "far": "CANCELLED"}
    assert store.job(first).state == "DONE"


def test_a_delivery_under_way_is_cancelled_only_when_its_worker_reports(store, clock):
    first = analysed(store, range(1, 4), targets=("delivered", "failed", "killed"))
    claims = {name: store.claim_delivery("d", 30, name) for name in ("delivered", "failed", "killed")}
    receive(store, range(4, 5))
    assert {one.state for one in store.deliveries(first)} == {"PENDING"}
    store.finish_delivery(claims["delivered"].id, "d")
    store.delay_delivery(claims["failed"].id, "d", "no answer", clock())
    clock.advance(31)
    store.sweep()
    states = {one.target: one.state for one in store.deliveries(first)}
    assert states == {"delivered": "DELIVERED", "failed": "CANCELLED", "killed": "CANCELLED"}
    assert store.job(first).state == "DONE"


def test_each_called_ae_title_has_its_own_job_of_a_study(store):
    store.note_instance("EMERALD", None, instance(1))
    store.note_instance("RESEARCH", None, instance(1))
    assert {(status.job.called_ae_title, status.job.revision) for status in store.jobs()} == {
        ("EMERALD", 1),
        ("RESEARCH", 1),
    }


def test_a_repeat_changes_no_revision(store):
    first = analysed(store, range(1, 4))
    send_again(store, range(1, 4))
    assert [job.id for job in store.jobs_of_study(STUDY)] == [first]


def test_a_study_that_was_settled_as_broken_off_is_taken_up_when_all_of_it_is_sent_again(store, clock):
    receive(store, range(1, 6), how="aborted")
    clock.advance(400)
    assert store.settle(1, {"words": "broken off"}, True, 5)
    store.claim_job("w", 30)
    store.save_analysis(1, "w", Saved(Outcome.NOT_ANALYSED, Reason.INCOMPLETE, "reception broke off after 5 images"))
    send_again(store, range(1, 5))
    assert len(store.jobs()) == 1  # a part of it proves nothing
    send_again(store, range(5, 6))
    assert [job.revision for job in store.jobs_of_study(STUDY)] == [1, 2]


def test_settling_is_refused_when_a_slice_has_come_since_the_facts_were_read(store):
    receive(store, range(1, 4))
    (facts,) = store.receiving_studies()
    receive(store, range(4, 5))
    assert not store.settle(facts.job_id, {"words": "too early"}, False, facts.n_held)
    assert store.job(facts.job_id).state == "RECEIVING"


def test_studies_that_something_came_for_lately_are_left_out_of_the_facts(store, clock):
    def quiet_for_10_s() -> list[str]:
        since = clock.now - timedelta(seconds=10)
        return [facts.study_instance_uid for facts in store.receiving_studies(since)]

    receive(store, range(1, 4), study="1.2.3")
    clock.advance(5)
    receive(store, range(1, 4), study="1.2.4")
    clock.advance(5)
    assert quiet_for_10_s() == ["1.2.3"]
    send_again(store, range(1, 2), study="1.2.3")
    clock.advance(5)
    assert quiet_for_10_s() == ["1.2.4"]


def test_associations_open_at_a_crash_end_with_the_restart_and_the_others_keep_their_word(store):
    receive(store, range(1, 3), how="aborted")
    receive(store, range(3, 5), how=None)
    assert store.close_open_associations() == 1
    (facts,) = store.receiving_studies()
    assert [one.how_ended for one in facts.series[0].associations] == ["aborted", "restart"]


def test_the_first_word_about_the_end_of_an_association_stands(store):
    association = receive(store, range(1, 2), how="aborted")
    store.association_ended(association, "released")
    (facts,) = store.receiving_studies()
    assert facts.series[0].associations[0].how_ended == "aborted"


def test_peers_show_who_sent_how_much_and_when_last(store, clock):
    receive(store, range(1, 4))
    clock.advance(60)
    receive(store, range(4, 6))
    store.association_opened("OLD-CT", CALLED, "192.0.2.8")
    clock.advance(60)
    peers = {peer.calling_ae_title: peer for peer in store.peers()}
    assert (peers["SCANNER"].n_associations, peers["SCANNER"].n_instances) == (2, 5)
    assert (clock.now - peers["SCANNER"].last_seen_at).total_seconds() == 60
    assert peers["OLD-CT"].n_instances == 0


def test_quarantined_objects_are_listed_and_counted(store):
    store.note_quarantined(CALLED, None, "/spool/quarantine/x.dcm", "cut after 1000 bytes")
    assert [(str(path), why) for path, why in store.quarantine()] == [
        ("/spool/quarantine/x.dcm", "cut after 1000 bytes")
    ]
    assert store.counts().quarantined == 1


def test_the_history_tells_the_way_of_a_job(store):
    first = analysed(store, range(1, 4))
    deliver(store, first)
    receive(store, range(4, 5))
    assert [line.event for line in store.history(first)] == [
        "instance_stored", "settled", "analysis_saved", "sent", "deliveries_ended", "superseded",
    ]  # fmt: skip


def test_a_ledger_of_another_schema_is_refused_in_words(store, ledger_url, clock):
    with store.write() as connection:
        connection.execute(update(schema_version).values(version=999))
    with pytest.raises(LedgerError, match="schema 999"):
        Store(ledger_url, clock)


def test_a_full_disk_is_told_to_the_sender_and_over_when_there_is_room_again(sqlite_url, clock):
    store = Store(sqlite_url, clock)

    def allow(n_more_pages: int) -> None:
        with store.write_unsynced() as connection:  # the limit is the connection's, and images are noted on this one
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + n_more_pages}")

    noted = set()

    def fill() -> None:
        for number in range(1, 1000):
            store.note_instance(CALLED, None, instance(number))
            noted.add(instance(number).sop_instance_uid)

    allow(4)
    with pytest.raises(LedgerError, match="full"):
        fill()
    assert noted
    assert {ref.sop_instance_uid for ref in store.instances(1)} == noted
    allow(1000)
    assert store.note_instance(CALLED, None, instance(1000))
    store.close()


def test_a_new_ledger_that_another_process_is_writing_just_now_is_waited_for(sqlite_url, clock, tmp_path):
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE written_before_it_was_in_wal (number INTEGER)")
        commit = threading.Timer(0.3, other.execute, ["COMMIT"])
        commit.start()
        Store(sqlite_url, clock).close()
        commit.join()


def test_a_ledger_that_cannot_be_opened_says_so(sqlite_url, clock):
    with pytest.raises(LedgerError, match="unable to open"):
        Store(sqlite_url.replace("ledger.sqlite", "missing/ledger.sqlite"), clock)
