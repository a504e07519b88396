"""What has a name outside ``incoming`` is whole and durable; what was refused is put aside, and nothing is lost."""

import hashlib
import os
import threading
from pathlib import Path

import pydicom
import pytest

from dicom_node.errors import DiskFull, InstanceUnreadable, ObjectTooLarge, SpoolError, UidMismatch
from dicom_node.objects.disk import FolderSync
from dicom_node.objects.incoming import GATHERED_BYTES, Incoming
from dicom_node.objects.part10 import Announced
from dicom_node.objects.spool import Spool
from tests.support.instances import CT_STORAGE, EXPLICIT_LE, ct, data_set

CALLED = "EMERALD"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, min_free_mb=0, max_object_mb=1)


def announced(**changes: str) -> Announced:
    values = {"sop_class_uid": CT_STORAGE, "sop_instance_uid": str(ct().SOPInstanceUID)}
    return Announced(**{**values, "transfer_syntax_uid": EXPLICIT_LE, "calling_ae_title": "SCANNER", **changes})


def received(spool: Spool, data: bytes | None = None, **changes: str) -> Incoming:
    incoming = spool.open_incoming(announced(**changes))
    data = data_set(ct()) if data is None else data
    for at in range(0, len(data), 100):
        incoming.write(memoryview(data)[at : at + 100])
    return incoming


def refused(spool: Spool) -> Path:
    incoming = received(spool, b"not DICOM")
    with pytest.raises(InstanceUnreadable):
        incoming.check()
    return incoming.path


def files_in(spool: Spool) -> list[Path]:
    return sorted(path.relative_to(spool.root) for path in spool.root.rglob("*") if path.is_file())


def test_a_kept_instance_is_the_data_set_as_received_in_a_part_10_file(spool: Spool) -> None:
    incoming = received(spool)

    kept = spool.keep(incoming, CALLED, incoming.check())

    ds = pydicom.dcmread(kept.path)
    assert ds.PixelData == ct().PixelData
    assert ds.file_meta.MediaStorageSOPInstanceUID == ct().SOPInstanceUID
    assert ds.file_meta.TransferSyntaxUID == EXPLICIT_LE
    assert ds.file_meta.SourceApplicationEntityTitle == "SCANNER"
    assert kept.path.read_bytes().endswith(data_set(ct()))
    assert kept.n_bytes == len(data_set(ct()))
    assert files_in(spool) == [kept.path.relative_to(spool.root)]


def test_a_data_set_longer_than_what_is_gathered_is_kept_whole(spool: Spool) -> None:
    ds = ct()
    ds.Rows, ds.Columns, ds.PixelData = 550, 600, os.urandom(550 * 600 * 2)
    incoming = received(spool, data_set(ds))
    assert len(data_set(ds)) > GATHERED_BYTES

    kept = spool.keep(incoming, CALLED, incoming.check())

    assert kept.path.read_bytes().endswith(data_set(ds))
    assert kept.digest == hashlib.sha256(data_set(ds)).hexdigest()


def test_names_in_the_spool_say_nothing_of_the_patient(spool: Spool) -> None:
    incoming = received(spool)

    path = spool.keep(incoming, CALLED, incoming.check()).path.relative_to(spool.root)

    assert path.parts[:2] == ("received", CALLED)
    assert [len(part) for part in path.parts[2:]] == [16, 32 + len(".dcm")]
    assert str(ct().StudyInstanceUID) not in str(path)


@pytest.mark.parametrize("title", ["..", ".", "../../etc", "A/B", "A B", "Ä"])
def test_no_ae_title_leads_out_of_the_spool(spool: Spool, title: str) -> None:
    path = spool.path_of(title, "1.2", "1.2.3")

    assert path.resolve().is_relative_to(spool.received)
    assert len(path.relative_to(spool.received).parts) == 3


def test_a_cut_data_set_is_unreadable(spool: Spool) -> None:
    with pytest.raises(InstanceUnreadable):
        received(spool, data_set(ct())[:-1]).check()


