"""What the results say of a prompt and of the encoder's score, read back from the objects."""

from dataclasses import replace

from pydicom import Dataset

from dicom_node.findings import findings_as_json
from dicom_node.objects import validate
from tests.support import synthetic_ct
from tests.support.findings import SCORED, SHA256, ball
from tests.support.reports import conclusion, items, texts
from tests.support.results import Case, case, context

MASKS_AT = ((8, 20, 12, 9.0), (15, 30, 28, 6.0))
PROMPT = "ground-glass nodules in the right upper lobe over 6 mm"


def made(n_asked_for: int | None, *, scored: bool = True, likeness: float | None = None) -> Case:
    series = synthetic_ct.series()
    masks = [ball(series.volume, at[:3], at[3]) for at in MASKS_AT]
    about = context(algorithm=SCORED) if scored else None
    return case(series, [], masks, about, n_asked_for, likeness=likeness)


def scores(sr: Dataset) -> list[Dataset]:
    """Return the numbers that are called Score (246262008, SCT)."""
    return [each for each in items(sr) if each.ConceptNameCodeSequence[0].CodeValue == "246262008"]


def test_a_score_stands_in_the_volume_group_with_the_encoder_the_prompt_and_what_it_means() -> None:
    (sr,) = made(None).of_kind("sr")
    first, _ = scores(sr)
    measured = first.MeasuredValueSequence[0]
    assert (float(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue) == (0.75, "1")
    said = texts(first)
    assert "Emerald image-text encoder" in said
    assert f"0.1.0, weights {SHA256}" in said
    assert f"prompt: {PROMPT}" in said
    (meaning,) = [text for text in said if text.startswith("score from 0 to 1")]
    assert "not a probability" in meaning
    assert "threshold 0.71, with 2.5 false positives per scan in 2 validation lungs" in meaning


def test_nothing_that_is_said_of_a_score_calls_it_a_probability() -> None:
    (sr,) = made(None).of_kind("sr")
    about = [text for text in texts(sr) if "score" in text.lower() and "Brock" not in text]
    assert len(about) >= 5
    assert all("probability" not in text.replace("not a probability", "") for text in about)


def test_without_an_encoder_there_is_no_score_among_the_numbers() -> None:
    (sr,) = made(None, scored=False).of_kind("sr")
    assert scores(sr) == []


def test_a_narrow_prompt_leaves_segments_and_groups_of_what_was_asked_for_alone() -> None:
    job = made(1)
    (seg,), (sr,) = job.of_kind("seg"), job.of_kind("sr")
    assert len(seg.SegmentSequence) == 1
    assert (
        f"prompt={PROMPT}" in seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    )
    assert len(scores(sr)) == 1
    assert len(job.of_kind("key_images")) == 1
    validate.check(job.datasets, job.template, [job.series])


def test_a_narrow_prompt_is_said_with_the_count_of_what_else_was_found() -> None:
    (sr,) = made(1).of_kind("sr")
    assert conclusion(sr) == (
        f'Asked for "{PROMPT}": 1 found. Other findings above threshold, not asked for and not listed: 1.'
    )
    said = texts(sr)
    assert any(text.startswith(f'Asked for: "{PROMPT}". The whole of the lungs was searched') for text in said)
    assert any(
        text.endswith("Lobes were not found: for each the third of the lung where most of it lies was taken.")
        for text in said
    )
    (other,) = [text for text in said if text.startswith("NOT LISTED HERE")]
    assert "1 other finding above threshold, the largest with 5.9 mm" in other
    assert "left upper lobe" in other


def test_nothing_is_said_of_lobes_where_none_was_asked_for() -> None:
    series = synthetic_ct.series()
    masks = [ball(series.volume, at[:3], at[3]) for at in MASKS_AT]
    zone = replace(SCORED, prompt="nodules in the right upper zone, lobes apart", prompt_names_lobe=False)
    (sr,) = case(series, [], masks, context(algorithm=zone), 1).of_kind("sr")
    assert not any("Lobes were not found" in text for text in texts(sr))


def test_likeness_to_the_prompt_is_said_and_that_a_type_by_rules_can_differ() -> None:
    job = made(1, likeness=1.2345)
    said = texts(job.of_kind("sr")[0])
    (one,) = [text for text in said if text.startswith(f'Nodule 1: likeness to "{PROMPT}" 1.23;')]
    assert one.endswith("above 0 its words are true of the nodule, as the encoder sees it.")
    assert any("types in this report are by HU: the two can differ" in text for text in said)
    assert findings_as_json(job.analysed, job.context)["findings"][0]["likeness_to_prompt"] == 1.2345
    validate.check(job.datasets, job.template, [job.series])


def test_nothing_is_said_of_likeness_where_the_prompt_names_no_more_than_a_nodule() -> None:
    (sr,) = made(None).of_kind("sr")
    assert not any("likeness to" in text and PROMPT in text for text in texts(sr))
    assert not any("the two can differ" in text for text in texts(sr))


def test_where_nothing_is_what_was_asked_for_the_report_does_not_say_that_nothing_was_found() -> None:
    job = made(0)
    assert [result.kind for result in job.results] == ["sr"]
    (sr,) = job.of_kind("sr")
    assert conclusion(sr).endswith("0 found. Other findings above threshold, not asked for and not listed: 2.")
    assert not any("no lung nodule was found" in text for text in texts(sr))
    # the category of the examination is that of all findings
    answers = [each for each in items(sr) if each.ConceptNameCodeSequence[0].CodeValue == "1362105002"]
    assert [each.ConceptCodeSequence[0].CodeValue for each in answers] == ["RDE1702.21"]
    validate.check(job.datasets, job.template, [job.series])


def test_the_examination_is_told_in_one_line() -> None:
    (sr,) = made(None).of_kind("sr")
    (line,) = [text for text in texts(sr) if text.startswith("Examination: 2 findings")]
    assert line.startswith("Examination: 2 findings above threshold, ranked by volume times detection score; largest ")
    assert "mm mean diameter, right lung, middle third; highest detection score Nodule 1, 0.75." in line
    (plain,) = [text for text in texts(made(None, scored=False).of_kind("sr")[0]) if "ranked by volume;" in text]
    assert plain.startswith("Examination: 2 findings, ranked")
    # scores of several searches do not compare
    assert "score" not in plain
    assert plain.endswith("mm mean diameter, right lung, middle third.")


def test_suspicion_is_a_word_for_malignancy_alone() -> None:
    for scored in (True, False):
        (sr,) = made(None, scored=scored).of_kind("sr")
        assert not any("suspicious" in text for text in texts(sr))


def test_a_study_that_was_not_analysed_was_not_searched() -> None:
    series = synthetic_ct.series()
    (sr,) = case(series, [], None, context(algorithm=SCORED)).of_kind("sr")
    assert not any("was searched" in text for text in texts(sr))
    assert any(SHA256 in text for text in texts(sr))


def test_the_findings_as_json_name_prompt_encoder_threshold_and_count() -> None:
    job = made(1)
    told = findings_as_json(job.analysed, job.context)
    assert told["detection"] == {
        "prompt": PROMPT,
        "encoder": {"name": "Emerald image-text encoder", "version": "0.1.0", "sha256": SHA256},
        "threshold": 0.71,
        "false_positives_per_scan_at_threshold": 2.5,
        "validation_scans": 2,
    }
    assert (len(told["findings"]), told["series"][0]["found_but_not_asked_for"]) == (1, 1)
