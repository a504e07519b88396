"""When a study is held to be complete: by evidence, with the clock as an argument."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from dicom_node.jobs.evidence import examine, expected_count, missing_numbers, slice_spacing
from dicom_node.jobs.records import AssociationFacts, SeriesFacts, StudyFacts
from dicom_node.jobs.settle import Settle, Wait, decide, incomplete_series, settle_due
from dicom_node.settings import SettleSettings
from tests.support.clock import Clock
from tests.support.ledger import instance, receive, send_again

SETTINGS = SettleSettings(quiet_s=15, incomplete_hold_s=300)
START = Clock().now
LONG_AGO = START - timedelta(days=1)


def headers(numbers, **more) -> tuple[dict[str, object], ...]:
    return tuple(instance(n, **more).header for n in numbers)


def association(
    how: str | None, opened_s: float = 0, ended_s: float = 60, n_new: int = 20, last_s: float = 60, carried: int = 20
) -> AssociationFacts:
    opened, ended, last = (START + timedelta(seconds=s) for s in (opened_s, ended_s, min(last_s, ended_s)))
    held = frozenset(range(carried))
    return AssociationFacts(1, "SCANNER", opened, None if how is None else ended, how, n_new, held, last)


def study(*series: SeriesFacts, last_s: float = 60, n_removed: int = 0) -> StudyFacts:
    n_held = sum(len(one.headers) for one in series)
    last_at = START + timedelta(seconds=last_s)
    return StudyFacts(1, "EMERALD", "1.2", 1, series, n_held, n_removed, last_at, n_news=0)


def series(numbers=range(1, 21), *associations: AssociationFacts, **header) -> SeriesFacts:
    return SeriesFacts("1.2.1", headers(numbers, **header), associations or (association("released"),))


def at(facts: StudyFacts, seconds: float, started=LONG_AGO) -> Wait | Settle:
    return decide(facts, START + timedelta(seconds=seconds), SETTINGS, started)


def settles_at(facts: StudyFacts, started=LONG_AGO) -> float:
    """Follow the decision's own word until it settles; seconds after START."""
    now = 0.0
    while isinstance(decision := at(facts, now, started), Wait):
        assert decision.until > START + timedelta(seconds=now)
        now = (decision.until - START).total_seconds()
    return now


@pytest.mark.parametrize("how", ["released", "idle", "restart", None])
def test_a_whole_series_settles_after_the_quiet_time_however_calmly_its_association_ended(how):
    facts = study(series(range(1, 21), association(how)))
    assert settles_at(facts) == 75
    assert not at(facts, 75).incomplete


@pytest.mark.parametrize("how", ["aborted", "lost"])
def test_a_broken_association_is_no_completion(how):
    facts = study(series(range(1, 21), association(how)))
    assert settles_at(facts) == 360
    decision = at(facts, 360)
    assert incomplete_series(decision.evidence) == {"1.2.1": "reception broke off after 20 images"}


def test_the_hold_counts_from_the_break_where_that_came_after_the_last_image():
    assert settles_at(study(series(range(1, 21), association("lost", ended_s=130, last_s=120)), last_s=120)) == 430


@pytest.mark.parametrize("how", ["aborted", "lost"])
def test_an_association_that_broke_while_idle_for_the_series_counts_as_released(how):
    facts = study(series(range(1, 21), association(how, ended_s=90, last_s=60)))
    assert settles_at(facts) == 75
    assert not at(facts, 100).incomplete


def test_a_broken_association_is_forgiven_where_all_announced_images_have_come():
    facts = study(series(range(1, 21), association("aborted"), NumberOfSeriesRelatedInstances=20))
    assert settles_at(facts) == 75
    assert not at(facts, 75).incomplete


def test_a_sender_that_resumed_after_the_break_is_believed():
    broken, resumed = association("aborted", ended_s=30), association("released", opened_s=40, n_new=5)
    assert settles_at(study(series(range(1, 21), broken, resumed))) == 75


