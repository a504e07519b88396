"""One patient in all systems: in the images, in the messages of the hospital, and on its FHIR server."""

from pathlib import Path
from typing import Any

from pydicom import dcmread

from ai_engine.domain import Laterality
from ai_engine.phantom import Build, LungPosition, Sphere, thorax
from dicom_node.cases import phantom_series
from dicom_node.cases.phantom_series import SeriesIdentity
from tests.support.hl7_messages import message, msh, obx, pid

SYSTEM = "urn:oid:1.2.276.0.76.3.1.1"
AUTHORITIES = [{"name": "HOSP", "uri": SYSTEM}]
# low in the right lung: below the minor fissure in ordinary anatomy, so that Brock's "upper lobe" is known
_NODULE = Sphere(LungPosition(Laterality.RIGHT, 0.8), 14)


def write_study(folder: Path, seed: str = "emr", **header: str) -> Path:
    """Write a chest with one nodule as a study of Jane Doe; ``header`` changes what its images say."""
    phantom = thorax((112, 112, 112), (2.5, 3.2, 3.2), 7, (_NODULE,), Build(ends_per_lung=0))
    identity = SeriesIdentity(seed, patient_name="Doe^Jane", patient_id="4711", patient_sex="F", patient_age="075Y")
    said = {"IssuerOfPatientID": "HOSP", "PatientBirthDate": "19500203", "AccessionNumber": "ACC-1"} | header
    for path in phantom_series.write(phantom.volume, identity, folder):
        dataset = dcmread(path)
        for keyword, value in said.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path, enforce_file_format=True)
    return folder


def admission(control_id: str = "ADT-1") -> bytes:
    """Return an ADT^A08 that says: former smoker, emphysema."""
    smoker = obx("72166-2^Tobacco smoking status^LN", "CWE", "8517006^Former smoker^SCT")
    return message(msh("ADT^A08", control_id), pid(), "DG1|1||J43.9^Emphysema^I10C||20240301", smoker)


def order(control_id: str = "ORM-1") -> bytes:
    """Return an ORM^O01 of Jane Doe's examination."""
    return order_about(pid(), control_id)


def order_about(patient: str, control_id: str) -> bytes:
    """Return an ORM^O01 of the examination of the patient of this PID."""
    obr = "OBR|1|P-77^RIS||24627-2^CT Chest^LN" + "|" * 14 + "ACC-1" + "|" * 6 + "CT"
    return message(msh("ORM^O01", control_id), patient, "ORC|NW|P-77^RIS", obr)


def resources(**patient: Any) -> list[dict[str, Any]]:
    """Return Jane Doe on a FHIR server, whose father had lung cancer; ``patient`` changes who she is there."""
    person = {
        "resourceType": "Patient",
        "id": "17",
        "meta": {"versionId": "3"},
        "identifier": [{"system": SYSTEM, "value": "4711"}],
        "name": [{"family": "Doe", "given": ["Jane"]}],
        "birthDate": "1950-02-03",
        "gender": "female",
    }
    father = {
        "resourceType": "FamilyMemberHistory",
        "id": "5",
        "meta": {"versionId": "1"},
        "status": "completed",
        "date": "2020-05-01",
        "patient": {"reference": "Patient/17"},
        "relationship": {"coding": [{"code": "FTH"}]},
        "condition": [{"code": {"coding": [{"system": "http://snomed.info/sct", "code": "363358000"}]}}],
    }
    return [person | patient, father]
