"""Weights as the operator meets them: listed, verified, fetched, and refused at start without a traceback."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ai_engine.errors import WeightsError
from ai_engine.sam2 import weights
from ai_engine.sam2.weights import Weights
from dicom_node import engines
from dicom_node.cli import main
from dicom_node.cli.analyse import box_prompt, point_prompt
from dicom_node.cli.models import pull
from dicom_node.errors import SettingsError
from dicom_node.settings import EngineSettings

NAME, CONTENT = "sam2.1_hiera_tiny", b"weights of the site"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'data_dir = "{tmp_path / "data"}"\n[dicom]\nport = 0\n')
    return path


def with_engine(config: Path, **values: object) -> list[str]:
    """Write engine settings; returns the options that name the file."""
    lines = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else repr(str(value))}"
        for name, value in values.items()
    ]
    text = config.read_text()
    config.write_text(f'{text}[[pipelines]]\ncalled_ae_title = "EMERALD"\n[pipelines.engine]\n' + "\n".join(lines))
    return ["--config", str(config)]


def test_the_list_says_name_size_hash_licence_and_path(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--config", str(config)]) == 0
    told = capsys.readouterr().out
    for part in (
        NAME,
        "156.0 MB",
        "7402e0d864fa8270",
        "Apache-2.0",
        "not here",
        str(config.parent / "data" / "models"),
    ):
        assert part in told
    assert "bundled" in told


def test_missing_weights_refuse_the_start(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = with_engine(config, tier="official", model=NAME)
    assert main(["serve", *options]) == 2
    assert main(["models", "verify", *options]) == 1
    told = capsys.readouterr()
    assert f"emerald models pull {NAME}" in told.err
    assert "missing" in told.out


def test_wrong_weights_refuse_the_start_even_with_a_fallback(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "ours.pt").write_bytes(CONTENT)
    options = with_engine(config, tier="official", model=NAME, weights=config.parent / "ours.pt", allow_fallback=True)
    assert main(["serve", *options]) == 2
    assert main(["models", "verify", *options]) == 1
    told = capsys.readouterr()
    assert SHA256 in told.err
    assert "wrong" in told.out


def test_the_sites_own_hash_lets_its_file_pass(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "ours.pt").write_bytes(CONTENT)
    options = with_engine(config, tier="official", weights=config.parent / "ours.pt", sha256=SHA256)
    assert main(["models", "verify", *options]) == 0
    assert "ok" in capsys.readouterr().out


def test_a_model_that_there_is_not_is_refused_by_name(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = with_engine(config, tier="official", model="sam9")
    assert main(["serve", *options]) == 2
    assert main(["models", "pull", "sam9", *options]) == 1
    assert "sam9" in capsys.readouterr().err


def test_with_leave_the_tier_without_weights_stands_in_and_says_so(tmp_path: Path) -> None:
    settings = EngineSettings(tier="official", allow_fallback=True)
    algorithm = engines.engine_for(settings, tmp_path).algorithm
    assert algorithm.family == "bundled"  # the encoder finds, with weights that come with the node
    assert "those of the tier official are missing" in algorithm.name
    assert algorithm.digest != engines.engine_for(EngineSettings(), tmp_path).algorithm.digest
    without = engines.engine_for(settings.model_copy(update={"detector": "classical"}), tmp_path).algorithm
    assert without.family == "weight-free"
    assert "those of the tier official are missing" in without.name


@pytest.mark.slow
def test_a_gpu_that_is_not_there_refuses_the_start(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    options = with_engine(config, tier="official", device="cuda")
    assert main(["serve", *options]) == 2
    assert 'device is "cuda", and torch sees no CUDA device' in capsys.readouterr().err


def test_without_leave_nothing_stands_in(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pipelines\.engine"):
        engines.engine_for(EngineSettings(tier="official"), tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve a folder with one file of weights."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "w.pt").write_bytes(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()


def wanted(url: str, models_dir: Path, sha256: str = SHA256) -> Weights:
    model = replace(weights.model(NAME), url=url, file="w.pt", size=len(CONTENT), sha256=sha256)
    return weights.weights_of(model, models_dir)


def test_what_is_fetched_is_compared_before_it_is_there(server: str, tmp_path: Path) -> None:
    models = tmp_path / "models"
    with pytest.raises(WeightsError, match="sha256"):
        pull(wanted(f"{server}w.pt", models, "0" * 64))
    assert list(models.iterdir()) == []
    pull(wanted(f"{server}w.pt", models))
    assert [path.name for path in models.iterdir()] == ["w.pt"]
    pull(wanted("http://127.0.0.1:9/gone", models))  # it is here: nobody is asked


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/w.pt", "{server}none.pt"])
def test_what_cannot_be_fetched_says_where_to_put_it(url: str, server: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot be fetched.*copy the file to"):
        pull(wanted(url.format(server=server), tmp_path / "models"), timeout_s=5)


def test_bundled_weights_are_not_fetched(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "bundled", "--config", str(config)]) == 1
    assert "come with the package" in capsys.readouterr().err


def test_prompts_are_read_from_the_command_line() -> None:
    assert (point_prompt("3,40,50").k, point_prompt("3, 40, 50").c) == (3, 50)
    box = box_prompt("3,10,20,12,25")
    assert (box.k, box.low_rc, box.high_rc) == (3, (9.5, 19.5), (12.5, 25.5))


@pytest.mark.parametrize(
    "words", [["--point", "3,40"], ["--point", "a,b,c"], ["--box", "3,10,20,5,25"], ["--box", "1,2"]]
)
def test_prompts_that_are_none_end_with_2(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["analyse", str(tmp_path), "--out", str(tmp_path / "out"), *words])
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err
