"""DIMSE status codes of our answers, and which error becomes which.

The codes are those of PS3.7 annex C and of the Storage Service Class, PS3.4 table B.2-1.
"""

from dicom_node.errors import InstanceConflict, InstanceUnreadable, LedgerError, NodeError, SpoolError, UidMismatch

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
SOP_CLASS_NOT_SUPPORTED = 0x0122
UNRECOGNIZED_OPERATION = 0x0211
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
# Of the range that PS3.4 leaves to us: "cannot understand" codes are 0xCxxx.
CONFLICTS_WITH_HELD_INSTANCE = 0xC100

_STATUS_OF: tuple[tuple[type[NodeError], int], ...] = (
    (SpoolError, OUT_OF_RESOURCES),
    (LedgerError, OUT_OF_RESOURCES),
    (InstanceUnreadable, CANNOT_UNDERSTAND),
    (UidMismatch, DATA_SET_DOES_NOT_MATCH),
    (InstanceConflict, CONFLICTS_WITH_HELD_INSTANCE),
)


def status_of(error: NodeError) -> int:
    """Return the C-STORE status that tells a sender of this error."""
    return next((status for kind, status in _STATUS_OF if isinstance(error, kind)), PROCESSING_FAILURE)
