"""How we ask for an association: the connection, the request, what the acceptance says (PS3.8 sections 9.1 to 9.3.3).

PDUs of the negotiation are written and read by pynetdicom.
"""

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

from dicom_node.dimse import rejections
from dicom_node.dimse.connection import ASSOCIATE_AC
from dicom_node.dimse.contexts import ACCEPTED, APPLICATION_CONTEXT
from dicom_node.domain import RemoteAE
from dicom_node.errors import AssociationRejected, PeerTimeout
from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

# A SOP class with the transfer syntax of a presentation context of its own.
Context = tuple[str, str]

# PS3.8 section 9.3.2.2: context identifiers are the odd numbers from 1 to 255.
MAX_CONTEXTS = 128
_CONNECT_AT_MOST_S = 10.0
_MAX_LENGTH = 16384  # of the P-DATA that we want to be sent: responses are small


@dataclass(frozen=True)
class Accepted:
    """What the peer agreed to: the contexts with their identifiers, and the largest PDU it takes (0: any)."""

    contexts: dict[Context, int]
    max_length: int


def connect(peer: RemoteAE, timeout_s: float) -> socket.socket:
    """Connect; raises AssociationRejected or PeerTimeout, saying what to check."""
    within_s = min(timeout_s, _CONNECT_AT_MOST_S)
    try:
        sock = socket.create_connection((peer.host, peer.port), timeout=within_s)
    except TimeoutError:
        why = f"no connection in {within_s:g} s: check the address, the port and the firewalls between"
        raise PeerTimeout(peer, why) from None
    except OSError as error:
        raise AssociationRejected(peer, rejections.no_connection(error)) from error
    # Without this the last piece of an object waits 40 ms for the acknowledgement of the one before.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _identifiers() -> range:
    return range(1, 2 * MAX_CONTEXTS, 2)


def associate_request(peer: RemoteAE, calling_ae_title: str, proposed: Sequence[Context]) -> bytes:
    """Encode an A-ASSOCIATE-RQ that proposes each context with the one transfer syntax it names."""
    contexts = []
    for identifier, (sop_class_uid, transfer_syntax_uid) in zip(_identifiers(), proposed, strict=False):
        context = PresentationContext()
        context.context_id = identifier
        context.abstract_syntax = UID(sop_class_uid)
        context.transfer_syntax = [UID(transfer_syntax_uid)]
        contexts.append(context)
    primitive = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title = calling_ae_title
    primitive.called_ae_title = peer.ae_title
    primitive.presentation_context_definition_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = _MAX_LENGTH
    class_uid = ImplementationClassUIDNotification()
    class_uid.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, class_uid, version]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def read_acceptance(body: bytes, proposed: Sequence[Context]) -> Accepted:
    """Decode an A-ASSOCIATE-AC, given without its head; a malformed one raises whatever pynetdicom trips over."""
    pdu = A_ASSOCIATE_AC()
    pdu.decode(struct.pack(">BBL", ASSOCIATE_AC, 0, len(body)) + body)
    primitive = pdu.to_primitive()
    answers = {answer.context_id: answer for answer in primitive.presentation_context_definition_results_list}
    contexts = {
        context: identifier
        for identifier, context in zip(_identifiers(), proposed, strict=False)
        if identifier in answers
        and answers[identifier].result == ACCEPTED
        and answers[identifier].transfer_syntax == [context[1]]
    }
    return Accepted(contexts, primitive.maximum_length_received or 0)
