"""The EMR is told what the PACS was told: every number of the SR is in the ORU and in the FHIR transaction."""

import json
from dataclasses import replace

import pydicom
import pytest

from dicom_node import report
from dicom_node.cli import main
from dicom_node.imaging_report import imaging_report, patient_of
from dicom_node.record_used import RecordUsed
from hl7_emr.domain import Identifier, PartialDate, PersonName
from hl7_emr.fhir.results import transaction
from hl7_emr.hl7v2.results import Addresses, oru
from tests.support import results as made_results
from tests.support.data import needs_data
from tests.support.reports import items

pytestmark = needs_data


@pytest.fixture(scope="module")
def case():
    series, files = made_results.chest_series("lidc-idri-0001")
    return made_results.case(series, files, [made_results.lidc_nodule(series), made_results.second_nodule(series)])


def sr_of(case):
    return next(each.dataset for each in case.results if each.kind == "sr")


def told(case, **more):
    sr = sr_of(case)
    return imaging_report(sr, case.job, RecordUsed(report.record_from_header(sr)), **more)


def numbers_of(sr):
    """Return the numbers in the nodules' groups, read without the node's code; probabilities as fractions."""
    found = []
    for item in items(sr):
        if item.ValueType == "CONTAINER" and item.ConceptNameCodeSequence[0].CodeValue == "125007":
            for child in item.ContentSequence:
                if child.ValueType == "NUM":
                    value = float(child.MeasuredValueSequence[0].NumericValue)
                    risk = child.ConceptNameCodeSequence[0].CodeValue == "111047"
                    found.append(round(value / 100, 6) if risk else value)
    return sorted(found)


@pytest.mark.slow
def test_every_number_of_the_report_is_in_both_messages(case):
    sr = sr_of(case)
    made = told(case)
    expected = numbers_of(sr)

    bundle = json.loads(json.dumps(transaction(made, "Patient/1")))
    by_fhir = [
        component["valueQuantity"]["value"]
        for entry in bundle["entry"]
        for component in entry["resource"].get("component", ())
        if "valueQuantity" in component
    ]
    by_fhir += [
        each["probabilityDecimal"] for entry in bundle["entry"] for each in entry["resource"].get("prediction", ())
    ]
    rows = [line.split("|") for line in oru(made, Addresses(), "1").decode().split("\r")]
    by_hl7 = [float(row[5]) for row in rows if row[0] == "OBX" and row[2] == "NM"]

    assert len(expected) > 20
    assert set(by_fhir) == set(expected)
    assert sorted(by_hl7) == sorted(by_fhir)


def test_each_nodule_is_told_once_under_its_tracking_uid(case):
    made = told(case)

    assert [finding.identifier for finding in made.findings] == ["Nodule 1", "Nodule 2"]
    uids = {
        str(item.UID)
        for item in items(sr_of(case))
        if item.ValueType == "UIDREF" and item.ConceptNameCodeSequence[0].CodeValue == "112040"
    }
    assert {finding.tracking_uid for finding in made.findings} == uids


def test_the_impression_is_the_conclusion_of_the_report(case):
    made = told(case)

    assert made.impression[0] == "2 lung nodules found."
    assert [line for line in made.impression if line.startswith("Nodule 1: ")]


def test_what_is_not_known_of_the_patient_is_told(case):
    record = report.record_from_header(sr_of(case))

    assert ("sex" in told(case).missing) == (record.sex is None)
    assert "emphysema" in told(case).missing


def test_a_study_that_was_not_analysed_is_told_too():
    series, files = made_results.chest_series("lidc-idri-0001")
    made = told(made_results.case(series, files, None))

    assert made.findings == ()
    assert made.impression[0].startswith("Not analysed, because: ")


def test_revisions_have_one_identifier_and_their_own_number(case):
    later = replace(case, job=replace(case.job, revision=2))

    assert told(later).identifier == told(case).identifier
    assert told(later).revision == 2


def test_the_patient_is_read_with_issuer_and_all_groups_of_the_name():
    header = pydicom.Dataset()
    header.PatientID = " 00123 "
    header.IssuerOfPatientID = "HOSP"
    header.PatientName = "Yamada^Tarou^^Dr^Jr=山田^太郎"
    header.PatientBirthDate = "19500309"
    header.PatientSex = "O"
    qualifiers = pydicom.Dataset()
    qualifiers.UniversalEntityID, qualifiers.UniversalEntityIDType = "1.2.3", "ISO"
    header.IssuerOfPatientIDQualifiersSequence = [qualifiers]

    patient = patient_of(header)

    assert patient.identifiers == (Identifier("00123", "HOSP", "1.2.3", "ISO"),)
    assert patient.names == (
        PersonName("Yamada", ("Tarou",), representation="A", suffix="Jr"),
        PersonName("山田", ("太郎",), representation="I"),
    )
    assert (patient.birth_date, patient.sex) == (PartialDate(1950, 3, 9), "")
    assert patient_of(pydicom.Dataset()).identifiers == ()


def test_a_job_that_is_not_there_has_no_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EMERALD_DATA_DIR", str(tmp_path / "data"))

    assert main(["emr", "report", "7", "--dry-run", str(tmp_path / "out")]) == 1
    assert "7" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
