"""Who is let in, what is accepted, and what each C-STORE is answered."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicom_node.errors import LedgerError
from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from tests.support.instances import DEFLATED, EXPLICIT_LE, IMPLICIT_LE, ct, data_set
from tests.support.peers import CT_STORAGE, STORE_CONTEXT, VERIFICATION, Peer, command_set, p_data
from tests.support.receiving import CALLED, Receiver, receiver, until

SYNTAXES = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"),
    *("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80"),
    *("1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.201"),
    *("1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"),
)
CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
REFUSED_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.1.20.1",  # Storage Commitment Push Model: the node is no archive
    "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root FIND
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as node:
        yield node


def stored(node: Receiver, data: bytes, uid: str = str(ct().SOPInstanceUID), **associate: Any) -> dict[int, bytes]:
    """Store one object over an association of its own; returns the response."""
    with Peer(node.port) as peer:
        peer.associate(**associate)
        peer.begin_store(uid)
        peer.send(p_data(STORE_CONTEXT, data))
        response = peer.response()
        peer.release()
    return response


def status(response: dict[int, bytes]) -> int:
    return int.from_bytes(response[0x0900], "little")


def test_every_announced_class_and_syntax_is_accepted(node: Receiver) -> None:
    wanted = [(uid, syntax) for uid in CT_CLASSES for syntax in SYNTAXES]
    with Peer(node.port) as peer:
        accepted = peer.associate([(2 * n + 1, uid, [syntax]) for n, (uid, syntax) in enumerate(wanted)])

    assert accepted.contexts == {2 * n + 1: (0, syntax) for n, (_, syntax) in enumerate(wanted)}


def test_other_classes_are_refused_and_do_not_spoil_the_rest(node: Receiver) -> None:
    contexts = [(2 * n + 1, uid, [IMPLICIT_LE]) for n, uid in enumerate((*REFUSED_CLASSES, CT_STORAGE))]
    with Peer(node.port) as peer:
        results = [result for result, _ in peer.associate(contexts).contexts.values()]

    assert results == [3, 3, 3, 3, 0]


def test_a_class_that_settings_accept_is_accepted(tmp_path: Path) -> None:
    with receiver(tmp_path, accepted_sop_classes=(REFUSED_CLASSES[0],)) as node, Peer(node.port) as peer:
        contexts = peer.associate([(1, REFUSED_CLASSES[0], [IMPLICIT_LE]), (3, CT_STORAGE, [IMPLICIT_LE])]).contexts

    assert [result for result, _ in contexts.values()] == [0, 3]


def test_the_first_syntax_of_the_sender_that_we_know_is_taken(node: Receiver) -> None:
    contexts = [
        (1, CT_STORAGE, [JPEG_BASELINE, SYNTAXES[10], EXPLICIT_LE]),
        (3, CT_STORAGE, [JPEG_BASELINE]),
        (5, VERIFICATION, [DEFLATED]),
    ]
    with Peer(node.port) as peer:
        answered = peer.associate(contexts).contexts

    assert answered[1] == (0, SYNTAXES[10])
    assert answered[3][0] == 4
    assert answered[5][0] == 4


def test_the_node_says_what_it_is(node: Receiver) -> None:
    with Peer(node.port) as peer:
        accepted = peer.associate()

    assert accepted.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert accepted.implementation_version_name == IMPLEMENTATION_VERSION_NAME
    assert accepted.max_length == 131072


def test_an_unknown_called_ae_title_is_rejected(node: Receiver) -> None:
    with Peer(node.port) as peer:
        assert peer.rejection(called="NOBODY") == (1, 1, 7)


@pytest.mark.parametrize(
    ("calling", "called", "expected"),
    [
        ("SCANNER", "OPEN", None),
        ("SCANNER", "CLOSED", (1, 1, 3)),
        ("CT1", "CLOSED", None),
        ("CT2", "CLOSED", (1, 1, 3)),
        ("CT3", "CLOSED", None),
        ("CT4", "CLOSED", None),
    ],
)
def test_each_called_ae_title_has_its_own_callers(
    calling: str, called: str, expected: tuple[int, int, int] | None, tmp_path: Path
) -> None:
    callers = [
        {"ae_title": "CT1"},
        {"ae_title": "CT2", "address": "192.0.2.1"},
        {"ae_title": "CT3", "address": "127.0.0.0/8"},
        {"ae_title": "CT4", "address": "localhost"},
    ]
    pipelines = ({"called_ae_title": "OPEN"}, {"called_ae_title": "CLOSED", "allow_calling": callers})
    with receiver(tmp_path, pipelines) as node, Peer(node.port) as peer:
        if expected:
            assert peer.rejection(calling=calling, called=called) == expected
        else:
            peer.associate(calling=calling, called=called)
            assert peer.echo() == 0


@pytest.mark.parametrize(
    ("request_values", "expected"),
    [({"application_context": "1.2.3"}, (1, 1, 2)), ({"version": 2}, (1, 2, 2))],
)
def test_another_protocol_is_rejected(
    request_values: dict[str, Any], expected: tuple[int, int, int], node: Receiver
) -> None:
    with Peer(node.port) as peer:
        assert peer.rejection(**request_values) == expected


def test_beyond_the_association_limit_the_rejection_is_transient(tmp_path: Path) -> None:
    with receiver(tmp_path, max_associations=1) as node, Peer(node.port) as first:
        first.associate()
        with Peer(node.port) as second:
            assert second.rejection() == (2, 3, 2)
        first.release()
        assert first.is_closed()
        assert node.serves()


def test_an_image_that_was_acknowledged_is_held_and_noted(node: Receiver) -> None:
    response = stored(node, data_set(ct()))

    assert status(response) == 0
    assert response[0x1000].rstrip(b"\0").decode() == ct().SOPInstanceUID
    noted = node.store.known_instance(CALLED, str(ct().SOPInstanceUID))
    assert noted is not None
    assert node.held() == [noted.path]
    assert noted.path.read_bytes().endswith(data_set(ct()))
    assert node.temporary() == []


def test_two_called_ae_titles_keep_their_images_apart(tmp_path: Path) -> None:
    with receiver(tmp_path, ({"called_ae_title": "ONE"}, {"called_ae_title": "TWO"})) as node:
        for called in ("ONE", "TWO"):
            assert status(stored(node, data_set(ct()), called=called)) == 0
        assert len(node.held()) == 2


def test_many_objects_over_one_association(node: Receiver) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        answers = [peer.store(data_set(ct(n)), str(ct(n).SOPInstanceUID)) for n in range(1, 6)]
        peer.release()

    assert answers == [0] * 5
    assert len(node.held()) == 5


def without_pixels(ds: Dataset) -> None:
    del ds.PixelData


def without_rows(ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[:64]


def of_another_class(ds: Dataset) -> None:
    ds.SOPClassUID = CT_CLASSES[1]


def of_another_uid(ds: Dataset) -> None:
    ds.SOPInstanceUID = "1.2.3.4"


def without_study(ds: Dataset) -> None:
    del ds.StudyInstanceUID


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (without_pixels, 0xC000),
        (without_rows, 0xC000),
        (without_study, 0xC000),
        (of_another_class, 0xA900),
        (of_another_uid, 0xA900),
    ],
)
def test_a_wrong_object_is_refused_put_aside_and_reported(change: Any, expected: int, node: Receiver) -> None:
    ds = ct()
    change(ds)

    response = stored(node, data_set(ds))

    assert status(response) == expected
    assert 0 < len(response[0x0902]) <= 64  # Error Comment, VR LO
    assert node.held() == []
    assert node.temporary() == []
    assert len(node.put_aside()) == 1
    assert node.serves()


@pytest.mark.parametrize("cut", [1, 8, 100, 600])
def test_a_cut_data_set_is_refused_put_aside_and_reported(cut: int, node: Receiver) -> None:
    assert status(stored(node, data_set(ct())[:-cut])) == 0xC000

    assert node.held() == []
    assert len(node.put_aside()) == 1


def test_below_the_watermark_storing_is_out_of_resources_and_echo_is_not(tmp_path: Path) -> None:
    with receiver(tmp_path, min_free_mb=1 << 40) as node:
        assert status(stored(node, data_set(ct()))) == 0xA700
        assert node.held() == []
        assert node.put_aside() == []
        assert node.serves()


@contextmanager
def no_file_larger_than(n_bytes: int) -> Iterator[None]:
    """Let the operating system refuse to write on, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_out_of_resources_and_the_association_goes_on(node: Receiver) -> None:
    large = ct(2, side=2048)
    with Peer(node.port) as peer:
        peer.associate()
        with no_file_larger_than(4 << 20):
            assert peer.store(data_set(large), str(large.SOPInstanceUID)) == 0xA700
            assert node.temporary() == []
        assert peer.store(data_set(large), str(large.SOPInstanceUID)) == 0
        peer.release()

    assert len(node.held()) == 1


