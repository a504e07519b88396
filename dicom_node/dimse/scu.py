"""What calls: C-ECHO and C-STORE to a peer, each object's status told as it comes.

Objects go out byte for byte as they are stored, so that a repeated send is a true duplicate. Only where a peer does not
take the stored transfer syntax of an uncompressed object is it written anew in one that every peer has to take.
"""

import io
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.dimse import rejections
from dicom_node.dimse.contexts import STORAGE_SYNTAXES, VERIFICATION
from dicom_node.dimse.messages import Response
from dicom_node.dimse.negotiation import MAX_CONTEXTS, Context
from dicom_node.dimse.requestor import RequestedAssociation
from dicom_node.dimse.statuses import SOP_CLASS_NOT_SUPPORTED, SUCCESS
from dicom_node.domain import RemoteAE, ResultRef
from dicom_node.errors import PeerError, SpoolError, StoreRefused
from dicom_node.jobs.states import means_stored

OnStatus = Callable[[ResultRef, int], None]

# Implicit VR Little Endian is the default transfer syntax, which every peer has to take (PS3.5 section 10.1).
_INTERCHANGEABLE = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
is_stored = means_stored


@dataclass(frozen=True)
class _Refusal:
    """What a peer said of an object that it did not take."""

    result: ResultRef
    status: int
    comment: str


def send(
    remote: RemoteAE, calling_ae_title: str, results: Sequence[ResultRef], timeout_s: float, on_status: OnStatus
) -> None:
    """Store objects at a peer, on one association as long as they need no more than 128 presentation contexts.

    Parameters
    ----------
    remote : RemoteAE
        The peer.
    calling_ae_title : str
        As whom we call.
    results : sequence of ResultRef
        Sent in this order.
    timeout_s : float
        For the association and for each answer.
    on_status : callable
        Told each object's status as it comes: the peer's, or 0x0122 where the peer takes no such object. An object that
        it was not told of is unknown: the peer may hold it. To send it again is safe.

    Raises
    ------
    PeerError
        The peer was not reached, rejected or broke off, or was silent: ``AssociationRejected``,
        ``AssociationAborted``, ``PeerTimeout``. Or all were sent and some refused: ``StoreRefused``, with a transient
        status if there is one.
    SpoolError
        A file cannot be read.
    """
    refusals: list[_Refusal] = []
    for batch, proposed in _batches(results):
        with RequestedAssociation(remote, calling_ae_title, proposed, timeout_s) as association:
            for result in batch:
                response = _store(association, result)
                if not means_stored(response.status):
                    refusals.append(_Refusal(result, response.status, response.comment))
                on_status(result, response.status)
    if refusals:
        raise _refused(remote, refusals, len(results))


def echo(remote: RemoteAE, calling_ae_title: str, timeout_s: float) -> float:
    """Verify a peer by C-ECHO.

    Returns
    -------
    float
        Seconds from the C-ECHO request to its answer, the association not counted.

    Raises
    ------
    PeerError
        As in ``send``; or the peer does not take Verification, or fails it.
    """
    proposed = [(VERIFICATION, str(ImplicitVRLittleEndian))]
    with RequestedAssociation(remote, calling_ae_title, proposed, timeout_s) as association:
        if proposed[0] not in association.accepted:
            raise PeerError(remote, "takes the association but does not accept Verification (C-ECHO)")
        began = time.perf_counter()
        response = association.c_echo(proposed[0])
        seconds = time.perf_counter() - began
    if response.status != SUCCESS:
        raise PeerError(remote, f"answered C-ECHO with status 0x{response.status:04X} {response.comment}".rstrip())
    return seconds


