"""How a node ends and begins: by SIGTERM at work, twice on one folder, on a taken port, without its workers."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.domain import Outcome, Reason
from tests.crash.installation import WithCelery
from tests.crash.judge import lost, results
from tests.crash.study import Sender, Study, make_study
from tests.support.line import Line
from tests.support.programs import DCMTK, needs
from tests.support.recorder import RecordingPacs
from tests.support.running import RunningNode, descendants, is_alive, pid_of, storescu, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.foreign, needs(str(DCMTK / "storescu"), str(DCMTK / "storescp"))]
_PATIENCE_S = 120.0
# a forked process that analyses, a spawned one that delivers, and multiprocessing's resource tracker
N_CELERY_PROCESSES = 3


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


def serve(config: Path) -> subprocess.CompletedProcess[str]:
    """Run ``emerald serve`` where it has to refuse."""
    command = [sys.executable, "-m", "dicom_node", "serve", "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_second_node_on_the_same_folder_refuses(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "node") as running:
        second = serve(running.config)
        assert second.returncode == 1
        assert "another emerald serve already uses this data_dir" in second.stderr
        assert "Traceback" not in second.stderr
        assert running.is_running
        assert len(running.children()) == 2


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = RunningNode(tmp_path / "node", dicom={"host": "127.0.0.1", "port": taken.getsockname()[1]})
        refused = serve(running.config)
    assert refused.returncode == 1
    assert str(running.settings.dicom.port) in refused.stderr
    assert "Traceback" not in refused.stderr


def test_without_its_folder_a_node_begins_anew(tmp_path: Path, study: Study) -> None:
    with RunningNode(tmp_path / "node") as running:
        storescu(study.folder, running.remote, "-xe")
        first = (tmp_path / "node" / "installation").read_text()
        assert running.stop() == 0
        shutil.rmtree(tmp_path / "node")
    with RunningNode(tmp_path / "node") as running:
        store = running.store
        assert store.jobs() == []
        assert sum(peer.n_instances for peer in store.peers()) == 0
        store.close()
        assert (tmp_path / "node" / "installation").read_text() != first


def test_workers_end_with_a_node_that_is_killed_while_it_starts(tmp_path: Path) -> None:
    running = RunningNode(tmp_path / "node")
    running.launch()
    children = wait_until(lambda: len(found := running.children()) == 2 and found, 30, "workers", 0.01)
    running.kill()
    wait_until(lambda: not any(map(is_alive, children)), 5, "the workers have ended")


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[RecordingPacs]:
    (tmp_path / "pacs").mkdir()
    with RecordingPacs(tmp_path / "pacs") as running:
        yield running


def modalities(pacs: RecordingPacs) -> list[str]:
    return sorted(each.Modality for each in results(list(pacs.recorded.iterdir())).values())


def test_sigterm_while_an_image_arrives_and_another_study_is_analysed(
    tmp_path: Path, study: Study, pacs: RecordingPacs
) -> None:
    other = make_study(tmp_path / "other", "another")
    with (
        RunningNode(tmp_path / "node", [pacs.remote], settle={"quiet_s": 3.0}) as running,
        Line(running.remote) as line,
    ):
        store = running.store
        line.hold("there", 700_000)
        sender = Sender(other, line.remote, tmp_path / "storescu.log")
        storescu(study.folder, running.remote, "-xe")
        wait_until(lambda: any(status.worker for status in store.jobs()), _PATIENCE_S, "the analysis has begun", 0.02)
        sender.start()
        wait_until(line.held.is_set, _PATIENCE_S, "half of the other study has come", 0.01)
        assert running.stop() == 0  # within 20 s
        line.cut()
        running.start()
        wait_until(lambda: not sender.is_alive(), _PATIENCE_S, "the sender is content")
        assert len(running.wait_done(2)) == 2
        analyses = [each for job_id in (1, 2) for each in store.attempts(job_id) if each.target is None]
        store.close()
        assert {each.result for each in analyses} <= {"saved", "given back"}, analyses
        assert lost(sender.acknowledged(), other, running.data_dir) == []
    assert modalities(pacs) == ["SEG", "SEG", "SR", "SR"]


def test_sigterm_gives_the_job_back(tmp_path: Path, study: Study) -> None:
    with RunningNode(tmp_path / "node") as running:
        store = running.store
        storescu(study.folder, running.remote, "-xe")
        wait_until(lambda: any(status.worker for status in store.jobs()), _PATIENCE_S, "the analysis has begun", 0.01)
        assert running.stop() == 0
        (status,) = store.jobs()
        assert (status.job.state, status.worker, status.attempts, status.next_attempt_at) == ("READY", None, 0, None)
        assert [attempt.result for attempt in store.attempts(1)] == ["given back"]
        store.close()


def test_a_job_that_kills_its_worker_each_time_is_reported_as_failed(
    tmp_path: Path, study: Study, pacs: RecordingPacs
) -> None:
    with RunningNode(tmp_path / "node", [pacs.remote]) as running:
        store = running.store
        storescu(study.folder, running.remote, "-xe")
        for number in range(1, running.settings.worker.attempts + 1):
            wait_until(lambda number=number: len(store.attempts(1)) == number, _PATIENCE_S, f"attempt {number}", 0.01)
            os.kill(pid_of(store.attempts(1)[-1].worker), signal.SIGKILL)
        (status,) = running.wait_done()
        store.close()
    assert (status.job.outcome, status.job.reason) == (Outcome.NOT_ANALYSED, Reason.FAILED)
    assert "killed" in status.job.detail
    assert modalities(pacs) == ["SR"]


def test_a_celery_worker_ends_on_sigterm_with_all_its_processes(tmp_path: Path) -> None:
    with WithCelery(tmp_path / "node", [], 1.0) as installation:
        worker = installation.worker
        processes = wait_until(
            lambda: len(found := descendants(worker.pid)) >= N_CELERY_PROCESSES and found, 60, "all processes run"
        )
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
        wait_until(lambda: not any(map(is_alive, processes)), 5, "its processes have ended")