def test_an_image_that_the_ledger_did_not_take_is_not_acknowledged(
    node: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise LedgerError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(node.store, "note_instance", fail)
        assert status(stored(node, data_set(ct()))) == 0xA700

    assert status(stored(node, data_set(ct()))) == 0
    assert node.store.known_instance(CALLED, str(ct().SOPInstanceUID)) is not None


def test_an_association_that_the_ledger_cannot_note_is_rejected_for_now(
    node: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise LedgerError("database is locked")

    with monkeypatch.context() as patch, Peer(node.port) as peer:
        patch.setattr(node.store, "association_opened", fail)
        assert peer.rejection() == (2, 3, 1)
    assert node.serves()


def test_the_same_image_again_is_a_success_and_changes_nothing(node: Receiver) -> None:
    for _ in range(2):
        assert status(stored(node, data_set(ct()))) == 0

    assert len(node.held()) == 1
    assert len(node.store.jobs()) == 1


def test_the_same_pixels_in_another_syntax_are_accepted_and_the_first_stays(node: Receiver) -> None:
    assert status(stored(node, data_set(ct()))) == 0
    with Peer(node.port) as peer:
        peer.associate([(STORE_CONTEXT, CT_STORAGE, [IMPLICIT_LE])])
        assert peer.store(data_set(ct(), IMPLICIT_LE), str(ct().SOPInstanceUID)) == 0

    noted = node.store.known_instance(CALLED, str(ct().SOPInstanceUID))
    assert noted is not None
    assert noted.transfer_syntax_uid == EXPLICIT_LE
    assert [path.read_bytes().endswith(data_set(ct())) for path in node.held()] == [True]
    assert node.put_aside() == []


def test_other_pixels_under_a_held_uid_are_refused_put_aside_and_the_first_stays(node: Receiver) -> None:
    other = ct()
    other.PixelData = bytes(128)
    assert status(stored(node, data_set(ct()))) == 0

    assert status(stored(node, data_set(other))) == 0xC100

    assert [path.read_bytes().endswith(data_set(ct())) for path in node.held()] == [True]
    assert len(node.put_aside()) == 1


def test_a_held_uid_in_another_study_is_refused_and_put_aside(node: Receiver) -> None:
    other = ct()
    other.StudyInstanceUID = "1.2.3"
    assert status(stored(node, data_set(ct()))) == 0

    assert status(stored(node, data_set(other))) == 0xC100

    assert [path.read_bytes().endswith(data_set(ct())) for path in node.held()] == [True]
    assert len(node.put_aside()) == 1


def test_a_file_that_somebody_removed_comes_back_with_a_repeat(node: Receiver) -> None:
    stored(node, data_set(ct()))
    [path] = node.held()
    path.unlink()

    assert status(stored(node, data_set(ct()))) == 0

    assert node.held() == [path]


def test_a_command_that_is_not_ours_is_answered_so(node: Receiver) -> None:
    find = {0x0002: CT_STORAGE.encode() + b"\0", 0x0100: b"\x20\0", 0x0110: b"\5\0", 0x0700: b"\0\0", 0x0800: b"\0\0"}
    with Peer(node.port) as peer:
        peer.associate()
        peer.send(p_data(STORE_CONTEXT, command_set(find), command=True) + p_data(STORE_CONTEXT, b"identifier"))
        response = peer.response()

        assert status(response) == 0x0211
        assert response[0x0100] == b"\x20\x80"
        assert response[0x0120] == b"\5\0"
        assert peer.echo() == 0


def test_a_class_other_than_that_of_the_context_is_not_supported(node: Receiver) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        assert peer.store(data_set(ct()), str(ct().SOPInstanceUID), CT_CLASSES[1]) == 0x0122
        assert peer.echo() == 0


def test_a_response_keeps_to_the_peers_maximum_length(node: Receiver) -> None:
    with Peer(node.port) as peer:
        peer.associate(max_length=64)
        peer.begin_store(str(ct().SOPInstanceUID))
        peer.send(p_data(STORE_CONTEXT, data_set(ct())))
        kind, body = peer.read_pdu()

        assert (kind, body[5]) == (4, 1)  # a command fragment that is not the last
        assert len(body) <= 64


def test_how_an_association_ended_is_noted(node: Receiver) -> None:
    for ending in (Peer.release, Peer.abort, lambda peer: peer.socket.close()):
        with Peer(node.port) as peer:
            peer.associate()
            assert peer.store(data_set(ct()), str(ct().SOPInstanceUID)) == 0
            ending(peer)
            assert peer.socket.fileno() < 0 or peer.is_closed()

    assert until(lambda: endings(node) == ["released", "aborted", "lost"])


def endings(node: Receiver) -> list[str]:
    with node.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT how_ended FROM associations ORDER BY id").all()
    return [row[0] for row in rows]


def test_an_idle_association_is_aborted_and_counts_as_released(tmp_path: Path) -> None:
    with receiver(tmp_path, idle_timeout_s=0.05) as node, Peer(node.port) as peer:
        peer.associate()
        assert peer.abort_reason() == 0
        assert peer.is_closed()

    assert endings(node) == ["released"]


def test_what_a_stop_breaks_off_is_not_noted_as_the_peers_doing(tmp_path: Path) -> None:
    with receiver(tmp_path) as node, Peer(node.port) as peer:
        peer.associate()
        node.scp.stop()
        assert peer.is_closed()

    assert endings(node) == [None]


def test_a_stopped_node_frees_its_port(tmp_path: Path) -> None:
    with receiver(tmp_path / "one") as node:
        port = node.port
    with receiver(tmp_path / "two", port=port) as node:
        assert node.serves()
