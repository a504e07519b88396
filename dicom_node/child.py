"""A worker process of the embedded launcher: reads its settings from standard input, works, ends with its parent."""

import os
import signal
import sys
import threading
from types import FrameType


def main(role: str, log_level: str) -> None:
    """Work until the parent ends or says SIGTERM."""
    given = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the parent
    # Only now: these imports take seconds, and the parent may be killed meanwhile.
    from dicom_node import node  # noqa: PLC0415
    from dicom_node.settings import Settings  # noqa: PLC0415

    node.begin_log(log_level)
    settings = Settings.model_validate_json(given)
    if role == "analyse":
        os.nice(settings.worker.niceness)
        node.analyse_for_ever(settings)
    else:
        node.deliver_for_ever(settings)


def _end_with_parent() -> None:
    # Not through sys.stdin: its lock would be held for ever, and the interpreter could not end.
    while os.read(0, 1):
        pass
    os._exit(0)


def _end(signal_number: int, frame: FrameType | None) -> None:
    """Let the worker give back what it holds."""
    raise SystemExit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
