"""The storage SCP: listens, gives each connection a thread, and keeps strangers from crowding out known peers."""

import logging
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from dicom_node.dimse.association import AcceptedAssociation, PeerAborted, Rejected, Requested, abort_pdu
from dicom_node.dimse.connection import Connection
from dicom_node.dimse.reception import Ending, Ledger, Reception, Stores
from dicom_node.errors import ConnectionLost, PeerMisbehaved, PeerSilent
from dicom_node.objects.spool import Spool
from dicom_node.settings import Settings

_LOG = logging.getLogger(__name__)
# Connections that have not yet asked for an association; the oldest goes when one more comes. Each holds at most
# MAX_ASSOCIATE_RQ bytes, so strangers cost 64 MiB at most, and a thread each.
_MAX_WAITING = 256
_LINGER_S = 2.0


@dataclass(eq=False)
class _Peer:
    """One connection, with or without an association yet."""

    wire: Connection
    address: str
    association: AcceptedAssociation
    thread: threading.Thread
    is_established: bool = False


class Scp:
    """C-ECHO and C-STORE SCP on one port for all called AE titles of the settings.

    Parameters
    ----------
    settings : Settings
        ``dicom`` and ``pipelines`` are used; port 0 takes a free one.
    """

    def __init__(self, settings: Settings, spool: Spool, ledger: Ledger) -> None:
        self._stores = Stores(settings, spool, ledger)
        self._dicom = settings.dicom
        self._guard = threading.Lock()
        self._peers: list[_Peer] = []
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._listener.getsockname()[1]) if self._listener else self._dicom.port

    def start(self) -> None:
        """Listen; raises OSError where the address is taken."""
        # It logs a traceback where a peer's association request cannot be read; what matters of it is in our own line.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        family = socket.AF_INET6 if ":" in self._dicom.host else socket.AF_INET
        self._listener = socket.create_server((self._dicom.host, self._dicom.port), family=family, backlog=128)
        self._accepting = threading.Thread(target=self._accept, args=(self._listener,), name="scp-accept", daemon=True)
        self._accepting.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """Stop listening, let the messages that are under way end, then abort what is left."""
        if self._listener is None or self._accepting is None or self._stopping.is_set():
            return
        self._stopping.set()
        # A thread in accept() wakes up by this, not by close().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        deadline = time.monotonic() + grace_s
        while (peers := self._connected()) and time.monotonic() < deadline:
            self._interrupt(peer for peer in peers if peer.association.is_idle)
            peers[0].thread.join(0.05)
        self._interrupt(self._connected())
        deadline = time.monotonic() + grace_s
        for peer in self._connected():
            peer.thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                sock, address = listener.accept()
                self._welcome(sock, address[0])
            except (OSError, RuntimeError) as error:  # too many open files or threads
                if not self._stopping.is_set():
                    _LOG.error("a connection could not be accepted: %s", error)
                    self._stopping.wait(0.1)

    def _welcome(self, sock: socket.socket, address: str) -> None:
        wire = Connection(sock, self._dicom.idle_timeout_s, self._dicom.pdu_timeout_s)
        association = AcceptedAssociation(wire, self._dicom.accepted_sop_classes)
        thread = threading.Thread(target=lambda: self._serve(peer), name=f"scp-{address}", daemon=True)
        peer = _Peer(wire, address.removeprefix("::ffff:"), association, thread)
        with self._guard:
            self._peers.append(peer)
            waiting = [each for each in self._peers if not each.is_established]
        self._interrupt(waiting[:-_MAX_WAITING])
        try:
            thread.start()
        except RuntimeError:  # no more threads
            self._forget(peer)
            wire.close()
            raise

    def _serve(self, peer: _Peer) -> None:
        reception = Reception(self._stores, peer.address)
        how: Ending = "aborted"
        try:
            self._converse(peer, reception)
            how = "released"
        except Rejected as rejection:
            _LOG.warning("%s rejected: %s", reception, rejection)
            self._say(peer, rejection.pdu)
        except PeerMisbehaved as error:
            _LOG.warning("%s aborted: %s", reception, error)
            self._say(peer, abort_pdu(error.abort_reason))
        except ConnectionLost as error:
            how = "aborted" if isinstance(error, PeerAborted) else "lost"
            # A connection that asks for nothing is a port scan or a health check.
            level = logging.WARNING if peer.is_established else logging.DEBUG
            _LOG.log(level, "%s %s: %s", reception, how, error)
            if isinstance(error, PeerSilent) and peer.is_established:
                self._say(peer, abort_pdu(0))
        except Exception:
            _LOG.exception("%s aborted by a mistake of ours", reception)
            self._say(peer, abort_pdu(0))
        finally:
            self._part(peer, reception, how)

    def _converse(self, peer: _Peer, reception: Reception) -> None:
        def admit(requested: Requested) -> None:
            self._admit(peer, reception, requested)

        peer.association.establish(self._dicom.association_request_timeout_s, admit)
        peer.association.serve(reception, self._stopping.is_set)

    def _admit(self, peer: _Peer, reception: Reception, requested: Requested) -> None:
        reception.check(requested)
        with self._guard:
            if sum(each.is_established for each in self._peers) >= self._dicom.max_associations:
                raise Rejected.limit_reached()
            peer.is_established = True
        reception.begin(requested)

    def _part(self, peer: _Peer, reception: Reception, how: Ending) -> None:
        # What a stop of the node breaks off is not the peer's doing; the ledger notes it at the next start.
        if how == "released" or not self._stopping.is_set():
            reception.end(how)
        self._forget(peer)
        peer.wire.close(0 if self._stopping.is_set() else _LINGER_S)

    def _forget(self, peer: _Peer) -> None:
        with self._guard:
            self._peers.remove(peer)

    def _say(self, peer: _Peer, pdu: bytes) -> None:
        try:
            peer.wire.send(pdu)
        except ConnectionLost:
            _LOG.debug("%s did not hear why", peer.address)

    def _connected(self) -> list[_Peer]:
        with self._guard:
            return list(self._peers)

    @staticmethod
    def _interrupt(peers: Iterable[_Peer]) -> None:
        for peer in peers:
            peer.wire.interrupt()
