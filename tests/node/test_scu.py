"""What we say to a peer that works, and what we make of each way in which one does not."""

import io
import socket
import struct
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID

from dicom_node.dimse.scu import accepted_contexts, echo, is_stored, send
from dicom_node.domain import RemoteAE, ResultRef
from dicom_node.errors import (
    AssociationAborted,
    AssociationRejected,
    PeerError,
    PeerTimeout,
    SpoolError,
    StoreRefused,
)
from tests.support.scripted_peer import ABORT, ScriptedPeer, Talk

SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def _object(folder: Path, number: int = 1, sop_class_uid: str = SR, syntax: str = EXPLICIT, size: int = 0) -> ResultRef:
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class_uid, f"2.25.1{number:09d}"
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = sop_class_uid, ds.SOPInstanceUID
    ds.PatientName = "Phantom^Thorax"
    ds.add_new("EncapsulatedDocument", "OB", bytes(size))
    path = folder / f"{number}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return ResultRef(path, "sr", "1.2.3", ds.SOPInstanceUID, sop_class_uid, syntax)


def _data_set(ref: ResultRef) -> bytes:
    content = ref.path.read_bytes()
    return content[144 + struct.unpack("<L", content[140:144])[0] :]


class Heard(list):
    """Collects (last digits of the SOP Instance UID, status)."""

    def __call__(self, ref: ResultRef, status: int) -> None:
        self.append((int(ref.sop_instance_uid[-4:]), status))


def _answers(*statuses: int, comment: str = "", refuse=lambda sop_class, syntax: False, keep: list | None = None):
    """Script: accept, answer each C-STORE, release."""

    def script(talk: Talk) -> None:
        talk.accept(refuse)
        for status in statuses:
            field, data_set = talk.read_message()
            assert field == 0x0001
            if keep is not None:
                keep.append(data_set)
            talk.respond(status, comment)
        talk.release()

    return script


def test_objects_arrive_byte_for_byte_in_order_on_one_association(tmp_path):
    refs = [_object(tmp_path, i, size=50_000 * i) for i in range(3)]
    arrived: list[bytes] = []
    heard = Heard()
    with ScriptedPeer(_answers(0, 0, 0, keep=arrived)) as peer:
        send(peer.remote, "EMERALD", refs, 5, heard)
    assert arrived == [_data_set(ref) for ref in refs]
    assert heard == [(0, 0), (1, 0), (2, 0)]
    assert peer.n_connections == 1