def test_a_sender_that_is_back_before_its_break_was_noted_is_believed():
    broken, back = association("aborted", last_s=59.8), association("released", opened_s=59.9, ended_s=90, last_s=90)
    assert settles_at(study(series(range(1, 41), broken, back), last_s=90)) == 105
    parallel = association("released", opened_s=59.7, ended_s=90, last_s=90)
    assert at(study(series(range(1, 41), broken, parallel), last_s=90), 400).incomplete


def test_a_sender_that_sent_everything_again_after_the_break_is_believed():
    broken, again = association("aborted", ended_s=30), association("released", opened_s=40, n_new=0)
    assert settles_at(study(series(range(1, 21), broken, again))) == 75
    assert settles_at(study(series(range(1, 21), broken, replace(again, carried=frozenset({1, 2}))))) == 360


def test_a_parallel_association_proves_nothing_about_the_broken_one():
    broken, parallel = association("aborted", ended_s=30), association("released", opened_s=10)
    decision = at(study(series(range(1, 21), broken, parallel)), 360)
    assert decision.incomplete


def test_a_gap_is_waited_for_and_then_left_to_the_geometry_of_the_series():
    facts = study(series([1, 2, 3, 4, 6, 7, 8, 9]))
    assert settles_at(facts) == 360
    decision = at(facts, 360)
    assert not decision.incomplete
    said = decision.evidence["series"]["1.2.1"]
    assert said["gaps"] == [[4, 5.0]]
    assert "5 mm after slice 4" in said["words"]
    assert "instance numbers not received: 5" in said["words"]


def test_fewer_images_than_announced_are_waited_for_and_then_analysed():
    facts = study(series(range(1, 21), NumberOfSeriesRelatedInstances=30))
    assert settles_at(facts) == 360
    assert "20 images of 30 announced" in at(facts, 360).evidence["series"]["1.2.1"]["words"]


def test_images_in_acquisition_makes_wait_only_while_the_association_is_open():
    fewer = {"ImagesInAcquisition": 30, "AcquisitionNumber": 2}
    assert settles_at(study(series(range(1, 21), association("released"), **fewer))) == 75
    assert settles_at(study(series(range(1, 21), association(None), **fewer))) == 360


def test_one_broken_series_holds_its_study_and_condemns_only_itself():
    whole = series()
    broken = replace(series(range(1, 8), association("aborted")), series_instance_uid="1.2.2")
    facts = study(whole, broken)
    assert settles_at(facts) == 360
    assert set(incomplete_series(at(facts, 360).evidence)) == {"1.2.2"}


def test_after_a_restart_the_quiet_time_starts_anew():
    restarted = START + timedelta(seconds=1000)
    facts = study(series(range(1, 21), association("restart", ended_s=1000)))
    assert settles_at(facts, restarted) == 1015
    assert not at(facts, 1015, restarted).incomplete


def test_the_evidence_is_json_and_says_it_in_words():
    decision = at(study(series()), 80)
    assert json.loads(json.dumps(decision.evidence)) == decision.evidence
    assert decision.evidence["words"] == "no image for 20 s; 20 images in 1 series"
    assert decision.evidence["series"]["1.2.1"]["words"] == (
        "20 images; slice spacing 2.5 mm without gap; 1 association from SCANNER: released"
    )


def test_the_timer_settles_what_is_due_and_leaves_the_rest(store, clock):
    receive(store, range(1, 21), study="1.2.3")
    receive(store, range(1, 21), study="1.2.4", how="aborted")
    clock.advance(14)
    assert settle_due(store, SETTINGS, LONG_AGO) == []
    clock.advance(2)
    assert settle_due(store, SETTINGS, LONG_AGO) == [1]
    assert store.job(1).settled_at == clock.now
    clock.advance(285)
    assert settle_due(store, SETTINGS, LONG_AGO) == [2]
    assert incomplete_series(store.job(2).evidence) == {"1.2.4.1": "reception broke off after 20 images"}