@pytest.mark.parametrize("field", ["sop_instance_uid", "sop_class_uid"])
def test_a_data_set_that_was_not_announced_is_a_mismatch(spool: Spool, field: str) -> None:
    with pytest.raises(UidMismatch):
        received(spool, **{field: "1.2.3"}).check()


def test_an_object_beyond_the_largest_is_stopped_while_it_arrives(spool: Spool) -> None:
    incoming = spool.open_incoming(announced())
    incoming.write(bytes(1 << 20))

    with pytest.raises(ObjectTooLarge):
        incoming.write(b"\0")
    incoming.abort()

    assert files_in(spool) == []


def test_below_the_watermark_nothing_is_taken(tmp_path: Path) -> None:
    spool = Spool(tmp_path, min_free_mb=1 << 40, max_object_mb=1)

    with pytest.raises(DiskFull):
        spool.open_incoming(announced())


def test_abort_after_keeping_removes_nothing(spool: Spool) -> None:
    incoming = received(spool)
    kept = spool.keep(incoming, CALLED, incoming.check())

    incoming.abort()

    assert kept.path.exists()


def test_the_quarantine_holds_a_refused_file_once_and_says_why(spool: Spool) -> None:
    for _ in range(2):
        aside = spool.quarantine(refused(spool), "not DICOM at all")

    assert aside.read_bytes().endswith(b"not DICOM")
    assert aside.with_suffix(".txt").read_text() == "not DICOM at all\n"
    assert len(files_in(spool)) == 2


def test_a_result_is_written_whole_and_read_back(spool: Spool) -> None:
    incoming = received(spool)
    ds = pydicom.dcmread(spool.keep(incoming, CALLED, incoming.check()).path)

    path = spool.write_result(7, "seg", ds)

    assert path == spool.results_dir(7) / "seg.dcm"
    assert pydicom.dcmread(path) == ds
    spool.remove_results(7)
    assert not spool.results_dir(7).exists()


def test_a_result_that_cannot_be_written_leaves_nothing(spool: Spool) -> None:
    with pytest.raises(ValueError, match="encoding"):
        spool.write_result(7, "seg", ct())  # no file meta: not a file

    assert files_in(spool) == []


def test_a_study_folder_goes_with_its_last_instance(spool: Spool) -> None:
    incoming = received(spool)
    kept = spool.keep(incoming, CALLED, incoming.check())

    spool.remove_received(kept.path)

    assert not kept.path.parent.exists()
    assert list(spool.held()) == []


def test_a_disk_that_fails_is_a_spool_error(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    incoming = received(spool)
    ref = incoming.check()

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(SpoolError, match="Input/output error"):
        spool.keep(incoming, CALLED, ref)
    assert not spool.holds(CALLED, ref)


class SlowDisk:
    """A folder sync that the test lets go on, and that counts."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.n_syncs = 0

    def sync(self, folder: Path) -> None:
        self.n_syncs += 1
        self.begun.release()
        self.go_on.acquire()


def test_threads_that_wait_for_a_folder_share_its_next_sync(tmp_path: Path) -> None:
    disk = SlowDisk()
    folders = FolderSync(disk.sync)
    first, *others = [threading.Thread(target=folders.sync, args=(tmp_path,)) for _ in range(5)]
    first.start()
    disk.begun.acquire()  # the first sync runs; what the others renamed is not in it
    for thread in others:
        thread.start()
    while folders._rounds[tmp_path].users < 5:
        threading.Event().wait(0.001)
    disk.go_on.release(2)
    for thread in (first, *others):
        thread.join()

    assert disk.n_syncs == 2


def test_a_failed_folder_sync_is_no_sync_for_those_who_waited(tmp_path: Path) -> None:
    results = iter([OSError(5, "Input/output error"), None])

    def fsync(folder: Path) -> None:
        if error := next(results):
            raise SpoolError(str(error))

    folders = FolderSync(fsync)
    with pytest.raises(SpoolError):
        folders.sync(tmp_path)
    folders.sync(tmp_path)

    assert next(results, "asked twice") == "asked twice"
