"""A site's own codes in the settings: checked at start, used by the listener, the FHIR client and ``emr parse``."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from dicom_node import emr_delivery, node, settings
from dicom_node.cli import main
from dicom_node.cli.check import look
from dicom_node.emr_listener import intake_rules
from dicom_node.emr_records import open_records
from dicom_node.emr_store import EmrStore
from dicom_node.errors import SettingsError
from hl7_emr.domain import Identifier, PartialDate, Patient, PersonName
from hl7_emr.fhir.results import transaction
from hl7_emr.hl7v2.intake import examine
from tests.support.emr_case import AUTHORITIES, resources
from tests.support.emr_systems import FhirStandIn
from tests.support.hl7_messages import message, msh, obx, pid
from tests.support.imaging_reports import report

URI = "https://hospital.example/codes"
CODES = [
    {"systems": ["99KIS", URI], "code": own, "means": means}
    for own, means in [("SMK", "LN 72166-2"), ("EX", "http://snomed.info/sct|8517006"), ("PY", "LOINC 8664-5")]
]
JANE = Patient((Identifier("4711", "HOSP"),), (PersonName("Doe", ("Jane",)),), PartialDate(1950, 2, 3), "F")
SMOKER = obx("SMK^Raucherstatus^99KIS", "CWE", "EX^Exraucher^99KIS")


def values(folder: Path, codes: list[dict[str, Any]], **emr: Any) -> dict[str, Any]:
    return {"data_dir": str(folder / "data"), "emr": {"codes": codes, "authorities": AUTHORITIES, **emr}}


def pack_years(subject: str = "Patient/17") -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "8",
        "status": "final",
        "subject": {"reference": subject},
        "effectiveDateTime": "2025-01-01",
        "code": {"coding": [{"system": URI, "code": "PY"}]},
        "valueQuantity": {"value": 30},
    }


def test_messages_and_fhir_are_read_by_the_same_codes(tmp_path: Path) -> None:
    with FhirStandIn([*resources(), pack_years()]) as server:
        told = settings.parse(values(tmp_path, CODES, fhir={"base_url": server.base_url}))
        store = node.open_store(told)
        content = message(msh("ORU^R01", "M1"), pid(), SMOKER)
        taken = examine(content, "peer", datetime(2026, 1, 2, tzinfo=UTC), intake_rules(told))
        EmrStore(store).take([taken.received])
        with open_records(told, store) as records:
            record = records.lookup(JANE, date(2026, 1, 15)).record
        store.close()

    assert record is not None
    assert record.smoking_status is not None
    assert record.pack_years is not None
    smoking, amount = record.smoking_status, record.pack_years
    assert smoking.code is not None
    assert amount.code is not None
    assert (smoking.value, smoking.code.system, smoking.code.code) == ("former", "99KIS", "EX")
    assert smoking.code.display == "Exraucher"
    assert (amount.value, amount.code.system, amount.code.code) == (30, URI, "PY")


WRONG = [{"systems": ["99KIS"], "code": "SMK", "means": "LN 72166-3"}]


def test_a_wrong_meaning_is_named_at_start_whatever_the_sources(tmp_path: Path) -> None:
    told = settings.parse(values(tmp_path, WRONG))

    with pytest.raises(SettingsError, match="99KIS SMK means LN 72166-3, which is no code") as caught:
        node.build_parts(told)
    assert caught.value.field == "emr.codes"
    (line,) = [each for each in look(told) if each.what == "codes of the site"]
    assert line.state == "wrong"
    assert "99KIS SMK" in line.words


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"means": "72166-2"}, "emr.codes.0.means"),
        ({"means": ""}, "emr.codes.0.means"),
        ({"systems": []}, "emr.codes.0.systems"),
        ({"code": ""}, "emr.codes.0.code"),
    ],
)
def test_an_entry_that_is_none_is_named(change: dict[str, Any], field: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.parse(values(tmp_path, [CODES[0] | change]))
    assert caught.value.field == field


def test_parse_reads_by_the_codes_of_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, hl7, fhir = tmp_path / "node.toml", tmp_path / "m.hl7", tmp_path / "o.json"
    entries = [
        f"{{ systems = {each['systems']}, code = '{each['code']}', means = '{each['means']}' }}" for each in CODES
    ]
    config.write_text(f"[emr]\ncodes = [{', '.join(entries)}]\n")
    hl7.write_bytes(message(msh("ORU^R01"), pid(), SMOKER))
    fhir.write_text(json.dumps(pack_years()))

    def record(path: Path, *options: str) -> dict[str, Any]:
        assert main(["emr", "parse", str(path), "--json", *options]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        known: dict[str, Any] = found["records"][0]
        return known

    assert record(hl7, "--config", str(config))["smoking_status"]["value"] == "former"
    assert record(fhir, "--config", str(config))["pack_years"]["value"] == 30
    assert "smoking_status" not in record(hl7)


def test_an_emr_is_told_by_its_own_systems() -> None:
    base = {"kind": "fhir", "name": "emr", "base_url": "https://fhir.example/r4"}
    own = {
        "accession_system": "urn:oid:1.2.3.4",
        "order_system": "https://hospital.example/orders",
        "report_category": "http://loinc.org|LP29684-5",
    }
    told, plain = (
        settings.parse({"emr": {"destinations": [each]}}).emr_destination("emr") for each in (base | own, base)
    )
    assert isinstance(told, settings.FhirDestination)
    assert isinstance(plain, settings.FhirDestination)

    def written(destination: settings.FhirDestination) -> tuple[Any, ...]:
        bundle = transaction(report(), "Patient/17", emr_delivery.systems_of(destination))
        by_kind = {each["resource"]["resourceType"]: each["resource"] for each in bundle["entry"]}
        study, said = by_kind["ImagingStudy"], by_kind["DiagnosticReport"]
        coding = said["category"][0]["coding"][0]
        accession, order = study["identifier"][1], said["basedOn"][0]["identifier"]
        return accession.get("system"), order.get("system"), coding["system"], coding["code"]

    assert written(told) == ("urn:oid:1.2.3.4", "https://hospital.example/orders", "http://loinc.org", "LP29684-5")
    assert written(plain) == (None, None, "http://terminology.hl7.org/CodeSystem/v2-0074", "RAD")


@pytest.mark.parametrize(
    ("name", "wrong"), [("accession_system", "hospital"), ("report_category", "RAD"), ("report_category", "a:b|c d")]
)
def test_a_system_that_is_no_uri_is_named(name: str, wrong: str) -> None:
    base = {"kind": "fhir", "name": "emr", "base_url": "https://fhir.example/r4"}
    with pytest.raises(SettingsError) as caught:
        settings.parse({"emr": {"destinations": [base | {name: wrong}]}})
    assert caught.value.field.endswith(name)
