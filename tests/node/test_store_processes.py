"""Several processes on one ledger: no job is ever in two hands, none is lost, also where workers are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_node.jobs.store import Store
from tests.support.ledger import receive, settle

ROOT = Path(__file__).parents[2]
N_JOBS = 40

# Holding a job means owning its file: a second owner at the same time would find it there.
CLAIMANT = """
import os, sys
from pathlib import Path
from dicom_node.domain import Outcome
from dicom_node.jobs.store import Saved, Store

url, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
store = Store(url)
print("ready", flush=True)
sys.stdin.readline()
while (job := store.claim_job(name, 60)) is not None:
    own = folder / f"{job.id}.held"
    own.touch(exist_ok=False)
    own.unlink()
    (folder / f"{job.id}.{name}").touch(exist_ok=False)
    store.save_analysis(job.id, name, Saved(Outcome.NO_FINDING))
"""

# Claims, tells so, and stays there until it is killed.
VICTIM = """
import sys, threading
from dicom_node.jobs.store import Store

store = Store(sys.argv[1])
print(store.claim_job(sys.argv[2], 60).id, flush=True)
threading.Event().wait()
"""


@pytest.fixture
def many_ready(ledger_url: str) -> Store:
    store = Store(ledger_url)
    for n in range(N_JOBS):
        receive(store, range(1, 2), study=f"1.2.{n}")
        settle(store, n + 1)
    return store


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.slow
def test_processes_that_claim_at_once_never_hold_the_same_job(many_ready, ledger_url, tmp_path):
    claimants = [start(CLAIMANT, ledger_url, tmp_path, f"w{n}") for n in range(4)]
    for one in claimants:
        assert one.stdout.readline() == "ready\n"
    for one in claimants:
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in claimants:
        one.communicate(timeout=120)
    assert [one.returncode for one in claimants] == [0, 0, 0, 0]
    done = sorted(path.name for path in tmp_path.glob("*.w?"))
    assert len(done) == N_JOBS
    assert many_ready.counts().jobs == {"DONE": N_JOBS}
    assert {len(many_ready.attempts(job)) for job in range(1, N_JOBS + 1)} == {1}
    many_ready.close()


@pytest.mark.slow
def test_processes_that_make_the_ledger_at_once_all_get_it(ledger_url, tmp_path):
    claimants = [start(CLAIMANT, ledger_url, tmp_path, f"w{n}") for n in range(4)]
    assert [one.stdout.readline() for one in claimants] == ["ready\n"] * 4
    for one in claimants:
        one.communicate("go\n", timeout=60)
    assert [one.returncode for one in claimants] == [0, 0, 0, 0]


@pytest.mark.slow
def test_the_job_of_a_killed_process_is_given_back_and_its_connection_blocks_nobody(many_ready, ledger_url):
    victim = start(VICTIM, ledger_url, "victim")
    job_id = int(victim.stdout.readline())
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()
    assert job_id not in many_ready.claimable_jobs()
    assert many_ready.abandon("victim") == 1
    assert many_ready.attempts(job_id)[0].result == "lease expired"
    receive(many_ready, range(1, 3), study="1.3.1")
    assert many_ready.status(job_id).attempts == 1
    many_ready.close()