def test_only_what_is_needed_is_proposed_under_the_given_titles(tmp_path):
    seen = []

    def script(talk: Talk) -> None:
        seen.append(talk.accept())
        for _ in range(3):
            talk.read_message()
            talk.respond(0)
        talk.release()

    refs = [
        _object(tmp_path, 1, SEG),
        _object(tmp_path, 2, SR),
        _object(tmp_path, 3, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.4.80"),
    ]
    with ScriptedPeer(script) as peer:
        send(peer.remote, "EMERALD_2", refs, 5, Heard())
    request = seen[0]
    assert (request.calling_ae_title.strip(), request.called_ae_title.strip()) == ("EMERALD_2", "PACS")
    proposed = [(c.abstract_syntax, *c.transfer_syntax) for c in request.presentation_context_definition_list]
    assert proposed == [
        (SEG, EXPLICIT),
        (SEG, IMPLICIT),
        (SR, EXPLICIT),
        (SR, IMPLICIT),
        ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.4.80"),
    ]


@pytest.mark.parametrize("status", [0x0000, 0x0111, 0xB000, 0xB006, 0xB007])
def test_success_warnings_and_duplicates_count_as_stored(tmp_path, status):
    heard = Heard()
    with ScriptedPeer(_answers(status)) as peer:
        send(peer.remote, "EMERALD", [_object(tmp_path)], 5, heard)
    assert heard == [(1, status)]
    assert is_stored(status)


@pytest.mark.parametrize(
    ("status", "transient", "words"),
    [
        (0xA700, True, "0xA700: out of resources disk full"),
        (0xA702, True, "0xA702: out of resources"),
        (0xA900, False, "0xA900: data set does not match its SOP class"),
        (0xC000, False, "0xC000: cannot understand the object"),
        (0xC123, False, "0xC123: cannot understand the object"),
        (0x0110, True, "0x0110: processing failure"),
        (0x0124, False, "0x0124: not authorized"),
    ],
)
def test_one_refused_object_does_not_hold_up_the_others(tmp_path, status, transient, words):
    refs = [_object(tmp_path, i) for i in range(3)]
    heard = Heard()
    with ScriptedPeer(_answers(0, status, 0, comment="disk full")) as peer, pytest.raises(StoreRefused) as caught:
        send(peer.remote, "EMERALD", refs, 5, heard)
    assert heard == [(0, 0), (1, status), (2, 0)]
    assert caught.value.transient is transient
    assert not is_stored(status)
    assert words in str(caught.value)
    assert str(caught.value).endswith("disk full (1 of 3 objects refused)")


def test_a_transient_refusal_wins_over_a_final_one(tmp_path):
    refs = [_object(tmp_path, i) for i in range(2)]
    with ScriptedPeer(_answers(0xC000, 0xA700)) as peer, pytest.raises(StoreRefused) as caught:
        send(peer.remote, "EMERALD", refs, 5, Heard())
    assert caught.value.status == 0xA700


def test_a_sop_class_that_the_peer_does_not_take_is_a_refusal_of_that_object_alone(tmp_path):
    refs = [_object(tmp_path, 1, SEG), _object(tmp_path, 2, SR)]
    heard = Heard()
    refusing = _answers(0, refuse=lambda sop_class, syntax: sop_class == SR)
    with ScriptedPeer(refusing) as peer, pytest.raises(StoreRefused) as caught:
        send(peer.remote, "EMERALD", refs, 5, heard)
    assert heard == [(1, 0), (2, 0x0122)]
    assert "does not accept Comprehensive 3D SR Storage in Explicit VR Little Endian" in str(caught.value)
    assert not caught.value.transient


def test_a_peer_of_implicit_vr_gets_the_same_values_rewritten(tmp_path):
    ref, arrived = _object(tmp_path, size=4000), []
    implicit_only = _answers(0, refuse=lambda sop_class, syntax: syntax != IMPLICIT, keep=arrived)
    with ScriptedPeer(implicit_only) as peer:
        send(peer.remote, "EMERALD", [ref], 5, Heard())
    found = pydicom.dcmread(io.BytesIO(arrived[0]), force=True)
    assert found.original_encoding == (True, True)
    assert found == pydicom.dcmread(ref.path)


def test_compressed_objects_are_never_rewritten(tmp_path):
    ref = _object(tmp_path, 1, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.4.80")
    uncompressed = _answers(refuse=lambda sop_class, syntax: syntax not in (IMPLICIT, EXPLICIT))
    with ScriptedPeer(uncompressed) as peer, pytest.raises(StoreRefused, match="CT Image Storage in JPEG-LS Lossless"):
        send(peer.remote, "EMERALD", [ref], 5, Heard())


@pytest.mark.parametrize("max_length", [0, 128, 4096, 1_000_000])
def test_the_peers_largest_pdu_is_respected(tmp_path, max_length):
    ref, largest, arrived = _object(tmp_path, size=300_000), [], []

    def script(talk: Talk) -> None:
        talk.accept(max_length=max_length)
        read_pdu = talk.read_pdu

        def measured() -> tuple[int, bytes]:
            kind, pdu = read_pdu()
            largest.append(len(pdu) - 6)
            return kind, pdu

        talk.read_pdu = measured
        arrived.append(talk.read_message()[1])
        talk.respond(0)
        talk.release()

    with ScriptedPeer(script) as peer:
        send(peer.remote, "EMERALD", [ref], 5, Heard())
    assert arrived == [_data_set(ref)]
    assert max(largest) <= (max_length or 131072)


def test_more_contexts_than_an_association_holds_make_a_second_one(tmp_path):
    refs = [_object(tmp_path, i, f"1.2.840.10008.5.1.4.1.1.{i}") for i in range(1, 151)]
    heard = Heard()

    def script(talk: Talk) -> None:
        n = len(talk.accept().presentation_context_definition_list)
        assert n <= 128
        for _ in range(n // 2):
            talk.read_message()
            talk.respond(0)
        talk.release()

    with ScriptedPeer(script) as peer:
        send(peer.remote, "EMERALD", refs, 5, heard)
    assert [number for number, _ in heard] == list(range(1, 151))
    assert peer.n_connections == 3  # 150 SOP classes in two syntaxes each


def test_a_file_without_file_meta_goes_out_whole(tmp_path):
    ref = _object(tmp_path)
    ref.path.write_bytes(data_set := _data_set(ref))
    arrived: list[bytes] = []
    with ScriptedPeer(_answers(0, keep=arrived)) as peer:
        send(peer.remote, "EMERALD", [ref], 5, Heard())
    assert arrived == [data_set]


# Peers on their bad days


@pytest.mark.parametrize(
    ("codes", "permanent", "words"),
    [
        ((1, 1, 7), True, "called AE title PACS not recognized - check the AE title in the PACS"),
        ((1, 1, 3), True, "calling AE title EMERALD not recognized - allow it in the PACS"),
        ((1, 1, 1), True, "without a reason - check that the PACS allows calling AE title EMERALD"),
        ((2, 3, 2), False, "rejected for the moment: it has as many associations as it allows"),
        ((2, 3, 1), False, "busy"),
        ((1, 2, 2), True, "protocol version"),
    ],
)
def test_a_rejection_says_whose_title_to_check(tmp_path, codes, permanent, words):
    heard = Heard()
    with ScriptedPeer(lambda talk: talk.reject(*codes)) as peer, pytest.raises(AssociationRejected) as caught:
        send(peer.remote, "EMERALD", [_object(tmp_path)], 5, heard)
    assert caught.value.permanent is permanent
    assert caught.value.transient
    assert words in str(caught.value)
    assert str(peer.remote) in str(caught.value)
    assert heard == []


def test_nothing_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(AssociationRejected, match="connection refused: nothing listens there") as caught:
        send(RemoteAE("PACS", "127.0.0.1", port), "EMERALD", [_object(tmp_path)], 5, Heard())
    assert not caught.value.permanent


def test_a_host_that_nobody_knows():
    with pytest.raises(AssociationRejected, match="host name not known"):
        echo(RemoteAE("PACS", "no-such-host.invalid", 104), "EMERALD", 5)


def test_a_mute_peer_takes_the_connection_and_says_nothing():
    words = r"does not answer an association request in 0\.2 s: is that its DICOM port"
    with ScriptedPeer(lambda talk: talk.over.wait(10)) as peer, pytest.raises(PeerTimeout, match=words):
        echo(peer.remote, "EMERALD", 0.2)


def test_a_peer_that_drips_bytes_is_given_the_same_time_as_a_mute_one(tmp_path):
    def script(talk: Talk) -> None:
        talk.read_pdu()
        for byte in struct.pack(">BBL", 2, 0, 200):
            talk.socket.sendall(bytes([byte]))
            if talk.over.wait(0.1):
                return
        talk.over.wait(10)

    with ScriptedPeer(script) as peer, pytest.raises(PeerTimeout):
        echo(peer.remote, "EMERALD", 0.3)


def test_what_answers_is_no_dicom():
    def script(talk: Talk) -> None:
        talk.read_pdu()
        talk.socket.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with ScriptedPeer(script) as peer, pytest.raises(AssociationRejected, match="does not speak DICOM"):
        echo(peer.remote, "EMERALD", 5)


def test_a_peer_that_hangs_up_on_the_association_request():
    words = r"closed the connection .* calling AE title EMERALD"
    with ScriptedPeer(lambda talk: talk.read_pdu()) as peer, pytest.raises(AssociationRejected, match=words):
        echo(peer.remote, "EMERALD", 5)


def test_a_malformed_acceptance():
    def script(talk: Talk) -> None:
        talk.read_pdu()
        talk.socket.sendall(struct.pack(">BBL", 2, 0, 70) + bytes(70))

    with ScriptedPeer(script) as peer, pytest.raises(PeerError):
        echo(peer.remote, "EMERALD", 5)


@pytest.mark.parametrize("how", ["abort", "close", "release", "garbage", "another message", "a request"])
def test_an_association_that_ends_after_the_first_object(tmp_path, how):
    refs, heard = [_object(tmp_path, i) for i in range(3)], Heard()

    def script(talk: Talk) -> None:
        talk.accept()
        talk.read_message()
        talk.respond(0)
        if how == "close":
            return
        talk.read_message()
        if how == "another message":
            talk.respond(0, message_id=999)
        elif how == "a request":
            talk.respond(0, field=0x0001)
        else:
            release, garbage = struct.pack(">BBLL", 5, 0, 4, 0), struct.pack(">BBL", 4, 0, 3) + b"abc"
            talk.socket.sendall({"abort": ABORT, "release": release, "garbage": garbage}[how])
        talk.over.wait(10)

    with ScriptedPeer(script) as peer, pytest.raises(AssociationAborted) as caught:
        send(peer.remote, "EMERALD", refs, 5, heard)
    assert heard == [(0, 0)], "what the peer answered is told, the rest is unknown"
    assert caught.value.transient


def test_a_response_that_never_comes_is_unknown_not_refused(tmp_path):
    refs, heard = [_object(tmp_path, i) for i in range(2)], Heard()

    def script(talk: Talk) -> None:
        talk.accept()
        talk.read_message()
        talk.respond(0)
        talk.read_message()
        talk.over.wait(10)

    words = r"no answer to C-STORE of instance \.\.\.00000001 in 0\.3 s"
    with ScriptedPeer(script) as peer, pytest.raises(PeerTimeout, match=words):
        send(peer.remote, "EMERALD", refs, 0.3, heard)
    assert heard == [(0, 0)]


def test_a_slow_answer_within_the_time_is_an_answer(tmp_path):
    def script(talk: Talk) -> None:
        talk.accept()
        talk.read_message()
        talk.over.wait(0.3)
        talk.respond(0)
        talk.release()

    heard = Heard()
    with ScriptedPeer(script) as peer:
        send(peer.remote, "EMERALD", [_object(tmp_path)], 5, heard)
    assert heard == [(1, 0)]


def test_a_peer_that_stops_reading_is_given_up(tmp_path):
    def script(talk: Talk) -> None:
        talk.accept()
        talk.over.wait(10)

    with ScriptedPeer(script) as peer, pytest.raises(PeerTimeout, match="takes no more data"):
        send(peer.remote, "EMERALD", [_object(tmp_path, size=30_000_000)], 0.3, Heard())


@pytest.mark.parametrize("how", ["close", "abort", "mute"])
def test_after_the_last_answer_nothing_can_go_wrong(tmp_path, how):
    def script(talk: Talk) -> None:
        talk.accept()
        talk.read_message()
        talk.respond(0)
        if how == "abort":
            talk.socket.sendall(ABORT)
        if how == "mute":
            talk.over.wait(0.5)

    heard = Heard()
    with ScriptedPeer(script) as peer:
        send(peer.remote, "EMERALD", [_object(tmp_path)], 0.2, heard)
    assert heard == [(1, 0)]


def test_an_error_of_ours_aborts_the_association(tmp_path):
    refs, last = [_object(tmp_path, i) for i in range(2)], []
    refs[1].path.unlink()

    def script(talk: Talk) -> None:
        talk.accept()
        talk.read_message()
        talk.respond(0)
        last.append(talk.read_pdu()[0])

    with ScriptedPeer(script) as peer, pytest.raises(SpoolError, match=r"1\.dcm cannot be sent: No such file"):
        send(peer.remote, "EMERALD", refs, 5, Heard())
    assert last == [7]


# C-ECHO and the probe


def test_echo_returns_the_time_of_the_answer():
    def script(talk: Talk) -> None:
        talk.accept()
        assert talk.read_message()[0] == 0x0030
        talk.respond(0, field=0x8030)
        talk.release()

    with ScriptedPeer(script) as peer:
        assert 0 < echo(peer.remote, "EMERALD", 5) < 5


def test_echo_that_is_not_accepted_or_fails():
    def fails(talk: Talk) -> None:
        talk.accept()
        talk.read_message()
        talk.respond(0x0110, field=0x8030)

    refuses = ScriptedPeer(lambda talk: talk.accept(lambda *_: True))
    with refuses as peer, pytest.raises(PeerError, match="does not accept Verification"):
        echo(peer.remote, "EMERALD", 5)
    with ScriptedPeer(fails) as peer, pytest.raises(PeerError, match="C-ECHO with status 0x0110"):
        echo(peer.remote, "EMERALD", 5)


def test_the_probe_tells_what_is_taken_in_which_syntax():
    def script(talk: Talk) -> None:
        talk.accept(lambda sop_class, syntax: sop_class == SR or syntax != EXPLICIT)
        talk.release()

    many = [f"1.2.3.{i}" for i in range(20)]
    with ScriptedPeer(script) as peer:
        found = accepted_contexts(peer.remote, "EMERALD", [SEG, SR, *many], 5)
    assert found == {SEG: (EXPLICIT,), SR: (), **dict.fromkeys(many, (EXPLICIT,))}
    assert peer.n_connections == 3  # 22 classes in 14 syntaxes each
