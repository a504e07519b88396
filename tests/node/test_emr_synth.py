"""``emerald emr synth`` and ``emr lookup`` from the command line."""

import json
from datetime import UTC, datetime

import pytest

from dicom_node import node
from dicom_node.cli import main
from dicom_node.emr_store import EmrStore
from dicom_node.settings import Settings
from hl7_emr.hl7v2.intake import Rules, examine
from tests.support.hl7_messages import message, msh, pid

LINE = {
    "patient_id": "SYN-1",
    "issuer": "TEST",
    "spiculation": 3,
    "lobulation": 2,
    "texture": 5,
    "calcification": 6,
    "study_date": "2021-05-04",
    "name": "DOE^JANE",
    "birth_date": "19500309",
    "sex": "F",
}


@pytest.fixture(autouse=True)
def _at_a_place_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("EMERALD_DATA_DIR", str(tmp_path / "data"))


def synth(tmp_path, *lines, options=(), name="out.jsonl"):
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    out = tmp_path / name
    files = ["--attributes", str(tmp_path / "in.jsonl"), "--out", str(out)]
    return main(["emr", "synth", *files, *options]), out


def test_each_line_becomes_a_record_in_three_forms(tmp_path):
    code, out = synth(tmp_path, LINE, LINE | {"patient_id": "SYN-2"})

    first, second = map(json.loads, out.read_text().splitlines())
    assert code == 0
    assert (first["synthetic"], first["mode"], second["patient_id"]) == (True, "label-free", "SYN-2")
    assert first["record"]["age_years"]["value"] == 71
    assert first["fhir"]["entry"][0]["resource"]["name"] == [{"family": "DOE", "given": ["JANE"]}]
    assert first["hl7"][0].startswith("MSH|^~\\&|EMERALD-SYNTHETIC|")


def test_the_same_seed_gives_the_same_file(tmp_path):
    files = [synth(tmp_path, LINE, options=["--seed", "3"], name=name)[1].read_bytes() for name in ("a", "b")]

    assert files[0] == files[1]


def test_a_malignancy_changes_nothing_unless_the_mode_asks_for_it(tmp_path):
    def made(malignancy, mode):
        options = ["--mode", mode]
        lines = [LINE | {"malignancy": malignancy, "birth_date": "", "patient_id": f"S-{n}"} for n in range(20)]
        return synth(tmp_path, *lines, options=options)[1].read_bytes()

    assert made(1, "label-free") == made(5, "label-free")
    assert made(1, "emeralds") != made(5, "emeralds")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spiculation": 9}, "spiculation is 9"),
        ({"texture": "solid"}, "could not convert"),
        ({"study_date": "today"}, "isoformat"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, capsys, change, said):
    code, out = synth(tmp_path, LINE, LINE | change)

    error = capsys.readouterr().err
    assert (code, out.exists()) == (1, False)
    assert "line 2" in error
    assert said in error


def test_the_mode_that_reads_the_label_wants_one(tmp_path, capsys):
    code, _ = synth(tmp_path, LINE, options=["--mode", "emeralds"])

    assert code == 1
    assert "malignancy is missing" in capsys.readouterr().err


@pytest.mark.parametrize("fhir", [{}, {"base_url": "https://fhir.example/r4", "is_test": True}])
def test_a_patient_whom_messages_know_gets_no_record_made_up(tmp_path, monkeypatch, capsys, fhir):
    for name, value in fhir.items():
        monkeypatch.setenv(f"EMERALD_EMR__FHIR__{name.upper()}", str(value).lower())
    store = node.open_store(Settings(data_dir=tmp_path / "data"))
    EmrStore(store).take(
        [examine(message(msh(), pid()), "192.0.2.1", datetime(2026, 1, 1, tzinfo=UTC), Rules()).received]
    )
    store.close()

    code, out = synth(tmp_path, LINE, LINE | {"patient_id": "4711", "issuer": "HOSP"})

    assert (code, out.exists()) == (1, False)
    assert "line 2: a source of real records knows this patient" in capsys.readouterr().err


def test_lookup_of_nobody_says_why(capsys):
    asked = ["--patient-id", "1", "--name", "DOE^JANE", "--birth-date", "19500309", "--study-date", "2021-05-04"]

    code = main(["emr", "lookup", *asked, "--json"])

    said = json.loads(capsys.readouterr().out)
    assert code == 1
    assert said["match"]["reason"] == "issuer_unknown"
    assert (said["emr"], said["conflicts"], said["provenance"]["items"]) == ({}, [], [])