def test_a_study_that_waits_is_not_looked_at_again_until_its_time_or_until_there_is_news(store, clock):
    def looked_at() -> int:
        return len(store.receiving_studies())

    association = receive(store, [1, 2, 3, 5, 6], how=None)
    clock.advance(20)
    assert looked_at() == 1
    assert settle_due(store, SETTINGS, LONG_AGO) == []
    assert looked_at() == 0
    clock.advance(10)
    store.association_ended(association, "released")
    assert looked_at() == 1
    assert settle_due(store, SETTINGS, LONG_AGO) == []
    assert looked_at() == 0
    receive(store, [4])
    clock.advance(15)
    assert settle_due(store, SETTINGS, LONG_AGO) == [1]


def test_a_gap_that_nothing_fills_settles_at_the_end_of_the_hold(store, clock):
    receive(store, [1, 2, 3, 5, 6])
    clock.advance(16)
    assert settle_due(store, SETTINGS, LONG_AGO) == []
    clock.advance(283)
    assert settle_due(store, SETTINGS, LONG_AGO) == []
    clock.advance(1)
    assert settle_due(store, SETTINGS, LONG_AGO) == [1]


def test_a_broken_series_sent_again_within_the_hold_is_whole(store, clock):
    receive(store, range(1, 21), how="aborted")
    clock.advance(100)
    send_again(store, range(1, 21))
    clock.advance(16)
    assert settle_due(store, SETTINGS, LONG_AGO) == [1]
    assert incomplete_series(store.job(1).evidence) == {}


# --- the evidence itself -------------------------------------------------------------------------------------------


def test_order_of_arrival_and_direction_do_not_matter_to_the_spacing():
    assert slice_spacing(headers([5, 1, 4, 2, 3])).gaps == ()
    tilted = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
    sagittal = [
        {"ImagePositionPatient": [-3.0 * n, 0.0, 0.0], "ImageOrientationPatient": tilted} for n in (1, 2, 3, 5, 6)
    ]
    assert slice_spacing(sagittal).usual_mm == pytest.approx(3.0)
    assert [round(mm, 3) for _, mm in slice_spacing(sagittal).gaps] == [6.0]


def test_doubled_positions_are_no_gap_and_no_step():
    assert slice_spacing(headers([1, 2, 2, 3, 3, 4])) == slice_spacing(headers([1, 2, 3, 4]))


def test_uneven_but_gapless_spacing_is_not_waited_for():
    positions = [0, 2.5, 5.0, 7.4, 10.0, 12.6]
    stack = [{**instance(1).header, "ImagePositionPatient": [0.0, 0.0, z]} for z in positions]
    assert slice_spacing(stack).gaps == ()


def test_localizers_and_images_without_geometry_say_nothing():
    assert slice_spacing(headers([1, 2, 9], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])) is None
    assert slice_spacing([{"ImagePositionPatient": None}, {}, {"ImagePositionPatient": [1, 2]}]) is None
    assert slice_spacing(headers([1, 2])) is None


@pytest.mark.parametrize(("more", "expected"), [
    ({"NumberOfSeriesRelatedInstances": 25}, 25),
    ({"NumberOfSeriesRelatedInstances": 10}, None),  # cannot be meant: more are here
    ({"ImagesInAcquisition": 0}, None),  # seen in QIN LUNG CT
    ({"ImagesInAcquisition": 60, "AcquisitionNumber": 1}, 60),
    ({"ImagesInAcquisition": "many"}, None),
    ({}, None),
])  # fmt: skip
def test_only_counts_that_can_be_meant_are_believed(more, expected):
    found = expected_count(headers(range(1, 21), **more))
    assert (found and found.n) == expected


def test_images_in_acquisition_of_several_acquisitions_is_not_believed():
    mixed = headers(range(1, 11), ImagesInAcquisition=10, AcquisitionNumber=1) + headers(
        range(11, 21), ImagesInAcquisition=20, AcquisitionNumber=2
    )
    assert expected_count(mixed) is None


def test_instance_numbers_that_skip_on_principle_say_nothing():
    assert missing_numbers(headers([10, 20, 30, 40])) == ()
    assert missing_numbers(headers([1, 2, 4, 5, 8])) == (3, 6, 7)


def test_a_multi_frame_instance_without_positions_is_fine():
    one = SeriesFacts("1.2.1", ({"NumberOfFrames": 120},), (association("released"),))
    assert not examine(one, 15).waits
