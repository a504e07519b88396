"""Settings from a TOML file and ``EMERALD_*`` overrides.

An override names a setting with ``__`` between the levels and the number for an entry of a list:
``EMERALD_DICOM__PORT=11113``, ``EMERALD_DESTINATIONS__0__HOST=pacs``; lists are JSON.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dicom_node.errors import SettingsError
from dicom_node.settings.whole import Settings


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings from a TOML file (None: defaults) and ``EMERALD_*`` overrides.

    Raises
    ------
    SettingsError
        The file cannot be read, or a field is unknown or wrong; the error names the field.
    """
    values = _read(path) if path else {}
    for key, value in environ.items():
        if key.startswith("EMERALD_") and not key.startswith("EMERALD_TEST_"):
            _override(values, key.removeprefix("EMERALD_").lower().split("__"), value)
    return parse(values)


def parse(values: Mapping[str, Any]) -> Settings:
    """Validate plain values; raises ``SettingsError`` naming the first wrong field."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "settings"
        raise SettingsError(field, first["msg"].removeprefix("Value error, ")) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"is not TOML: {error}") from error


def _override(values: dict[str, Any], names: list[str], text: str) -> None:
    """Set one value; a number among the names counts entries of a list, from 0."""
    where: Any = values
    for name, following in zip(names, [*names[1:], ""], strict=True):
        new: Any = _value(text) if not following else [] if following.isdigit() else {}
        key = _key(where, name, new, names)
        if not following or not isinstance(where[key], dict | list):
            where[key] = new
        where = where[key]


def _key(where: Any, name: str, new: Any, names: list[str]) -> str | int:
    """Return how ``name`` is addressed in a table or list, where it is made if it is not there yet."""
    if isinstance(where, dict):
        where.setdefault(name, new)
        return name
    if not name.isdigit() or int(name) > len(where):
        raise SettingsError(".".join(names), f"there are {len(where)} entries, counted from 0; {name} is not one")
    if int(name) == len(where):
        where.append(new)
    return int(name)


def _value(text: str) -> Any:
    """Read lists and tables as JSON; anything else is text, which the model turns into what the setting is."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
