"""What can go wrong in the node.

::

    NodeError                                 transient   who learns of it
    ├ SettingsError(field, reason)            no          refuses to start, exit 2, names the field
    ├ PeerError(peer)
    │ ├ AssociationRejected                   yes         back off; a parked destination is probed
    │ ├ AssociationAborted                    yes         back off
    │ ├ PeerTimeout                           yes         back off
    │ └ StoreRefused(status)                  0xA7xx yes  others wait for `emerald retry`
    ├ SpoolError                              yes         0xA700 to the sender
    │ ├ DiskFull                              yes         0xA700 to the sender
    │ └ ObjectTooLarge                        no          the association is aborted
    ├ InstanceUnreadable                      no          0xC000 to the sender
    ├ UidMismatch                             no          0xA900 to the sender
    ├ InstanceConflict                        no          0xC100 to the sender
    ├ ConnectionLost                          no          the association ends, one line in the log
    │ └ PeerSilent                            no          as above
    ├ PeerMisbehaved                          no          A-ABORT to the peer, one line in the log
    ├ SeriesRefused(reason, detail)           no          "not analysed, because" in the report
    ├ CaseDataMissing                         no          the command line says what to install
    ├ SplitViolation                          no          training, composing or a threshold is refused
    ├ ReportRefused                           no          waits for `emerald retry`
    │ └ ReportDelayed                         yes         back off
    ├ ResultInvalid                           no          result quarantined, job says so
    ├ LedgerError                             yes         0xA700 to the sender; a worker tries again
    ├ NoSuchJob                               no          the command line says so
    └ IllegalTransition, LeaseLost            no          logged, the late result is dropped

Errors are caught in three places: the SCP's handler, the worker, the command line. A message says what, where and what
to do; never a patient's name or ID.
"""

from dicom_node.domain import Reason, RemoteAE


class NodeError(Exception):
    """Base of all errors of the node."""

    transient = False


class SettingsError(NodeError):
    """A setting is missing or wrong.

    Attributes
    ----------
    field : str
        Dotted name of the setting, for example ``pipelines.0.called_ae_title``.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"setting {field}: {reason}")
        self.field = field
        self.reason = reason


class PeerError(NodeError):
    """A remote application entity did not do what it was asked."""

    transient = True

    def __init__(self, peer: RemoteAE, reason: str) -> None:
        super().__init__(f"{peer}: {reason}")
        self.peer = peer
        self.reason = reason


class AssociationRejected(PeerError):
    """The peer answered the association request with a rejection, or could not be reached.

    Attributes
    ----------
    permanent : bool
        The peer said that asking again is of no use (PS3.8 9.3.4, result 1): deliveries are parked, the peer is probed.
    """

    def __init__(self, peer: RemoteAE, reason: str, permanent: bool = False) -> None:
        super().__init__(peer, reason)
        self.permanent = permanent


class AssociationAborted(PeerError):
    """The peer broke the association off."""


class PeerTimeout(PeerError):
    """The peer did not answer in time."""


class StoreRefused(PeerError):
    """The peer answered a C-STORE with a failure status."""

    def __init__(self, peer: RemoteAE, status: int, comment: str = "") -> None:
        super().__init__(peer, f"C-STORE refused with status 0x{status:04X}" + (f": {comment}" if comment else ""))
        self.status = status
        # out of resources; PS3.7 annex C: processing failure, resource limitation
        self.transient = (status & 0xFF00) == 0xA700 or status in (0x0110, 0x0213)


class SpoolError(NodeError):
    """An instance could not be made durable."""

    transient = True


class DiskFull(SpoolError):
    """The file system has less room than the watermark asks for."""


class ObjectTooLarge(SpoolError):
    """One object is larger than ``max_object_mb``."""

    transient = False


class InstanceUnreadable(NodeError):
    """The bytes are not a complete data set."""


class UidMismatch(NodeError):
    """The data set is not the instance that the C-STORE request announced."""


class InstanceConflict(NodeError):
    """Another image is held under the SOP Instance UID of the one that arrived; the first stays."""


class ConnectionLost(NodeError):
    """A peer that called us is gone."""


class PeerSilent(ConnectionLost):
    """A peer that called us did not send, or did not read, in time."""


class PeerMisbehaved(NodeError):
    """A peer that called us broke the upper layer protocol (PS3.8).

    Attributes
    ----------
    abort_reason : int
        Reason of the provider's A-ABORT, PS3.8 table 9-26.
    """

    def __init__(self, what: str, abort_reason: int = 0) -> None:
        super().__init__(what)
        self.abort_reason = abort_reason


class SeriesRefused(NodeError):
    """The series cannot be analysed.

    Attributes
    ----------
    reason : Reason
        Coded.
    detail : str
        In words, with the slice or value concerned.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.sentence}: {detail}" if detail else reason.sentence)
        self.reason = reason
        self.detail = detail


class ResultInvalid(NodeError):
    """A result object failed its structural check and must not leave."""


class LedgerError(NodeError):
    """The ledger could not be read or written (database away, locked, or its disk full)."""

    transient = True


class NoSuchJob(NodeError):
    """The ledger has no job of this number."""


class IllegalTransition(NodeError):
    """The event has no row in the table for this state."""


class LeaseLost(NodeError):
    """Another worker took the work over."""


class CaseDataMissing(NodeError):
    """Data that demo, training or evaluation needs is not installed."""


class SplitViolation(NodeError):
    """An outline, a rating or a lung was about to be used for what its split does not allow."""


class ReportRefused(NodeError):
    """The EMR does not take a report, or must not be told: a person has to look at it.

    Attributes
    ----------
    logged : str
        The message without what the EMR said of the report: that may name the patient.
    """

    def __init__(self, words: str, logged: str = "") -> None:
        super().__init__(words)
        self.logged = logged or words


class ReportDelayed(ReportRefused):
    """The EMR could not be told now."""

    transient = True
