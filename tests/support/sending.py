"""Senders that propose each file as what it is: our own for any file, DCMTK's dcmsend for what it agrees to send."""

import os
import subprocess
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread

from dicom_node.domain import RemoteAE
from tests.support.peers import CT_STORAGE, IMPLICIT_LE, STORE_CONTEXT, Peer, p_data, store_request
from tests.support.programs import DCMTK

_FRAGMENT = 16000


@dataclass(frozen=True)
class Instance:
    """A file as a sender sees it: the UIDs that it announces, and the data set's bytes."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes


@dataclass(frozen=True)
class Answered:
    """What the node said: ``status`` is None where it refused the presentation context."""

    status: int | None
    comment: str = ""


def instance_of(file: Path | Dataset) -> Instance:
    """Read what a file says of itself; one without file meta information is announced as its data set says."""
    data = _written(file) if isinstance(file, Dataset) else file.read_bytes()
    if data[128:132] == b"DICM":
        meta = dcmread(BytesIO(data), force=True, stop_before_pixels=True, specific_tags=[]).file_meta
        uids = (meta.get(f"MediaStorageSOP{kind}UID") for kind in ("Class", "Instance"))
        sop_class_uid, sop_instance_uid = (str(uid or "1.2.3") for uid in uids)
        begin = 144 + int.from_bytes(data[140:144], "little")
        return Instance(sop_class_uid, sop_instance_uid, str(meta.TransferSyntaxUID), data[begin:])
    ds = dcmread(BytesIO(data), force=True, stop_before_pixels=True)
    sop_class_uid, sop_instance_uid = str(ds.get("SOPClassUID", CT_STORAGE)), str(ds.get("SOPInstanceUID", "1.2.3"))
    return Instance(sop_class_uid, sop_instance_uid, IMPLICIT_LE, data)


def _written(ds: Dataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def send_file(path: Path, to: RemoteAE) -> Answered:
    """Send one file on an association of its own."""
    return send_instance(instance_of(path), to)


def send_instance(instance: Instance, to: RemoteAE) -> Answered:
    """Send one instance on an association of its own."""
    with Peer(to.port, patience_s=30) as peer:
        contexts = [(STORE_CONTEXT, instance.sop_class_uid, [instance.transfer_syntax_uid])]
        result, _ = peer.associate(contexts).contexts[STORE_CONTEXT]
        if result:
            peer.release()
            return Answered(None)
        answered = store(peer, instance)
        peer.release()
    return answered


def store(peer: Peer, instance: Instance, context_id: int = STORE_CONTEXT) -> Answered:
    """Send one instance on an association that is there."""
    request = store_request(instance.sop_instance_uid, instance.sop_class_uid)
    peer.send(p_data(context_id, request, command=True))
    for at in range(0, max(len(instance.data_set), 1), _FRAGMENT):
        last = at + _FRAGMENT >= len(instance.data_set)
        peer.send(p_data(context_id, instance.data_set[at : at + _FRAGMENT], last=last))
    response = peer.response()
    # PS3.7 annex C: (0000,0900) Status, (0000,0902) Error Comment
    return Answered(int.from_bytes(response[0x0900], "little"), response.get(0x0902, b"").decode().strip())


def dcmsend(folder: Path, to: RemoteAE) -> str:
    """Send all files below a folder with DCMTK's dcmsend, as they are; returns what it says."""
    options = ["-v", "--no-halt", "--no-uid-checks", "--decompress-never", "-aec", to.ae_title, "+sd", "+r"]
    command = [str(DCMTK / "dcmsend"), *options, to.host, str(to.port), str(folder)]
    environ = os.environ | {"TCP_NODELAY": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=300)
    return done.stdout + done.stderr
