"""Whether the device that settings name is there, asked without loading torch into this process."""

import subprocess
import sys

from ai_engine.errors import WeightsError

_ASK = "import sys, torch; sys.exit(not torch.cuda.is_available())"
_ENOUGH_S = 120


def check_device(device: str) -> None:
    """Make sure that ``"cuda"`` is there if it is asked for; a child process is asked, for some seconds.

    Raises
    ------
    WeightsError
        torch sees no CUDA device.
    """
    if device != "cuda":
        return
    told = subprocess.run([sys.executable, "-c", _ASK], timeout=_ENOUGH_S, capture_output=True, check=False)
    if told.returncode:
        raise WeightsError('device is "cuda", and torch sees no CUDA device here; "auto" takes the CPU where it must')
