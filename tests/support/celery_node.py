"""A Celery worker whose steps wait for the test's word.

Started as ``python -m tests.support.celery_node FOLDER QUEUE``. ``FOLDER/analysing.N`` appears when the N-th analysis
has begun (its text is the process id); the analysis ends when ``FOLDER/go`` exists.
"""

import os
import sys
import threading
from pathlib import Path
from random import Random

from dicom_node.celery_app import Tools, consume
from dicom_node.domain import Job
from dicom_node.jobs.records import Delivery, Saved
from dicom_node.jobs.store import Store
from dicom_node.jobs.worker import Progress, Steps, Worker
from dicom_node.settings import Settings, parse
from tests.support.ledger import saved

LEASE_S = 3.0


def settings_for(folder: Path, launcher: str = "celery") -> Settings:
    """Return the settings of a node in ``folder`` whose broker listens on a socket there."""
    return parse(
        {
            "data_dir": folder,
            "worker": {"launcher": launcher, "lease_s": LEASE_S, "broker_url": f"redis+socket://{folder}/valkey.sock"},
        }
    )


def open_tools(settings: Settings) -> Tools:
    """Open the ledger, with steps that wait."""
    folder, store = settings.data_dir, Store(settings.ledger_url)

    def analyse(job: Job, progress: Progress) -> Saved:
        begun = len(list(folder.glob("analysing.*"))) + 1
        (folder / f"analysing.{begun}").write_text(str(os.getpid()))
        while not (folder / "go").exists():
            threading.Event().wait(0.02)
        (folder / "torch").write_text(str("torch" in sys.modules))
        return saved(job.id)

    def deliver(delivery: Delivery) -> None:
        with (folder / "delivered").open("a") as file:
            file.write(f"{delivery.job_id}\n")

    worker = Worker(store, Steps(analyse, deliver), f"celery-{os.getpid()}", LEASE_S, Random(1))
    return Tools(worker, (folder / "probed").touch)


if __name__ == "__main__":
    consume(settings_for(Path(sys.argv[1])), sys.argv[2], 1, "WARNING", open_tools)
