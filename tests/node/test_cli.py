"""The command line: exit codes, messages that name the field or file, no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_node.cli import main
from dicom_node.cli.demo_pacs import free_port


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'data_dir = "{tmp_path / "data"}"\n[dicom]\nport = {free_port()}\n')
    return path


def test_a_wrong_setting_ends_with_2_and_its_name(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMERALD_DICOM__PORT", "70000")
    assert main(["jobs", "--config", str(config)]) == 2
    assert "dicom.port" in capsys.readouterr().err


def test_settings_that_cannot_be_read_end_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


@pytest.mark.parametrize("peer", ["PACS", "PACS@host", "PACS@host:port", "@host:104", "A_TITLE_THAT_IS_TOO_LONG@h:104"])
def test_a_peer_that_is_not_one_is_explained(peer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["send", str(tmp_path), peer])
    assert ended.value.code == 2
    assert "AE_TITLE@host:port" in capsys.readouterr().err


def test_a_folder_that_is_not_there_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 1
    assert "no such file or folder" in capsys.readouterr().err


def test_a_folder_without_dicom_says_why_each_file_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "note.txt").write_text("no DICOM")
    assert main(["analyse", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert "no readable DICOM instance among 1 files" in message
    assert "note.txt" in message


def test_a_peer_that_nobody_answers_for_ends_with_1(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = config.read_text()
    destination = f'[[destinations]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {free_port()}\n'
    pipeline = '[[pipelines]]\ncalled_ae_title = "EMERALD"\ndestinations = ["pacs"]\n'
    config.write_text(text + destination + pipeline)
    assert main(["check", "--config", str(config)]) == 1
    assert "refused" in capsys.readouterr().out


def test_an_empty_ledger_lists_no_jobs(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "--json", "--config", str(config)]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("command", ["job", "retry"])
def test_a_job_that_is_not_there_ends_with_1(command: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "7", "--config", str(config)]) == 1
    assert "there is no job 7" in capsys.readouterr().err


def test_a_celery_worker_of_an_embedded_node_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--config", str(config)]) == 2
    assert "worker.launcher" in capsys.readouterr().err


def test_no_network_of_neurons_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, hl7_emr, dicom_node.node, dicom_node.celery_app; "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
