"""The ``emerald`` command: one module per command, each with ``add`` (its arguments) and ``run`` (its work).

Exit codes: 0 done, 1 it could not be done (the message says why), 2 the command line or a setting is wrong,
130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence

from dicom_node import node
from dicom_node.cli import analyse, check, demo, emr, evaluate, jobs, models, send, serve, train, worker
from dicom_node.errors import NodeError, SettingsError

_COMMANDS = (serve, worker, send, jobs, check, analyse, demo, evaluate, train, models, emr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = build_parser().parse_args(argv)
    node.begin_log(arguments.log_level)
    try:
        return int(arguments.run(arguments))
    except SettingsError as error:
        print(f"emerald: {error}", file=sys.stderr)
        return 2
    except NodeError as error:
        print(f"emerald: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:  # a folder that cannot be written, a full disk: the system's words name the file
        print(f"emerald: {error}", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; the documentation tests walk it."""
    parser = argparse.ArgumentParser(
        prog="emerald",
        description="A DICOM node that finds, segments and scores lung nodules on CT. Research use only.",
    )
    parser.add_argument(
        "--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="how much to log (INFO)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser
