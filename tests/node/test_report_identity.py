"""The same job gives the same bytes; another job, engine or source gives other identities."""

from dataclasses import replace
from io import BytesIO

import pytest
from pydicom.uid import UID

from dicom_node import report
from dicom_node.objects import uids
from dicom_node.report import Tracked
from tests.node.test_report import MASKS_AT, made
from tests.support import synthetic_ct
from tests.support.findings import ball
from tests.support.results import Case, case, context


def written(job: Case) -> list[bytes]:
    files = []
    for dataset in job.datasets:
        file = BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        files.append(file.getvalue())
    return files


def identities(job: Case) -> set[str]:
    return {uid for dataset in job.datasets for uid in (dataset.SOPInstanceUID, dataset.SeriesInstanceUID)}


def trackings(job: Case) -> list[tuple[str, str]]:
    return [(segment.TrackingID, segment.TrackingUID) for seg in job.of_kind("seg") for segment in seg.SegmentSequence]


def test_a_job_built_twice_is_the_same_byte_for_byte() -> None:
    assert written(made()) == written(made())


@pytest.mark.parametrize(
    "change",
    [
        {"installation_uid": "2.25.42"},
        {"called_ae_title": "OTHER"},
        {"revision": 2},
        {"source_digest": "one more slice"},
        {"engine_digest": "other weights"},
    ],
)
def test_any_other_job_has_other_identities(change: dict[str, object]) -> None:
    assert identities(made()).isdisjoint(identities(made(about=context(**change))))


def test_uids_are_valid_and_depend_on_each_fact_and_its_place() -> None:
    uid = uids.derive("2.25.1", "a", "b")
    assert UID(uid).is_valid
    assert uid.startswith("2.25.")
    others = [uids.derive("2.25.2", "a", "b"), uids.derive("2.25.1", "b", "a"), uids.derive("2.25.1", "ab")]
    assert len({uid, *others}) == 4
    assert uids.derive("2.25.1", "a", "b") == uid


def test_the_device_uid_changes_with_the_algorithm_and_not_with_the_study() -> None:
    def device(**changes: object) -> str:
        job = made(about=context(**changes))
        (uid,) = {dataset.DeviceUID for dataset in job.datasets}
        return uid

    retrained = replace(context().algorithm, digest="other")
    assert device() == device(source_digest="other", revision=3, engine_digest="other record")
    assert device() != device(algorithm=retrained)


def test_a_nodule_keeps_its_identity_in_the_next_revision_and_a_new_one_gets_a_new_one() -> None:
    series = synthetic_ct.series()
    first, second = (ball(series.volume, at[:3], at[3]) for at in MASKS_AT)
    one = case(series, [], [first])
    about = context(revision=2, earlier=report.tracked_nodules(one.analysed, one.context))
    # the same nodule, one voxel off and now second in the report
    moved = ball(series.volume, (8, 21, 12), 9.0)
    two = case(series, [], [second, moved], about)
    assert trackings(two)[1] == trackings(one)[0]
    assert trackings(two)[0][0] == "Nodule 2"
    assert trackings(two)[0][1] != trackings(one)[0][1]


def test_a_nodule_elsewhere_or_in_another_frame_of_reference_is_another_nodule() -> None:
    series = synthetic_ct.series()
    job = case(series, [], [ball(series.volume, MASKS_AT[0][:3], 9.0)])
    (nodule,) = report.tracked_nodules(job.analysed, job.context)
    elsewhere = replace(nodule, centre_lps_mm=(200.0, 0.0, 0.0))
    other_frame = Tracked("2.25.9", "Nodule 9", "2.25.55", nodule.centre_lps_mm, nodule.diameter_mm)
    again = case(
        series, [], [ball(series.volume, MASKS_AT[0][:3], 9.0)], context(revision=2, earlier=(elsewhere, other_frame))
    )
    assert trackings(again)[0][1] not in (nodule.uid, "2.25.9")


def test_report_and_segmentation_speak_of_a_nodule_under_the_same_name() -> None:
    job = made()
    (sr,) = job.of_kind("sr")
    measurements = sr.ContentSequence[-2].ContentSequence
    pairs = [(group.ContentSequence[0].TextValue, group.ContentSequence[1].UID) for group in measurements]
    assert pairs == [pair for pair in trackings(job) for _ in range(2)]
