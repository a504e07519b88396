"""Reception with foreign senders, real files, and the operating system as witness."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.filereader import read_file_meta_info

from tests.support.data import data_dir, needs_data
from tests.support.instances import ct, data_set
from tests.support.peers import STORE_CONTEXT, Peer, p_data
from tests.support.programs import DCMTK, needs
from tests.support.receiving import CALLED, Receiver, receiver, tracebacks, until

STORESCU = str(DCMTK / "storescu")
# File of the same slice -> the option that makes storescu propose its transfer syntax.
STORESCU_OPTIONS = {
    "explicit_le_original": "-xe",
    "implicit_le": "-xi",
    "explicit_be": "-xb",
    "deflated": "-xd",
    "rle": "-xr",
    "jpeg_lossless_sv1": "-xs",
    "jpegls_lossless": "-xt",
    "jpegls_near_lossless_err3": "-xu",
    "j2k_lossless": "-xv",
    "j2k_lossy_12to1": "-xw",
}
SYNTAX_FILES = (*STORESCU_OPTIONS, "htj2k_lossless")
MB = 1 << 20


@contextmanager
def process(folder: Path, *wrapper: str, max_object_mb: int = 100) -> Iterator[tuple[int, int]]:
    """Run the receiving side as a child; gives its process id (or its wrapper's) and port."""
    command = [*wrapper, sys.executable, "-m", "tests.support.scp_process", str(folder)]
    environ = {**os.environ, "EMERALD_MAX_OBJECT_MB": str(max_object_mb)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as child:
        assert child.stdout
        try:
            yield child.pid, int(child.stdout.readline())
        finally:
            assert child.stdin
            child.stdin.close()
            assert child.wait(20) == 0


def storescu(node: Receiver, *arguments: str) -> None:
    command = [STORESCU, "-aec", CALLED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def send_as_it_is(node: Receiver, path: Path) -> int | None:
    """Send a file's own bytes in its own syntax; the status, or None where the node does not take its SOP class."""
    meta = read_file_meta_info(path)
    data = path.read_bytes()
    data = data[144 + int.from_bytes(data[140:144], "little") :]
    with Peer(node.port) as peer:
        contexts = [(STORE_CONTEXT, meta.MediaStorageSOPClassUID, [meta.TransferSyntaxUID])]
        result, _ = peer.associate(contexts).contexts[STORE_CONTEXT]
        if result:
            return None
        status = peer.store(data, meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID)
        peer.release()
    return status


def received(node: Receiver) -> FileDataset:
    [path] = node.held()
    return pydicom.dcmread(path)


@needs_data
@needs(STORESCU)
@pytest.mark.foreign
@pytest.mark.parametrize("name", STORESCU_OPTIONS)
def test_dcmtk_sends_a_slice_in_every_syntax_that_it_knows(name: str, tmp_path: Path) -> None:
    source = data_dir() / f"ct-compressed/one-slice-all-syntaxes/{name}.dcm"
    with receiver(tmp_path) as node:
        storescu(node, STORESCU_OPTIONS[name], "127.0.0.1", str(node.port), str(source))
        arrived = received(node)

    assert arrived.file_meta.TransferSyntaxUID == pydicom.dcmread(source).file_meta.TransferSyntaxUID
    assert np.array_equal(arrived.pixel_array, pydicom.dcmread(source).pixel_array)


@needs_data
@pytest.mark.parametrize("name", SYNTAX_FILES)
def test_a_slice_in_every_syntax_is_held_byte_for_byte(name: str, tmp_path: Path) -> None:
    source = data_dir() / f"ct-compressed/one-slice-all-syntaxes/{name}.dcm"
    sent = source.read_bytes()
    with receiver(tmp_path) as node:
        assert send_as_it_is(node, source) == 0
        [path] = node.held()

    assert path.read_bytes().endswith(sent[144 + int.from_bytes(sent[140:144], "little") :])


@needs_data
@needs(STORESCU)
@pytest.mark.foreign
def test_dcmtk_sends_a_series_over_one_association(tmp_path: Path) -> None:
    series = data_dir() / "ct-chest/lung-pet-ct-dx-a0002/series-b40f"
    with receiver(tmp_path) as node:
        storescu(node, "127.0.0.1", str(node.port), "+sd", str(series))

        assert len(node.held()) == len(list(series.iterdir()))
        assert [job.job.state for job in node.store.jobs()] == ["RECEIVING"]


def bad_input() -> list[Path]:
    folders = ("broken", "ct-odd", "non-ct")
    files = [path for folder in folders for path in sorted((data_dir() / folder).rglob("*")) if path.is_file()]
    return [path for path in files if path.read_bytes()[128:132] == b"DICM"]


@needs_data
def test_bad_input_is_answered_and_the_node_serves_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with receiver(tmp_path) as node:
        statuses = {path: send_as_it_is(node, path) for path in bad_input()}
        held, put_aside = node.held(), node.store.quarantine(1000)
        assert node.serves()

    assert set(statuses.values()) <= {None, 0, 0xC000, 0xA900, 0xC100}
    assert len(held) == list(statuses.values()).count(0) > 0
    assert len(put_aside) == sum(status not in (None, 0) for status in statuses.values()) > 0
    assert tracebacks(caplog.records) == []
    assert statuses[data_dir() / "broken/ct_truncated_pixel_data.dcm"] == 0xC000
    assert statuses[data_dir() / "non-ct/mr_ge.dcm"] is None


@needs("strace")
@pytest.mark.foreign
def test_file_and_folder_are_synced_before_the_answer_leaves(tmp_path: Path) -> None:
    """The system calls of the association's thread, in their order, are the witness."""
    trace = ["strace", "-ff", "-y", "-s", "8", "-o", str(tmp_path / "trace")]
    calls_of_interest = "trace=fsync,fdatasync,rename,sendto,pwrite64"
    with process(tmp_path / "node", *trace, "-e", calls_of_interest) as (_, port), Peer(port) as peer:
        peer.associate()
        assert peer.store(data_set(ct()), str(ct().SOPInstanceUID)) == 0
        peer.release()

    [calls] = [text for path in tmp_path.glob("trace.*") if ".dcm" in (text := path.read_text())]
    folder = r"received/EMERALD/\w{16}"
    wanted = [
        r"fsync\(\d+<\S+incoming/[\w-]+\.part>\) = 0",
        rf'rename\("\S+incoming/[\w-]+\.part", "\S+{folder}/\w+\.dcm"\) = 0',
        rf"fsync\(\d+<\S+{folder}>\) = 0",
        r"pwrite64\(\d+<\S+ledger\.sqlite-wal>",  # the row is committed; after a power cut the file makes it anew
        r'sendto\(\d+<\S+>, "\\4\\0',  # P-DATA-TF: the response
    ]
    assert re.search("(?s:.*)".join(wanted), calls), calls
    # and no response left before: the only ones are those to the C-STORE, and to nothing else
    assert len(re.findall(wanted[-1], calls)) == 1


@pytest.mark.slow
def test_no_peer_can_make_the_receiver_grow_by_more_than_64_mib(tmp_path: Path) -> None:
    with process(tmp_path, max_object_mb=200) as (pid, port):
        with Peer(port) as peer:
            peer.associate()
            assert peer.store(data_set(ct()), str(ct().SOPInstanceUID)) == 0
        before = peak_mb(pid)
        endless(port)
        assert peak_mb(pid) - before < 64
        claim_4_gib(port)
        assert peak_mb(pid) - before < 64
        assert until(lambda: not list((tmp_path / "spool/incoming").iterdir()))


def endless(port: int) -> None:
    """Send an object of which no end comes until the node breaks it off."""
    with Peer(port, patience_s=60) as peer:
        peer.associate()
        peer.begin_store("1.2.3")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            keep_sending(peer, p_data(STORE_CONTEXT, bytes(MB // 8), last=False))


def keep_sending(peer: Peer, data: bytes) -> None:
    while True:
        peer.send(data)


def claim_4_gib(port: int) -> None:
    for head in (b"\1\0\xff\xff\xff\xff", b"\4\0\xff\xff\xff\xff"):
        with Peer(port) as peer:
            if head[0] == 4:
                peer.associate()
            peer.send(head)
            assert peer.is_closed()


def peak_mb(pid: int) -> float:
    """Peak resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
