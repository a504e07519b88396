"""Settings: read, overridden, refused with the name of the field."""

from pathlib import Path

import pytest

from dicom_node import settings
from dicom_node.errors import SettingsError

SAMPLE = """
data_dir = "/tmp/node"
[dicom]
port = 104
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "10.0.0.5"
port = 104
[[pipelines]]
called_ae_title = "EMERALD"
destinations = ["pacs"]
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(SAMPLE)
    return path


def test_the_environment_overrides_the_file(sample: Path) -> None:
    environ = {
        "EMERALD_DICOM__PORT": "11113",
        "EMERALD_DESTINATIONS__0__HOST": "pacs",
        "OTHER": "1",
        "EMERALD_TEST_DATA": "x",
    }
    read = settings.load(sample, environ)
    assert (read.dicom.port, read.destinations[0].host, read.destinations[0].ae_title) == (11113, "pacs", "PACS")


def test_a_list_in_the_environment_is_json(sample: Path) -> None:
    read = settings.load(sample, {"EMERALD_PIPELINES__0__ALLOW_CALLING": '[{"ae_title": "CT01"}]'})
    assert [peer.ae_title for peer in read.pipelines[0].allow_calling] == ["CT01"]


def test_the_environment_can_add_an_entry(tmp_path: Path) -> None:
    entry = {"NAME": "pacs", "AE_TITLE": "PACS", "HOST": "pacs", "PORT": "104"}
    read = settings.load(None, {f"EMERALD_DESTINATIONS__0__{key}": value for key, value in entry.items()})
    assert read.destinations[0].port == 104


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"EMERALD_DICOM__PORT": "99999"}, "dicom.port"),
        ({"EMERALD_DICOM__PRT": "1"}, "dicom.prt"),
        ({"EMERALD_PIPELINES__0__CALLED_AE_TITLE": "A TITLE OF TOO MANY"}, "pipelines.0.called_ae_title"),
        ({"EMERALD_DESTINATIONS__7__HOST": "pacs"}, "destinations.7.host"),
        ({"EMERALD_SETTLE__QUIET_S": "0"}, "settle.quiet_s"),
    ],
)
def test_a_wrong_setting_is_named(sample: Path, change: dict[str, str], field: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load(sample, change)
    assert caught.value.field == field


@pytest.mark.parametrize("text", ["data_dir = ", "\x00", "[dicom"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="not TOML"):
        settings.load(path, {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml"):
        settings.load(tmp_path / "none.toml", {})


@pytest.mark.parametrize("title", ["A", "CT 01", "X" * 16])
def test_ae_titles_of_the_standard_are_taken(title: str) -> None:
    assert settings.Pipeline(called_ae_title=title).called_ae_title == title


@pytest.mark.parametrize("title", ["", " ", " A", "A ", "A\\B", "X" * 17, "Ä"])
def test_other_ae_titles_are_refused(title: str) -> None:
    with pytest.raises(SettingsError):
        settings.parse({"pipelines": [{"called_ae_title": title}]})


def test_a_pipeline_may_send_only_to_destinations_that_there_are() -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        settings.parse({"pipelines": [{"called_ae_title": "A", "destinations": ["nowhere"]}]})


RIS = {"kind": "hl7v2", "name": "ris", "host": "ris", "port": 2575}
PACS = {"name": "pacs", "ae_title": "PACS", "host": "pacs", "port": 104}


def test_a_pipeline_sends_to_pacs_and_emr_by_name() -> None:
    values = {"destinations": [PACS], "emr": {"destinations": [RIS]}}
    pipeline = {"called_ae_title": "EMERALD", "destinations": ["pacs", "ris"]}
    read = settings.parse(values | {"pipelines": [pipeline]})
    assert read.targets == ("pacs", "ris")
    assert read.destination("ris") is None
    assert read.emr_destination("ris") == read.emr.destinations[0]


@pytest.mark.parametrize(
    ("emr", "field"),
    [
        (RIS | {"name": "pacs"}, "settings"),
        (RIS | {"kind": "hl7v3"}, "emr.destinations.0"),
        (RIS | {"port": 70000}, "emr.destinations.0.hl7v2.port"),
        ({"kind": "fhir", "name": "emr", "base_url": ""}, "emr.destinations.0.fhir.base_url"),
    ],
)
def test_a_wrong_emr_is_named(emr: dict[str, object], field: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings.parse({"destinations": [PACS], "emr": {"destinations": [emr]}})
    assert raised.value.field == field


@pytest.mark.parametrize(("pacs", "ris", "taken"), [(True, True, True), (True, False, False), (False, True, False)])
def test_synthetic_records_are_for_pipelines_whose_destinations_are_all_tests(
    pacs: bool, ris: bool, taken: bool
) -> None:
    values = {"destinations": [PACS | {"is_test": pacs}], "emr": {"destinations": [RIS | {"is_test": ris}]}}
    pipeline = {"called_ae_title": "EMERALD", "destinations": ["pacs", "ris"]}
    assert settings.parse(values | {"pipelines": [pipeline]}).takes_synthetic("EMERALD") == taken
