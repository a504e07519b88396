"""What is written for people agrees with what the program does."""

import argparse
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from dicom_node import settings
from dicom_node.cli import build_parser
from dicom_node.jobs import states
from hl7_emr import codes

ROOT = Path(__file__).parents[1]
COMMANDS = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]


def _fields(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Return the dotted names of all settings below a model, list indices left out."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        nested = list(_models(field.annotation))
        below = [_fields(kind, f"{prefix}{name}.") for kind in nested]
        names |= set().union(*below) if below else {prefix + name}
    return names


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation names, at any depth: of lists, of alternatives."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


def _keys(values: object, prefix: str = "") -> set[str]:
    if isinstance(values, dict):
        return set().union(*(_keys(value, f"{prefix}.{key}".lstrip(".")) for key, value in values.items()))
    if isinstance(values, list) and values and isinstance(values[0], dict):
        return set().union(*(_keys(value, prefix) for value in values))
    return {prefix}


def _sample() -> str:
    """Return deploy/node.toml with the settings that have no default switched on."""
    off = (
        "detection_threshold|weights|sha256|encoder_weights|encoder_sha256|published_encoder"
        "|certificate|key|client_authority|server_authority|private_key"
    )
    return re.sub(rf"# ({off}) =", r"\1 =", (ROOT / "deploy" / "node.toml").read_text())


def test_the_sample_settings_name_every_setting_and_no_other() -> None:
    assert _keys(tomllib.loads(_sample())) == _fields(settings.Settings)


def test_the_sample_settings_show_the_defaults() -> None:
    sample, defaults = settings.parse(tomllib.loads(_sample())), settings.Settings()
    for section in ("dicom", "settle", "retention", "worker", "ledger"):
        assert getattr(sample, section) == getattr(defaults, section)


def test_the_conformance_statement_lists_the_codes_that_the_record_is_read_by() -> None:
    text = (ROOT / "docs" / "conformance.md").read_text()
    assert not [code for _, code in (*codes.QUESTIONS, *codes.CHEST_CT) if code not in text]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_has_help(name: str) -> None:
    parser: argparse.ArgumentParser = COMMANDS[name]
    assert parser.description
    for action in parser._actions:
        assert action.help, f"{name}: {action.dest} has no help"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_readme_names_every_command(name: str) -> None:
    assert f"emerald {name}" in (ROOT / "README.md").read_text()


def test_every_file_that_the_documents_name_exists() -> None:
    pattern = re.compile(r"`((?:dicom_node|ai_engine|hl7_emr|tests|deploy|docs)/[\w./-]+)`")
    for document in ("README.md", "ARCHITECTURE.md", "docs/conformance.md"):
        for name in pattern.findall((ROOT / document).read_text()):
            assert (ROOT / name).exists(), f"{document} names {name}"


def test_the_picture_in_the_architecture_names_files_that_exist() -> None:
    picture = (ROOT / "ARCHITECTURE.md").read_text().split("```text")[1].split("```")[0]
    for name in re.findall(r"\b[a-z_]+/[a-z_]+(?:\.py)?", picture):
        folders = (ROOT / "dicom_node", ROOT)
        assert any((folder / name).exists() for folder in folders), name


@pytest.mark.parametrize("table", [states.JOB_TABLE, states.DELIVERY_TABLE])
def test_the_architecture_shows_every_row_of_the_state_tables(table: dict[tuple[str, str], str]) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for (state, event), after in table.items():
        assert f"| {state} | {event} | {after} |" in text


def test_the_architecture_fits_in_ten_minutes() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 150
