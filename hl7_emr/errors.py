"""What can go wrong with the record.

::

    EmrError                                transient
    ├ FramingError                          no      bytes that are no MLLP frame
    ├ MessageError(address)                 no      a message that cannot be read or used; says where
    ├ Nak(code)                             by code the peer refused our message
    ├ FhirError(status, outcome)            by status
    ├ Unreachable                           yes     no connection, no answer in time, cut off
    ├ SyntheticRefused                      no      a made-up record was about to meet a real patient or a real EMR
    └ UnknownMeaning(code)                  no      a site's own code is given a meaning that it cannot have
"""


class EmrError(Exception):
    """Base of all errors of the record."""

    transient = False


class FramingError(EmrError):
    """The bytes are no MLLP frame, or a frame is too large."""


class MessageError(EmrError):
    """A message cannot be read or used.

    Parameters
    ----------
    address : str
        Where it is wrong, as HL7 writes it: ``"MSH-9"``, ``"PID-3"``. No value of the message: that may name a patient.
    reason : str
        What is wrong, in words for the sender.
    rejected : bool
        True: answered AR, no retry can help (type, version, size); False: AE.
    """

    def __init__(self, address: str, reason: str, *, rejected: bool = False) -> None:
        super().__init__(f"{address}: {reason}")
        self.address = address
        self.reason = reason
        self.rejected = rejected


class Nak(EmrError):
    """The peer answered our message with AE, AR, CE or CR.

    Parameters
    ----------
    code : str
        MSA-1.
    words : str
        What the peer says about it.
    transient : bool
        Whether to send the message again.
    """

    def __init__(self, code: str, words: str, *, transient: bool) -> None:
        super().__init__(f"answered {code}: {words or 'no reason given'}")
        self.code = code
        self.transient = transient


class FhirError(EmrError):
    """The FHIR server's answer cannot be used.

    Parameters
    ----------
    status : int
        HTTP status; 0: the answer itself is wrong (no FHIR, too large, a foreign link).
    outcome : str
        What the server, or we, say about it.
    """

    def __init__(self, status: int, outcome: str) -> None:
        super().__init__(
            f"FHIR server answered {status}: {outcome}" if status else f"FHIR answer not usable: {outcome}"
        )
        self.status = status
        self.outcome = outcome
        self.transient = status in (408, 425, 429) or status >= 500


class Unreachable(EmrError):
    """No connection, no answer in time, or the connection broke off."""

    transient = True


class SyntheticRefused(EmrError):
    """A made-up record was about to be used for a real patient, or to be sent to a real system."""


class UnknownMeaning(EmrError):
    """A site's own code is given a meaning that it cannot have.

    Parameters
    ----------
    code : str
        System and code of the site.
    reason : str
        Why not, as the rest of a sentence about the code.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code} {reason}")
