"""``emerald serve``: the node in the foreground."""

import argparse
import logging
import signal
import threading
from types import FrameType

from dicom_node.cli.options import Commands, add_config, load_settings
from dicom_node.node import Launcher, Node
from dicom_node.settings import Settings


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "serve",
        help="run the node in the foreground",
        description="Receive CT, analyse it, deliver the results. All state lies under data_dir. Ends on SIGTERM.",
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = load_settings(arguments)
    stop = threading.Event()

    def end(signal_number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with Node(settings, launcher(settings, arguments.log_level)) as node:
        logging.getLogger(__name__).info("listening on %s:%d", settings.dicom.host, node.port)
        node.run(stop)
    return 0


def launcher(settings: Settings, log_level: str) -> Launcher:
    """Return the launcher that the settings ask for."""
    if settings.worker.launcher == "celery":
        from dicom_node.celery_app import CeleryLauncher  # noqa: PLC0415 - Celery only where it is used

        return CeleryLauncher(settings)
    from dicom_node.embedded import EmbeddedLauncher  # noqa: PLC0415

    return EmbeddedLauncher(settings, log_level)
