"""What a job's results say, for each outcome."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from pydicom import Dataset

from ai_engine.domain import Category, ClinicalContext, NoduleType, Sex
from dicom_node import report
from dicom_node.domain import Reason, SeriesVerdict
from dicom_node.objects import codes, outline, validate
from dicom_node.record_used import RecordUsed
from dicom_node.report import InstanceReference
from hl7_emr.domain import Item, PatientRecord
from tests.support import synthetic_ct
from tests.support.findings import ball
from tests.support.results import Case, case, context

MASKS_AT = ((8, 20, 12, 9.0), (15, 30, 28, 6.0))


def made(series=None, about=None, n_nodules: int | None = 2) -> Case:
    series = series or synthetic_ct.series()
    masks = None if n_nodules is None else [ball(series.volume, at[:3], at[3]) for at in MASKS_AT[:n_nodules]]
    return case(series, [], masks, about)


def texts(sr: Dataset) -> list[str]:
    return [item.TextValue for item in _items(sr) if item.ValueType == "TEXT"]


def _items(item: Dataset):
    for child in item.get("ContentSequence") or ():
        yield child
        yield from _items(child)


def test_findings_give_segments_key_images_and_one_report() -> None:
    kinds = [result.kind for result in made().results]
    assert kinds == ["seg", "key_images", "key_images", "sr"]


def test_without_a_destination_for_them_no_key_images_are_made() -> None:
    assert [result.kind for result in made(about=context(key_images=False)).results] == ["seg", "sr"]


def test_nothing_found_is_a_report() -> None:
    (result,) = made(n_nodules=0).results
    assert result.kind == "sr"
    assert "The analysis ran; no lung nodule was found." in texts(result.dataset)


def test_nothing_analysed_is_a_report_with_the_reason_of_the_series_that_came_nearest() -> None:
    (result,) = made(n_nodules=None).results
    said = texts(result.dataset)
    assert "Not analysed, because: no lungs in the images [no-lungs]" in said
    assert any("series 1 (CT, Topogram), 2 images: localizer (scout) images [localizer]" in text for text in said)


@pytest.mark.parametrize(
    ("reason", "status"), [(Reason.FAILED, "Failed"), (Reason.GAP, "Not Attempted")], ids=["failed", "gap"]
)
def test_an_analysis_that_failed_is_told_from_one_that_was_not_attempted(reason: Reason, status: str) -> None:
    job = made(n_nodules=None)
    failed = replace(job.job, reason=reason, detail="in words")
    (result,) = report.results(failed, job.template, [], job.verdicts, RecordUsed(PatientRecord()), job.context)
    said = [item.ConceptCodeSequence[0].CodeMeaning for item in _items(result.dataset) if item.ValueType == "CODE"]
    assert status in said
    assert f"Not analysed, because: {reason.sentence}: in words [{reason.value}]" in texts(result.dataset)


def test_a_localizer_does_not_decide_although_it_has_more_instances() -> None:
    localizer = SeriesVerdict("2.25.7", 1, "", "CT", 2, Reason.LOCALIZER)
    multi_frame = SeriesVerdict("2.25.8", 2, "", "CT", 1, Reason.GAP, "after slice 4")
    assert report.decisive([localizer, multi_frame]) is multi_frame


def test_every_report_says_that_it_is_for_research_only_and_unverified() -> None:
    for n_nodules in (2, 0, None):
        (sr,) = made(n_nodules=n_nodules).of_kind("sr")
        assert "Research use only. Not for diagnosis or treatment decisions." in texts(sr)
        assert (sr.VerificationFlag, sr.ContentQualification) == ("UNVERIFIED", "RESEARCH")


def test_the_report_says_why_the_study_was_held_to_be_complete() -> None:
    (sr,) = made().of_kind("sr")
    assert "Completeness of the study: no image for 15 s; all images in 2 series." in texts(sr)


def test_what_is_known_of_the_patient_is_said_with_its_source_and_what_is_not_is_said_too() -> None:
    (sr,) = made().of_kind("sr")
    said = texts(sr)
    assert "age: 71 (from DICOM Patient's Age (0010,1010), recorded on 2021-03-04)" in said
    assert "sex: F (from DICOM Patient's Sex (0010,0040))" in said
    assert any(text.startswith("Not known of the patient: family history of lung cancer, emphysema") for text in said)


def test_every_image_analysed_is_in_the_evidence() -> None:
    job = made()
    (sr,) = job.of_kind("sr")
    listed = {
        instance.ReferencedSOPInstanceUID
        for series in sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    segments = {seg.SOPInstanceUID for seg in job.of_kind("seg")}
    assert listed == {source.sop_instance_uid for source in job.series.slices} | segments


def test_a_later_revision_names_the_report_that_it_replaces() -> None:
    earlier = InstanceReference("2.25.3", "2.25.70", "1.2.840.10008.5.1.4.1.1.88.34", "2.25.71")
    (sr,) = made(about=context(revision=2, predecessor=earlier)).of_kind("sr")
    study = sr.PredecessorDocumentsSequence[0]
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.71"
    assert "Revision 2 of the results for this study: it replaces the report before it." in texts(sr)


@pytest.mark.parametrize("head_first", [False, True])
@pytest.mark.parametrize("multi_frame", [False, True])
def test_segments_fit_sources_of_either_kind_and_order(head_first: bool, multi_frame: bool) -> None:
    job = made(synthetic_ct.series(head_first=head_first, multi_frame=multi_frame))
    validate.check(job.datasets, job.template, [job.series])
    (seg,) = job.of_kind("seg")
    ranks = [group.FrameContentSequence[0].DimensionIndexValues for group in seg.PerFrameFunctionalGroupsSequence]
    heights = [
        float(group.PlanePositionSequence[0].ImagePositionPatient[2]) for group in seg.PerFrameFunctionalGroupsSequence
    ]
    by_rank = [height for (_, _), height in sorted(zip(map(tuple, ranks), heights, strict=True))]
    assert by_rank[: len(by_rank) // 2] == sorted(by_rank[: len(by_rank) // 2])


def test_segments_beyond_the_frames_that_viewers_show_go_into_further_instances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dicom_node.objects.seg.MAX_FRAMES", 4)
    job = made()
    segmentations = job.of_kind("seg")
    assert [len(seg.SegmentSequence) for seg in segmentations] == [1, 1]
    assert len({seg.SeriesInstanceUID for seg in segmentations}) == 1
    assert [seg.InstanceNumber for seg in segmentations] == [1, 2]
    validate.check(job.datasets, job.template, [job.series])


def test_two_nodules_that_share_voxels_are_said_to_overlap() -> None:
    series = synthetic_ct.series()
    apart = case(series, [], [ball(series.volume, at[:3], at[3]) for at in MASKS_AT])
    same = case(series, [], [ball(series.volume, MASKS_AT[0][:3], 9.0)] * 2)
    assert apart.of_kind("seg")[0].SegmentsOverlap == "NO"
    assert same.of_kind("seg")[0].SegmentsOverlap == "YES"


@pytest.mark.parametrize(
    ("value", "nodule_type", "code"),
    [
        # ACR/RSNA common data element RDE1702 of set RDES267
        ("1", None, "RDE1702.3"),
        ("2", NoduleType.GROUND_GLASS, "RDE1702.8"),
        ("3", NoduleType.PART_SOLID, "RDE1702.12"),
        ("4A", NoduleType.SOLID, "RDE1702.16"),
        ("4B", NoduleType.SOLID, "RDE1702.21"),
        ("4X", NoduleType.SOLID, "RDE1702.25"),
        ("4B", NoduleType.GROUND_GLASS, None),
        ("0", None, None),
    ],
)
def test_lung_rads_is_coded_where_a_standard_code_says_it(
    value: str, nodule_type: NoduleType | None, code: str | None
) -> None:
    answer = codes.lung_rads(Category("Lung-RADS v2022", value, "because"), nodule_type)
    assert (answer.value if answer else None) == code


def test_every_code_fits_its_attributes() -> None:
    for name, value in vars(codes).items():
        for code in value.values() if isinstance(value, dict) else [value]:
            if isinstance(code, codes.Code):
                # VR SH and LO
                assert len(code.value) <= 16, name
                assert len(code.meaning) <= 64, name


def test_age_comes_from_the_age_string_or_is_counted_from_the_birth_date() -> None:
    header = Dataset()
    header.StudyDate, header.PatientBirthDate = "20210202", "19500203"
    assert report.record_from_header(header).age_years == Item(
        "age_years", 70.0, "DICOM Patient's Birth Date (0010,0030) and Study Date (0008,0020)", date(2021, 2, 2)
    )
    for text, years in (("071Y", 71.0), ("018M", 1.5), ("", 70.0), ("71", 70.0)):
        header["PatientAge"] = Dataset.from_json({"00101010": {"vr": "AS", "Value": [text]}})["PatientAge"]
        assert report.record_from_header(header).age_years.value == years


def test_risk_models_are_told_in_plain_words_with_what_they_used_and_what_they_missed() -> None:
    said = texts(made().of_kind("sr")[0])
    assert (
        "Nodule 1: Brock 2a, probability of cancer 12.3 % from age 70 years, sex M, "
        "family history of lung cancer no, emphysema yes, longest diameter 12.3 mm." in said
    )
    assert (
        "Nodule 1: Brock 2b, probability of cancer not computed; "
        "not known: family history of lung cancer, emphysema; known: age 70 years." in said
    )


def test_an_empty_or_impossible_header_leaves_the_record_empty() -> None:
    header = Dataset()
    header.StudyDate, header.PatientBirthDate, header.PatientSex = "20210202", "20300101", "O"
    assert report.record_from_header(header) == PatientRecord()
    assert report.record_from_header(Dataset()) == PatientRecord()


def test_the_engine_is_told_what_is_known_and_nothing_else() -> None:
    record = PatientRecord(Item("age_years", 71, "x"), Item("sex", "F", "x"), emphysema=Item("emphysema", False, "x"))
    assert report.clinical_context(record) == ClinicalContext(71.0, Sex.FEMALE, None, False, None, None)
    assert report.clinical_context(PatientRecord()) == ClinicalContext()


def test_dates_are_written_in_the_time_zone_of_the_source() -> None:
    at = datetime(2026, 3, 4, 23, 30, tzinfo=UTC)
    (sr,) = made(synthetic_ct.series(TimezoneOffsetFromUTC="+0100"), context(at=at)).of_kind("sr")
    assert (sr.ContentDate, sr.ContentTime[:6]) == ("20260305", "003000")
    local = at.astimezone(timezone(timedelta(hours=-5)))
    (sr,) = made(about=context(at=local)).of_kind("sr")
    assert (sr.ContentDate, sr.ContentTime[:6]) == ("20260304", "183000")


def test_the_outline_runs_along_the_borders_of_the_pixels() -> None:
    mask = np.zeros((5, 6), dtype=bool)
    mask[1:4, 2] = True
    mask[4, 3] = True  # touches at a corner only: an outline of its own
    first, second = outline.outlines(mask)
    assert {tuple(point) for point in first} == {(2, 1), (3, 1), (3, 4), (2, 4)}
    assert {tuple(point) for point in second} == {(3, 4), (4, 4), (4, 5), (3, 5)}
    assert tuple(first[0]) == tuple(first[-1])


def test_a_hole_has_a_border_too_and_comes_after_the_outline() -> None:
    mask = np.ones((5, 5), dtype=bool)
    mask[2, 2] = False
    outer, hole = outline.outlines(mask)
    assert {tuple(point) for point in outer} == {(0, 0), (5, 0), (5, 5), (0, 5)}
    assert {tuple(point) for point in hole} == {(2, 2), (3, 2), (3, 3), (2, 3)}


def test_a_name_for_each_overlay_picture() -> None:
    job = made()
    pictures = dict(report.overlays(job.analysed, job.context))
    assert list(pictures) == ["series-1-nodule-1.png", "series-1-nodule-2.png"]
    assert {picture.size for picture in pictures.values()} == {(80, 96)}


def test_a_study_of_two_frames_of_reference_has_a_segmentation_series_for_each_and_one_report() -> None:
    one = made()
    other = replace(synthetic_ct.series(), series_instance_uid="2.25.44", frame_of_reference_uid="2.25.55")
    mask = ball(other.volume, (12, 24, 20), 8.0)
    second = case(other, [], [mask])
    both = report.results(
        one.job, one.template, [*one.analysed, *second.analysed], [], RecordUsed(PatientRecord()), one.context
    )
    segmentations = [result.dataset for result in both if result.kind == "seg"]
    assert len({seg.SeriesInstanceUID for seg in segmentations}) == 2
    assert len([result for result in both if result.kind == "sr"]) == 1
    validate.check([result.dataset for result in both], one.template, [one.series, other])


def test_the_first_numbers_of_a_nodule_are_its_diameters_and_its_volume() -> None:
    """OHIF 3.13 merges the groups of one tracking UID and shows five numbers; Lung-RADS needs these."""
    sr = made(n_nodules=1).results[-1].dataset
    groups = [item for item in _items(sr) if item.get("ContentTemplateSequence") and item.ValueType == "CONTAINER"]
    numbers = [
        item.ConceptNameCodeSequence[0].CodeMeaning
        for group in groups
        if group.ContentTemplateSequence[0].TemplateIdentifier in ("1410", "1411")
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    ]
    assert numbers[:4] == ["Long axis", "Short axis", "Diameter", "Volume"]
