"""From the last slice to the results in the PACS."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from dicom_node.cli.demo_pacs import OrthancPacs
from tests.support.running import RunningNode, storescu, wait_until

QUIET_S = 2.0


@dataclass(frozen=True)
class Journey:
    """Seconds from the answer to the last slice to SEG and SR in the PACS.

    Attributes
    ----------
    quiet_s : float
        The share that the node waited for more images, as its settings say.
    analysis_s : float
        The share between claim and results on disk.
    """

    seconds: float
    quiet_s: float
    analysis_s: float


def measure(study: Path, folder: Path) -> Journey:
    """Send a study to a node whose destination is a real Orthanc."""
    (folder / "pacs").mkdir(parents=True)
    with (
        OrthancPacs(folder / "pacs") as pacs,
        RunningNode(folder / "node", [pacs.remote], settle={"quiet_s": QUIET_S}) as node,
    ):
        storescu(study, node.remote, "-xe")
        begin = time.perf_counter()
        wait_until(lambda: _n_held(pacs) >= 2, 300, "SEG and SR in Orthanc", every_s=0.05)
        seconds = time.perf_counter() - begin
        store = node.store
        (status,) = store.jobs()
        attempt = next(attempt for attempt in store.attempts(status.job.id) if attempt.target is None)
        store.close()
    assert attempt.ended_at
    return Journey(seconds, QUIET_S, (attempt.ended_at - attempt.started_at).total_seconds())


def _n_held(pacs: OrthancPacs) -> int:
    return int(json.loads(pacs.get("/statistics"))["CountInstances"])
