"""From a frame to its messages, and from what became of them to the answer. No sockets."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hl7_emr.errors import MessageError
from hl7_emr.hl7v2 import batch
from hl7_emr.hl7v2.acknowledgement import Verdict, acknowledgement, answers
from hl7_emr.hl7v2.framing import Fault, Frame
from hl7_emr.hl7v2.intake import Examined, Rules, examine, refuse


@dataclass(frozen=True)
class Judged:
    """A frame after examination.

    Attributes
    ----------
    batch : bool
        Its messages are answered together, as a batch.
    answerable : bool
        False: its connection is gone.
    """

    examined: Sequence[Examined]
    batch: bool = False
    answerable: bool = True


class StoreTrouble(MessageError):
    """The store could not keep a message: the sender has to send it again."""

    transient = True

    def __init__(self) -> None:
        super().__init__("MSH", "the message could not be stored, send it again")


@dataclass(frozen=True)
class Judge:
    """Examines frames and answers them.

    Attributes
    ----------
    transient_code : Verdict
        What a sender is told when our own store fails, so that it sends again: engines differ on AE and AR.
    """

    rules: Rules
    clock: Callable[[], datetime]
    transient_code: Verdict = Verdict.ERROR

    def examine(self, each: Frame, peer: str) -> Judged:
        """Examine all messages of a frame; whatever its bytes are, there is at least one result."""
        at = self.clock()
        if each.fault is not None:
            wrong = MessageError("MSH", each.fault.value, rejected=each.fault is not Fault.UNENDED)
            refused = [refuse(each.content, peer, at, wrong)]
            return Judged(refused, answerable=each.fault is not Fault.CUT_OFF)
        found = batch.split(each.content)
        if len(found.messages) > 1 and not found.batch:
            wrong = MessageError("MSH", "several messages in one frame; frame each one", rejected=True)
            return Judged([refuse(each.content, peer, at, wrong)])
        return Judged([examine(content, peer, at, self.rules) for content in found.messages], found.batch)

    def replies(self, judged: Judged, trouble: MessageError | None) -> list[bytes]:
        """Return the frames' contents to answer with; several only in enhanced mode (CA, then AA).

        Parameters
        ----------
        trouble : MessageError or None
            What went wrong after examination, for all messages alike.
        """
        if not judged.answerable:
            return []
        replies = [reply for each in judged.examined for reply in self._replies_to(each, trouble)]
        if not judged.batch or not replies:
            return replies
        return [b"BHS|^~\\&\r" + b"".join(replies) + b"BTS|%d\r" % len(replies)]

    def _replies_to(self, each: Examined, trouble: MessageError | None) -> list[bytes]:
        error = trouble or each.error
        verdict = Verdict.ACCEPTED
        if trouble is not None:
            verdict = self.transient_code
        elif error is not None:
            verdict = Verdict.REJECTED if error.rejected else Verdict.ERROR
        codes = answers(each.header, verdict)
        return [acknowledgement(each.header, code, new_control_id(), self.clock(), error) for code in codes]


def new_control_id() -> str:
    """Return an MSH-10 of 20 characters, the most that version 2.3 allows."""
    return uuid.uuid4().hex[:20].upper()
