"""Our sender against peers of others: DCMTK's storescp and dcmqrscp, Orthanc, pynetdicom."""

import hashlib
import os
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE, AllStoragePresentationContexts, evt

from dicom_node.cli.demo_pacs import OrthancPacs, StorescpPacs
from dicom_node.dimse.scu import accepted_contexts, echo, send
from dicom_node.domain import RemoteAE, ResultRef
from dicom_node.errors import AssociationAborted, AssociationRejected, PeerError, PeerTimeout, StoreRefused
from dicom_node.objects.headers import instance_ref
from tests.support.ct_files import small_chest, write
from tests.support.data import data_dir, needs_data
from tests.support.programs import DCMTK, needs

CT, SEG, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"
EXPLICIT, IMPLICIT, JPEG_LS = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.80"
foreign = pytest.mark.foreign


class Storescp(StorescpPacs):
    """DCMTK's storescp with options of its own."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        super().__init__(data_dir)
        self.options = options

    def command(self) -> list[str]:
        """Return the command."""
        self._received.mkdir(exist_ok=True)
        return [str(DCMTK / "storescp"), *self.options, "+B", "-od", str(self._received), str(self.remote.port)]


class Dcmqrscp(StorescpPacs):
    """DCMTK's archive, which takes only the calling AE title KNOWN."""

    def command(self) -> list[str]:
        """Write the configuration and return the command."""
        self._received.mkdir(exist_ok=True)
        config = self._data_dir / "dcmqrscp.cfg"
        config.write_text(
            f"NetworkTCPPort = {self.remote.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            "HostTable BEGIN\nknown = (KNOWN, localhost, 11112)\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\n{self.remote.ae_title} {self._received} RW (10, 1024mb) known\nAETable END\n"
        )
        return [str(DCMTK / "dcmqrscp"), "-c", str(config)]


class Heard(list):
    """Collects the statuses."""

    def __call__(self, ref: ResultRef, status: int) -> None:
        self.append(status)


def _as_results(refs) -> list[ResultRef]:
    return [
        ResultRef(
            ref.path, "ct", ref.series_instance_uid, ref.sop_instance_uid, ref.sop_class_uid, ref.transfer_syntax_uid
        )
        for ref in refs
    ]


@pytest.fixture
def chest(tmp_path) -> list[ResultRef]:
    return _as_results(write(tmp_path / "chest", small_chest(20)))


def _contents(folder: Path) -> set[str]:
    return {instance_ref(path).digest for path in folder.iterdir() if path.suffix != ".dat"}


def _digests(results) -> set[str]:
    return {instance_ref(result.path).digest for result in results}


@foreign
@needs_data
@needs(str(DCMTK / "storescp"))
def test_storescp_holds_what_we_sent_byte_for_byte(tmp_path, chest):
    # the slice of this file, at z = -115 mm, is the tenth of the series
    compressed = _as_results([instance_ref(data_dir() / "ct-compressed/one-slice-all-syntaxes/rle.dcm")])
    heard = Heard()
    with Storescp(tmp_path, "+xa") as pacs:
        send(pacs.remote, "EMERALD", chest[:9] + compressed, 10, heard)
    assert heard == [0] * 10
    assert _contents(tmp_path / "received") == _digests(chest[:9] + compressed)


@foreign
@needs_data
@needs(str(DCMTK / "storescp"))
def test_a_storescp_of_implicit_vr_gets_the_same_pixels(tmp_path, chest):
    with Storescp(tmp_path, "+xi") as pacs:
        send(pacs.remote, "EMERALD", chest, 10, heard := Heard())
    assert heard == [0] * 20
    found = {(ds := pydicom.dcmread(path)).SOPInstanceUID: ds for path in (tmp_path / "received").iterdir()}
    for result in chest:
        sent = pydicom.dcmread(result.path)
        assert found[sent.SOPInstanceUID].file_meta.TransferSyntaxUID == IMPLICIT
        del sent.PixelPaddingValue  # 63536 in explicit VR (US) reads -2000 in implicit: the same two bytes
        public = [element.tag for element in sent if not element.tag.is_private]
        assert [found[sent.SOPInstanceUID][tag].value for tag in public] == [sent[tag].value for tag in public]


@foreign
@needs_data
@needs(str(DCMTK / "storescp"))
def test_compressed_images_at_a_storescp_of_uncompressed_ones(tmp_path):
    files = [
        data_dir() / "ct-compressed/one-slice-all-syntaxes" / f"{n}.dcm" for n in ("implicit_le", "jpegls_lossless")
    ]
    with Storescp(tmp_path) as pacs, pytest.raises(StoreRefused, match="JPEG-LS Lossless Image Compression") as caught:
        send(pacs.remote, "EMERALD", _as_results(map(instance_ref, files)), 10, heard := Heard())
    assert heard == [0, 0x0122]
    assert not caught.value.transient


