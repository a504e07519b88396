"""Patient and study in the results are those of the source, in whatever characters they are written."""

from copy import deepcopy
from io import BytesIO

import pydicom
import pytest
from pydicom import Dataset

from dicom_node import report
from dicom_node.domain import Reason, SeriesVerdict
from dicom_node.objects.patient_study import PATIENT_AND_STUDY
from dicom_node.record_used import RecordUsed
from hl7_emr.domain import PatientRecord
from tests.node.test_report import made
from tests.support import synthetic_ct
from tests.support.data import data_dir, needs_data
from tests.support.results import Case

PATIENT_STUDY = {
    "PatientAge": "071Y",
    "PatientSize": "1.7",
    "PatientWeight": "70",
    "EthnicGroup": "01",
    "SmokingStatus": "UNKNOWN",
    "PregnancyStatus": 4,
    "Occupation": "",
    "PatientComments": "",
    "AdmittingDiagnosesDescription": "cough",
    "PatientIdentityRemoved": "YES",
    "DeidentificationMethod": "by hand",
    "ReferringPhysicianName": "Ref^Erring",
    "IssuerOfPatientID": "HOSPITAL",
    "OtherPatientNames": "Doe^J",
}


def reread(job: Case) -> list[Dataset]:
    datasets = []
    for dataset in job.datasets:
        file = BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        datasets.append(pydicom.dcmread(BytesIO(file.getvalue())))
    return datasets


def test_every_attribute_of_patient_and_study_equals_the_source() -> None:
    job = made(synthetic_ct.series(**PATIENT_STUDY))
    for dataset in reread(job):
        for keyword in PATIENT_AND_STUDY:
            assert (keyword in dataset) >= (keyword in job.template), keyword
            assert (dataset.get(keyword) or None) == (job.template.get(keyword) or None), keyword


def test_what_the_source_leaves_out_is_present_and_empty_where_the_standard_wants_it() -> None:
    series = synthetic_ct.series()
    for dataset in series.datasets:
        for keyword in ("PatientBirthDate", "StudyID", "AccessionNumber", "StudyTime"):
            delattr(dataset, keyword)
    for dataset in reread(made(series)):
        assert (dataset.PatientBirthDate, dataset.StudyID, dataset.AccessionNumber) == ("", "", "")
        assert dataset.ReferringPhysicianName == ""


def test_an_empty_statement_on_lossy_compression_is_not_repeated() -> None:
    for dataset in made(synthetic_ct.series(LossyImageCompression="")).of_kind("seg"):
        assert dataset.LossyImageCompression == "00"
        assert "LossyImageCompressionRatio" not in dataset


def test_a_lossy_source_makes_a_lossy_result() -> None:
    lossy = synthetic_ct.series(
        LossyImageCompression="01", LossyImageCompressionRatio=12, LossyImageCompressionMethod="ISO_15444_1"
    )
    for kind in ("seg", "key_images"):
        dataset = made(lossy).of_kind(kind)[0]
        assert dataset.LossyImageCompression == "01"
        assert dataset.LossyImageCompressionRatio == 12


@pytest.mark.parametrize(("source", "result"), [("CHEST", "CHEST"), ("THORAX", "THORAX"), ("", "CHEST")])
def test_image_results_say_which_body_part_they_show(source: str, result: str) -> None:
    job = made(synthetic_ct.series(BodyPartExamined=source))
    assert {dataset.BodyPartExamined for kind in ("seg", "key_images") for dataset in job.of_kind(kind)} == {result}


@needs_data
@pytest.mark.parametrize(
    "name",
    [
        "chrFren.dcm",
        "chrGB2312.dcm",
        "chrGreek.dcm",
        "chrH31.dcm",
        "chrHbrw.dcm",
        "chrI2.dcm",
        "chrJapMultiExplicitIR6.dcm",
        "chrKoreanMulti.dcm",
        "chrX2.dcm",
    ],
)
def test_a_name_in_any_character_set_comes_back_as_it_came(name: str) -> None:
    source = pydicom.dcmread(data_dir() / "non-ct" / "charset" / name)
    job = made(with_patient_of(source))
    for dataset in reread(job):
        assert dataset.PatientName == source.PatientName
        assert dataset.get("SpecificCharacterSet") == source.get("SpecificCharacterSet")
        assert raw(dataset, "PatientName") == raw(source, "PatientName")


def with_patient_of(source: Dataset):
    series = synthetic_ct.series()
    for dataset in series.datasets:
        for keyword in ("SpecificCharacterSet", "PatientName", "ReferringPhysicianName", "StudyDescription"):
            if keyword in source:
                dataset[keyword] = deepcopy(source[keyword])
    return series


def raw(dataset: Dataset, keyword: str) -> bytes:
    """Return the bytes of a person name as they were read."""
    return b"=".join(dataset[keyword].value.original_string.split(b"=")).rstrip(b" ")


@pytest.mark.parametrize(
    ("character_set", "written"),
    [("ISO_IR 192", "Übersicht 胸部"), ("ISO_IR 100", "?bersicht ??"), (None, "?bersicht ??")],
)
def test_a_series_description_beyond_the_character_set_of_the_report_does_not_break_it(
    character_set: str | None, written: str
) -> None:
    attributes = {"SpecificCharacterSet": character_set} if character_set else {}
    job = made(synthetic_ct.series(**attributes))
    other = SeriesVerdict("2.25.7", 1, "Übersicht 胸部", "CT", 2, Reason.LOCALIZER)
    results = report.results(job.job, job.template, job.analysed, [other], RecordUsed(PatientRecord()), job.context)
    file = BytesIO()
    results[-1].dataset.save_as(file, enforce_file_format=True)
    comments = [
        item.get("TextValue", "")
        for item in pydicom.dcmread(BytesIO(file.getvalue())).ContentSequence[-1].ContentSequence
    ]
    assert f"Not analysed: series 1 (CT, {written}), 2 images: localizer (scout) images [localizer]" in comments
