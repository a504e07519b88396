"""After a crash at any moment of reception, spool and ledger agree again."""

import os
from pathlib import Path

import pytest

from dicom_node.jobs.store import Store
from dicom_node.objects.part10 import Announced
from dicom_node.objects.spool import Spool, reconcile
from tests.support.instances import CT_STORAGE, EXPLICIT_LE, ct, data_set

CALLED = "EMERALD/2"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, min_free_mb=0, max_object_mb=1)


def renamed(spool: Spool, number: int) -> Path:
    ds = ct(number)
    incoming = spool.open_incoming(Announced(CT_STORAGE, str(ds.SOPInstanceUID), EXPLICIT_LE))
    incoming.write(data_set(ds))
    return spool.keep(incoming, CALLED, incoming.check()).path


def test_a_crash_between_rename_and_commit_loses_nothing(spool: Spool, store: Store) -> None:
    path = renamed(spool, 1)

    assert reconcile(spool, store) == 1

    noted = store.known_instance(CALLED, str(ct(1).SOPInstanceUID))
    assert noted is not None
    assert noted.path == path
    assert noted.header["InstanceNumber"] == 1


def test_what_the_ledger_knows_is_not_noted_again(spool: Spool, store: Store) -> None:
    renamed(spool, 1)
    reconcile(spool, store)
    renamed(spool, 2)

    assert reconcile(spool, store) == 1


def test_a_crash_in_the_middle_of_an_object_leaves_no_file(spool: Spool, store: Store) -> None:
    spool.open_incoming(Announced(CT_STORAGE, "1.2.3", EXPLICIT_LE)).write(b"half an object")

    assert reconcile(spool, store) == 0

    assert list(spool.incoming.iterdir()) == []


def test_only_the_last_hour_is_looked_at(spool: Spool, store: Store) -> None:
    renamed(spool, 1)
    old = renamed(spool, 2)
    os.utime(old, (0, old.stat().st_mtime - 2 * 3600))

    assert reconcile(spool, store) == 1

    assert store.known_instance(CALLED, str(ct(2).SOPInstanceUID)) is None


def test_a_file_that_the_disk_has_damaged_is_put_aside_and_reported(spool: Spool, store: Store) -> None:
    path = renamed(spool, 1)
    path.write_bytes(path.read_bytes()[:-5])

    assert reconcile(spool, store) == 0

    assert not path.exists()
    [(aside, reason)] = store.quarantine()
    assert aside.exists()
    assert "behind the end" in reason
