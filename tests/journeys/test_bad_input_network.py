"""Peers that mean no good, all at one running node; in their midst a good study arrives and is analysed."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.domain import Outcome
from tests.crash.study import Study, make_study
from tests.support.peers import STORE_CONTEXT, Peer, associate_request, p_data
from tests.support.running import RunningNode
from tests.support.sending import Answered, Instance, instance_of, send_file, send_instance

pytestmark = pytest.mark.slow

N_IDLE = 200
MAX_OBJECT_MB = 20
MB = 1 << 20


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with RunningNode(tmp_path_factory.mktemp("node"), dicom={"max_object_mb": MAX_OBJECT_MB}) as running:
        yield running
        assert "Traceback" not in running.log.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def serves_on(node: RunningNode) -> Iterator[None]:
    """After each test an orderly peer is served."""
    yield
    with Peer(node.remote.port) as peer:
        peer.associate()
        assert peer.echo() == 0
        peer.release()


@pytest.fixture
def slice_(study: Study) -> Instance:
    return instance_of(next(iter(study.files.values())))


def test_an_unknown_called_ae_title_is_rejected(node: RunningNode) -> None:
    with Peer(node.remote.port) as peer:
        assert peer.rejection(called="ELSEWHERE") == (1, 1, 7)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_end_the_connection(seed: int, node: RunningNode) -> None:
    with Peer(node.remote.port) as peer:
        # never of type 1, which would announce an association request
        peer.send(b"\x77" + random.Random(seed).randbytes(4096))
        assert peer.is_closed()


@pytest.mark.parametrize("n_bytes", [1, 6, 74, 150])
def test_a_request_that_breaks_off_is_forgotten(n_bytes: int, node: RunningNode) -> None:
    with Peer(node.remote.port) as peer:
        peer.send(associate_request()[:n_bytes])


def test_an_object_that_breaks_off_leaves_nothing(node: RunningNode, slice_: Instance) -> None:
    with Peer(node.remote.port) as peer:
        peer.associate()
        peer.begin_store(slice_.sop_instance_uid)
        peer.send(p_data(STORE_CONTEXT, slice_.data_set[:9000], last=False)[:5000])


def test_an_object_that_is_cut_in_its_pixel_data_is_refused(node: RunningNode, slice_: Instance) -> None:
    cut = Instance(slice_.sop_class_uid, slice_.sop_instance_uid, slice_.transfer_syntax_uid, slice_.data_set[:-1000])
    answered = send_instance(cut, node.remote)
    assert answered.status == 0xC000
    assert answered.comment


def test_an_object_that_is_not_the_one_announced_is_refused(node: RunningNode, slice_: Instance) -> None:
    other = Instance(slice_.sop_class_uid, "1.2.3", slice_.transfer_syntax_uid, slice_.data_set)
    assert send_instance(other, node.remote).status == 0xA900


def test_an_endless_object_is_aborted(node: RunningNode, slice_: Instance) -> None:
    with Peer(node.remote.port, patience_s=60) as peer:
        peer.associate()
        peer.begin_store(slice_.sop_instance_uid)
        with suppress(ConnectionError):
            keep_sending(peer, p_data(STORE_CONTEXT, slice_.data_set, last=False), (MAX_OBJECT_MB + 1) * MB)
        assert peer.is_closed()
    assert f"larger than max_object_mb = {MAX_OBJECT_MB}" in node.log.read_text(encoding="utf-8")


def keep_sending(peer: Peer, pdu: bytes, n_bytes: int) -> None:
    for _ in range(n_bytes // len(pdu) + 1):
        peer.send(pdu)


def test_amid_idle_connections_a_good_study_is_taken_and_analysed(node: RunningNode, study: Study) -> None:
    """Runs last: whatever the tests before have left behind does no harm either."""
    with ExitStack() as idle:
        for _ in range(N_IDLE):
            idle.enter_context(Peer(node.remote.port))
        for path in study.files.values():
            assert send_file(path, node.remote) == Answered(0)
        (status,) = node.wait_done()

    assert status.job.outcome == Outcome.FINDINGS
    assert status.n_instances == len(study.files)
    assert holds(node) == set(study.files)


def holds(node: RunningNode) -> set[str]:
    """SOP Instance UIDs of the files in the spool."""
    received: Path = node.data_dir / "spool/received"
    return {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in received.rglob("*.dcm")}
