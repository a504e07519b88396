"""Options and values that several commands take."""

import argparse
import os
from pathlib import Path
from typing import Any

from dicom_node import settings
from dicom_node.domain import RemoteAE
from dicom_node.errors import CaseDataMissing, SettingsError

Commands = Any  # argparse has no public name for the object that add_subparsers returns


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (TOML); without it: defaults and EMERALD_* variables"
    )


def add_data(parser: argparse.ArgumentParser, holds: str) -> None:
    """Add ``--data``, the folder with the shared cases; ``holds`` says what must be in it."""
    default = os.environ.get("EMERALD_TEST_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=None if default is None else Path(default),
        help=f"folder that holds {holds} (EMERALD_TEST_DATA)",
    )


def data_of(arguments: argparse.Namespace, folder: str) -> Path:
    """Return the folder that ``--data`` names; raises ``CaseDataMissing``, with the folder that it must hold."""
    if arguments.data is None:
        raise CaseDataMissing(f"say with --data or EMERALD_TEST_DATA where the folder with {folder} is")
    data: Path = arguments.data
    return data


def load_settings(arguments: argparse.Namespace) -> settings.Settings:
    """Read the settings that ``--config`` names; raises ``SettingsError``."""
    return settings.load(arguments.config)


def remote_ae(text: str) -> RemoteAE:
    """Parse ``AE@host:port``.

    Raises
    ------
    argparse.ArgumentTypeError
        The text is not of that form; the message shows the form.
    """
    try:
        ae_title, address = text.rsplit("@", 1)
        host, port = address.rsplit(":", 1)
        values = {"name": "peer", "ae_title": ae_title, "host": host.strip("[]"), "port": int(port)}
        return settings.parse({"destinations": [values]}).destinations[0].remote
    except (ValueError, SettingsError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not AE_TITLE@host:port, for example PACS@10.0.0.5:104"
        ) from error
