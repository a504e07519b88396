"""A file system that fills up: the node refuses, stays up, goes on when there is room, and has lost nothing.

The data directory lies on a small file system in memory. Mounting one takes root, as CI has it.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ai_engine.phantom import Build, thorax
from dicom_node.cases import phantom_series
from dicom_node.cases.phantom_series import SeriesIdentity
from dicom_node.cli import main
from dicom_node.cli.demo_pacs import ReceiverPacs, free_port
from dicom_node.dimse import scu
from dicom_node.domain import Outcome, RemoteAE
from dicom_node.errors import PeerError
from tests.crash.study import NODULES, SHAPE, SPACING_KRC_MM
from tests.support.instances import CT_STORAGE, EXPLICIT_LE, ct, data_set
from tests.support.peers import ASSOCIATE_RJ, Peer, associate_request
from tests.support.running import RunningNode, wait_until
from tests.support.sending import Answered, Instance, instance_of, store

pytestmark = pytest.mark.slow

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
REJECTED_TRANSIENT = 2  # PS3.8 table 9-21


class SmallDisk:
    """A mounted tmpfs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def free_mb(self) -> int:
        """Return how much room there is."""
        return shutil.disk_usage(self.path).free >> 20

    def fill(self) -> None:
        """Take all the room."""
        with (self.path / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass

    def resize(self, mb: int) -> None:
        """Make room."""
        _mount("remount,", mb, self.path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    path = tmp_path / "disk"
    path.mkdir()
    _mount("", 40, path)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(option: str, mb: int, path: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"{option}size={mb}m", "tmpfs", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[RemoteAE]:
    with ReceiverPacs(tmp_path / "pacs") as receiver:
        yield receiver.remote


@pytest.fixture(scope="module")
def chest() -> list[Instance]:
    """Return a study in which nodules are found: 1.3 MB."""
    volume = thorax(SHAPE, SPACING_KRC_MM, 7, NODULES, Build(ends_per_lung=0)).volume
    return [instance_of(ds) for ds in phantom_series.instances(volume, SeriesIdentity("small disk"))]


@pytest.fixture(scope="module")
def filler() -> list[Instance]:
    """Return 80 images of half a megabyte that nobody reports on: localizers."""
    return [localizer(number) for number in range(80)]


def localizer(number: int) -> Instance:
    ds = ct(number, study="1.2.3.99", side=512)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return Instance(CT_STORAGE, ds.SOPInstanceUID, EXPLICIT_LE, data_set(ds))


def node_on(disk: SmallDisk, pacs: RemoteAE, log: Path, min_free_mb: int, **changes: dict[str, Any]) -> RunningNode:
    """Return a node whose state lies on the small disk; only its log does not."""
    node = RunningNode(disk.path, [pacs], dicom={"min_free_mb": min_free_mb}, **changes)
    node.log = log
    return node


def send(instances: Sequence[Instance], node: RunningNode) -> list[Answered]:
    """Send all over one association."""
    with Peer(node.remote.port, patience_s=60) as peer:
        peer.associate()
        answers = [store(peer, instance) for instance in instances]
        peer.release()
    return answers


def refuses(node: RunningNode, instance: Instance) -> bool:
    """Whether an instance is refused for the time being: by its status, or the association by its rejection."""
    with Peer(node.remote.port) as peer:
        peer.send(associate_request())
        kind, body = peer.read_pdu()
        if kind == ASSOCIATE_RJ:
            return body[1] == REJECTED_TRANSIENT
        return store(peer, instance).status == OUT_OF_RESOURCES


def refused(answers: Sequence[Answered]) -> list[Answered]:
    return [answered for answered in answers if answered.status != SUCCESS]


def files(node: RunningNode) -> set[Path]:
    return set(node.data_dir.glob("spool/received/**/*.dcm"))


def held(node: RunningNode) -> dict[str, bytes]:
    """Return the data sets in the spool, each of which must have its row in the ledger."""
    store_ = node.store
    assert files(node) == {Path(path) for path, must_exist in store_.received_paths().items() if must_exist}
    store_.close()
    instances = map(instance_of, files(node))
    return {instance.sop_instance_uid: instance.data_set for instance in instances}


def sent(*instances: Sequence[Instance]) -> dict[str, bytes]:
    return {one.sop_instance_uid: one.data_set for some in instances for one in some}


def echoes(node: RunningNode) -> bool:
    try:
        scu.echo(node.remote, "TEST", 5)
    except PeerError:
        return False
    return True


def test_below_the_watermark_images_are_refused_until_there_is_room(
    disk: SmallDisk, pacs: RemoteAE, chest: list[Instance], filler: list[Instance], tmp_path: Path
) -> None:
    with node_on(disk, pacs, tmp_path / "node.log", min_free_mb=12) as node:
        assert not refused(send(chest, node))
        answers = send(filler, node)
        no = refused(answers)
        assert 0 < len(no) < len(filler)
        assert {answered.status for answered in no} == {OUT_OF_RESOURCES}
        assert all("min_free_mb is 12" in answered.comment for answered in no)
        assert echoes(node)
        assert main(["check", "--config", str(disk.path / "node.toml")]) == 1
        # results are not refused: that is what the watermark keeps room for
        first, _ = node.wait_done(2)
        assert first.job.outcome == Outcome.FINDINGS
        taken = [one for one, answered in zip(filler, answers, strict=True) if answered.status == SUCCESS]
        assert held(node) == sent(chest, taken)

        disk.resize(120)
        assert not refused(send([*chest, *filler], node))
        assert held(node) == sent(chest, filler)
        assert len(node.wait_done(3)) == 3  # of the filler there is a second revision
        assert "Traceback" not in node.log.read_text(encoding="utf-8")


def test_a_disk_that_is_really_full_loses_nothing_that_was_acknowledged(
    disk: SmallDisk, pacs: RemoteAE, chest: list[Instance], filler: list[Instance], tmp_path: Path
) -> None:
    with node_on(disk, pacs, tmp_path / "node.log", min_free_mb=0) as node:
        answers = send([*filler, *chest], node)
        assert {answered.status for answered in refused(answers)} == {OUT_OF_RESOURCES}
        assert all(answered.comment for answered in refused(answers))
        pairs = zip([*filler, *chest], answers, strict=True)
        acknowledged = sent([one for one, answered in pairs if answered.status == SUCCESS])
        assert acknowledged
        assert node.is_running
        assert acknowledged.items() <= held(node).items()

        # not a byte is left, for the ledger neither
        disk.fill()
        assert refuses(node, chest[0])
        assert acknowledged.items() <= held(node).items()

        disk.resize(120)
        wait_until(lambda: echoes(node), 10, "C-ECHO, once there is room")
        assert not refused(send([*filler, *chest], node))
        node.kill()
        node.start()
        assert held(node) == sent(filler, chest)
        assert not list(disk.path.glob("spool/incoming/*"))
        outcomes = {status.job.study_instance_uid: status.job.outcome for status in node.wait_done(2)}
        assert outcomes[SeriesIdentity("small disk").uid("study")] == Outcome.FINDINGS
        assert "Traceback" not in node.log.read_text(encoding="utf-8")


def test_results_that_find_no_room_come_when_there_is_some(
    disk: SmallDisk, pacs: RemoteAE, chest: list[Instance], tmp_path: Path
) -> None:
    with node_on(disk, pacs, tmp_path / "node.log", min_free_mb=0, worker={"lease_s": 3}) as node:
        assert not refused(send(chest, node))
        wait_until(lambda: "analysis begins" in node.log.read_text(encoding="utf-8"), 30, "the analysis begins")
        disk.fill()
        wait_until(lambda: is_told_of_a_full_disk(node.log), 60, "the results find no room")
        disk.resize(120)
        (status,) = node.wait_done()

    assert status.job.outcome == Outcome.FINDINGS


def test_retention_makes_room_but_not_with_what_was_not_delivered(
    disk: SmallDisk, chest: list[Instance], filler: list[Instance], tmp_path: Path
) -> None:
    nobody = RemoteAE("PACS", "127.0.0.1", free_port())
    with node_on(disk, nobody, tmp_path / "node.log", 12, retention={"keep_received_days": 0}) as node:
        assert not refused(send(chest, node))
        assert refused(send(filler, node))
        wait_until(lambda: sorted(states(node)) == ["ANALYSED", "DONE"], 60, "both studies analysed")
        node.stop()
        node.start()  # housekeeping runs at the start, then each minute
        wait_until(lambda: len(files(node)) == len(chest), 20, "the localizers removed")
        wait_until(lambda: disk.free_mb() > 30, 5, "their room is free")
        assert held(node) == sent(chest)
        assert not refused(send(filler[:20], node))


def is_told_of_a_full_disk(log: Path) -> bool:
    """Whether the job's results found no room, as the operating system says it, or SQLite."""
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if "job 1: " in line]
    return any("No space left on device" in line or "database or disk is full" in line for line in lines)


def states(node: RunningNode) -> list[str]:
    store_ = node.store
    found = [status.job.state for status in store_.jobs()]
    store_.close()
    return found