@foreign
@needs_data
@needs(str(DCMTK / "storescp"))
@pytest.mark.parametrize(
    ("option", "error", "words"),
    [
        ("--refuse", AssociationRejected, "rejected"),
        ("--abort-after", AssociationAborted, "aborted the association|connection lost"),
        ("--abort-during", AssociationAborted, "aborted the association|connection lost"),
    ],
)
def test_a_storescp_that_misbehaves(tmp_path, chest, option, error, words):
    with Storescp(tmp_path, option) as pacs, pytest.raises(error, match=words) as caught:
        send(pacs.remote, "EMERALD", chest, 10, heard := Heard())
    assert heard == []
    assert caught.value.transient


@foreign
@needs_data
@needs(str(DCMTK / "storescp"))
def test_a_storescp_that_is_too_slow(tmp_path, chest):
    with Storescp(tmp_path, "--sleep-during", "3") as pacs, pytest.raises(PeerTimeout):
        send(pacs.remote, "EMERALD", chest, 0.5, Heard())


@foreign
@needs_data
@needs(str(DCMTK / "dcmqrscp"))
def test_dcmqrscp_takes_the_calling_title_that_it_knows_and_no_other(tmp_path, chest):
    with Dcmqrscp(tmp_path, "ARCHIVE") as pacs:
        assert echo(pacs.remote, "KNOWN", 10) > 0
        send(pacs.remote, "KNOWN", chest, 10, heard := Heard())
        with pytest.raises(AssociationRejected) as unknown:
            send(pacs.remote, "STRANGER", chest, 10, Heard())
        with pytest.raises(AssociationRejected, match="called AE title WRONG not recognized"):
            echo(RemoteAE("WRONG", pacs.remote.host, pacs.remote.port), "KNOWN", 10)
    assert heard == [0] * 20
    assert "STRANGER" in str(unknown.value)
    assert len(list((tmp_path / "received").glob("CT*"))) == 20


@foreign
@needs_data
@needs("Orthanc")
def test_orthanc_holds_what_we_sent_and_takes_it_again_as_the_same(tmp_path, chest):
    with OrthancPacs(tmp_path) as pacs:
        for _ in range(2):
            send(pacs.remote, "EMERALD", chest, 10, heard := Heard())
            assert len(heard) == 20
        files = pacs.fetch(tmp_path / "fetched")
        taken = accepted_contexts(pacs.remote, "EMERALD", [SEG, SR, CT], 10)
        with pytest.raises(AssociationRejected, match="called AE title NOBODY not recognized"):
            echo(RemoteAE("NOBODY", pacs.remote.host, pacs.remote.port), "EMERALD", 10)
    assert {path.stem for path in files} == {result.sop_instance_uid for result in chest}
    assert {EXPLICIT, IMPLICIT, JPEG_LS} <= set(taken[CT])
    assert EXPLICIT in taken[SEG]
    assert EXPLICIT in taken[SR]


@foreign
@needs_data
@needs("Orthanc")
def test_an_orthanc_that_does_not_know_us(tmp_path, chest):
    strict = {"DicomAlwaysAllowStore": False, "DicomAlwaysAllowEcho": False, "DicomCheckCalledAet": True}
    with OrthancPacs(tmp_path, settings=strict) as pacs, pytest.raises(PeerError) as caught:
        send(pacs.remote, "EMERALD", chest, 10, heard := Heard())
    assert "EMERALD" in str(caught.value) or "does not accept" in str(caught.value)
    assert 0 not in heard


@needs_data
def test_pynetdicom_hears_the_same_bytes(chest):
    heard_there: dict[str, str] = {}

    def on_c_store(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        heard_there[uid] = hashlib.sha256(event.request.DataSet.getvalue()).hexdigest()
        return 0xB007 if len(heard_there) == 3 else 0x0000

    ae = AE("PYNETDICOM")
    ae.supported_contexts = AllStoragePresentationContexts
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_c_store)])
    try:
        remote = RemoteAE("PYNETDICOM", "127.0.0.1", server.socket.getsockname()[1])
        send(remote, "EMERALD", chest, 10, heard := Heard())
    finally:
        server.shutdown()
    assert heard == [0, 0, 0xB007, *[0] * 17]
    assert heard_there == {result.sop_instance_uid: instance_ref(result.path).digest for result in chest}


@foreign
@needs_data
@needs(str(DCMTK / "storescp"))
@pytest.mark.slow
def test_no_answer_is_lost_in_two_thousand(tmp_path, chest):
    """Pin what pynetdicom's requestor does not give: about two of these would time out there on a busy machine."""
    with Storescp(tmp_path, "--ignore") as pacs:
        for _ in range(10):
            send(pacs.remote, "EMERALD", chest * 10, 10, heard := Heard())
            assert heard == [0] * 200
    assert os.path.getsize(tmp_path / "pacs.log") < 10_000
