"""``emerald worker``: a Celery worker for a node of more than one machine."""

import argparse

from dicom_node import engines
from dicom_node.cli.options import Commands, add_config, load_settings
from dicom_node.errors import SettingsError


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "worker",
        help='run a Celery worker (worker.launcher = "celery")',
        description="Run analyses and deliveries that a node hands out over a Redis or Valkey broker. The embedded "
        "launcher needs no such worker: `emerald serve` starts its own.",
    )
    add_config(parser)
    parser.add_argument("--concurrency", type=int, default=1, metavar="N", help="tasks at a time (1)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Work until SIGTERM."""
    settings = load_settings(arguments)
    if settings.worker.launcher != "celery":
        raise SettingsError("worker.launcher", 'is "embedded"; a Celery worker needs "celery"')
    engines.check_engines(settings)
    from dicom_node import celery_app  # noqa: PLC0415 - Celery only where it is used

    celery_app.work(settings, arguments.concurrency, arguments.log_level)
    return 0
