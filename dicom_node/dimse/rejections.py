"""Why a peer does not take our association, in words for the person who administers both ends."""

import errno
import socket

PERMANENT = 1  # result of PS3.8 table 9-21; 2 is transient

_NO_REASON, _CALLING_UNKNOWN, _CALLED_UNKNOWN = 1, 3, 7
# Other reasons by source and reason, PS3.8 table 9-21.
_OTHERS = {
    (1, 2): "application context name not supported",
    (2, 1): "no reason given by its ACSE",
    (2, 2): "protocol version not supported",
    (3, 1): "it is busy (temporary congestion)",
    (3, 2): "it has as many associations as it allows",
}


# PS3.4 table B.2-1 and PS3.7 annex C; the last two digits of the first three may be anything.
_STATUS_WORDS = {
    0xA700: "out of resources",
    0xA900: "data set does not match its SOP class",
    0xC000: "cannot understand the object",
    0x0110: "processing failure",
    0x0117: "invalid object",
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
    0x0213: "resource limitation",
}


def status_words(status: int) -> str:
    """Say what a failure status of C-STORE means, or nothing of one that the standard does not name."""
    general = status & (0xF000 if status >= 0xC000 else 0xFF00)
    return _STATUS_WORDS.get(status) or _STATUS_WORDS.get(general, "")


def words(result: int, source: int, reason: int, calling_ae_title: str, called_ae_title: str) -> str:
    """Say what an A-ASSOCIATE-RJ means and where to look.

    Parameters
    ----------
    result, source, reason : int
        The codes of PS3.8 table 9-21.
    """
    if source == 1 and reason == _CALLED_UNKNOWN:
        # DCMTK's archive, for one, gives this reason for a calling title that it does not know, too
        hint = f"check the AE title in the PACS, and that it allows calling AE title {calling_ae_title}"
        return f"rejected: called AE title {called_ae_title} not recognized - {hint}"
    if source == 1 and reason == _CALLING_UNKNOWN:
        return f"rejected: calling AE title {calling_ae_title} not recognized - allow it in the PACS"
    if source == 1 and reason == _NO_REASON:
        hint = f"check that the PACS allows calling AE title {calling_ae_title} from this machine"
        return f"rejected without a reason - {hint}"
    what = _OTHERS.get((source, reason), f"source {source}, reason {reason}")
    how = "" if result == PERMANENT else " for the moment"
    return f"rejected{how}: {what}"


def no_connection(error: OSError) -> str:
    """Say why there is no TCP connection."""
    if isinstance(error, socket.gaierror):
        return "host name not known - check the host"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there - check host and port, and that the PACS runs"
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "no route to the host - check the address and the network"
    return f"no connection ({error.strerror or error})"