def accepted_contexts(
    remote: RemoteAE,
    calling_ae_title: str,
    sop_classes: Sequence[str],
    timeout_s: float,
    transfer_syntaxes: Sequence[str] = STORAGE_SYNTAXES,
) -> dict[str, tuple[str, ...]]:
    """Ask a peer what it takes, without sending anything.

    Parameters
    ----------
    sop_classes : sequence of str
        SOP Class UIDs to propose.
    transfer_syntaxes : sequence of str
        To propose each of them with, each in a presentation context of its own.

    Returns
    -------
    dict of str to tuple of str
        For each SOP class the transfer syntaxes taken, in the order proposed; empty where the class is not taken.

    Raises
    ------
    PeerError
        As in ``send``.
    """
    wanted = [(sop_class, syntax) for sop_class in dict.fromkeys(sop_classes) for syntax in transfer_syntaxes]
    accepted: set[Context] = set()
    for at in range(0, len(wanted), MAX_CONTEXTS):
        proposed = wanted[at : at + MAX_CONTEXTS]
        with RequestedAssociation(remote, calling_ae_title, proposed, timeout_s) as association:
            accepted.update(association.accepted)
    return {
        sop_class: tuple(syntax for syntax in transfer_syntaxes if (sop_class, syntax) in accepted)
        for sop_class in sop_classes
    }


def _batches(results: Sequence[ResultRef]) -> Iterator[tuple[list[ResultRef], list[Context]]]:
    """Divide objects, in their order, so that each part needs no more contexts than an association can have."""
    batch: list[ResultRef] = []
    contexts: dict[Context, None] = {}
    for result in results:
        needed = dict.fromkeys(_contexts(result))
        if batch and len(contexts | needed) > MAX_CONTEXTS:
            yield batch, list(contexts)
            batch, contexts = [], {}
        batch.append(result)
        contexts |= needed
    if batch:
        yield batch, list(contexts)


def _contexts(result: ResultRef) -> list[Context]:
    """Return the contexts that an object can go out in, best first."""
    syntaxes = [result.transfer_syntax_uid]
    if result.transfer_syntax_uid in _INTERCHANGEABLE:
        syntaxes += [syntax for syntax in _INTERCHANGEABLE if syntax != result.transfer_syntax_uid]
    return [(result.sop_class_uid, syntax) for syntax in syntaxes]


def _store(association: RequestedAssociation, result: ResultRef) -> Response:
    context = next((context for context in _contexts(result) if context in association.accepted), None)
    if context is None:
        name, syntax = UID(result.sop_class_uid).name, UID(result.transfer_syntax_uid).name
        return Response(0, SOP_CLASS_NOT_SUPPORTED, f"the peer does not accept {name} in {syntax}")
    try:
        with result.path.open("rb") as file:
            if context[1] == result.transfer_syntax_uid:
                data_set, n_bytes = _data_set(file)
            else:
                data_set, n_bytes = _rewritten(file, context[1])
            return association.c_store(context, result.sop_instance_uid, data_set, n_bytes)
    except OSError as error:
        raise SpoolError(f"{result.path.name} cannot be sent: {error.strerror or error}") from error


def _data_set(file: BinaryIO) -> tuple[BinaryIO, int]:
    """Find the data set of a DICOM file, or take the whole of a file without file meta information."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(144)
    # File Meta Information Group Length comes first, PS3.10 section 7.1.
    offset = 144 + struct.unpack("<L", start[140:144])[0] if start[128:136] == b"DICM\2\0\0\0" else 0
    file.seek(offset)
    return file, size - offset


def _rewritten(file: BinaryIO, transfer_syntax_uid: str) -> tuple[BinaryIO, int]:
    """Encode an uncompressed object in another little endian transfer syntax."""
    dataset = dcmread(file, force=True)
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = transfer_syntax_uid == ImplicitVRLittleEndian
    write_dataset(buffer, dataset)
    return io.BytesIO(buffer.getvalue()), buffer.tell()


def _refused(remote: RemoteAE, refusals: Sequence[_Refusal], n_sent: int) -> StoreRefused:
    """Return the error that tells of refusals: a transient one, if there is any, so that all are tried again."""
    errors = [StoreRefused(remote, refusal.status, _comment(refusal, len(refusals), n_sent)) for refusal in refusals]
    return next((error for error in errors if error.transient), errors[0])


def _comment(refusal: _Refusal, n_refused: int, n_sent: int) -> str:
    count = f"({n_refused} of {n_sent} objects refused)" if n_sent > 1 else ""
    return " ".join(part for part in (rejections.status_words(refusal.status), refusal.comment, count) if part)
