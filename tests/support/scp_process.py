"""The receiving side as a process of its own, to be traced and measured.

``python -m tests.support.scp_process FOLDER`` prints its port and serves until its standard input ends.
``EMERALD_MAX_OBJECT_MB`` sets the largest object.
"""

import os
import sys
from pathlib import Path

from tests.support.receiving import receiver

if __name__ == "__main__":
    with receiver(Path(sys.argv[1]), max_object_mb=int(os.environ.get("EMERALD_MAX_OBJECT_MB", "100"))) as node:
        print(node.port, flush=True)
        sys.stdin.read()
