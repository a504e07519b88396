"""Messages of the outbox on their way to one destination: in order, until they are accepted or a person is needed."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from hl7_emr.errors import EmrError, Nak, Unreachable
from hl7_emr.hl7v2.client import Connection, Peer
from hl7_emr.stores import Outbox, Outgoing

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How often a message is tried, and how long it waits between.

    Attributes
    ----------
    attempts : int
        Refusals (AE, CE) after which a message becomes a dead letter. A peer that cannot be reached is waited for
        without end: nothing is wrong with the message.
    """

    attempts: int = 8
    first_s: float = 2
    longest_s: float = 600

    def delay_s(self, attempts: int, random: Random) -> float:
        """Return how long to wait after so many attempts: doubled each time, and spread."""
        longest = min(self.longest_s, self.first_s * 2.0 ** min(attempts, 30))
        return longest * random.uniform(0.5, 1.0)


class Sender:
    """Sends what the outbox holds for one destination.

    Order is kept: a correction never overtakes what it corrects, so a message that has to wait holds up those behind
    it, and one that is refused for good (AR) makes room for them as a dead letter.
    """

    def __init__(
        self,
        destination: str,
        peer: Peer,
        outbox: Outbox,
        clock: Callable[[], datetime],
        random: Random,
        patience: Patience | None = None,
    ) -> None:
        self._destination = destination
        self._peer = peer
        self._outbox = outbox
        self._clock = clock
        self._random = random
        self._patience = patience or Patience()
        self._connection: Connection | None = None

    async def send_next(self) -> bool:
        """Send the message that is due, if there is one; False: there was none."""
        message = await asyncio.to_thread(self._outbox.next_due, self._destination, self._clock())
        if message is None:
            return False
        try:
            code = await self._exchange(message)
        except EmrError as error:
            await asyncio.to_thread(self._note_failure, message, error)
        else:
            await asyncio.to_thread(self._outbox.sent, message.id, code, self._clock())
        return True

    async def _exchange(self, message: Outgoing) -> str:
        """Send on the open connection, or a new one where the peer has closed it meanwhile."""
        if self._connection is None:
            self._connection = await Connection.open(self._peer)
        try:
            return (await self._connection.exchange(message.content, message.control_id)).code
        except Unreachable:
            await self.close()
            raise

    async def close(self) -> None:
        """End the connection; the next message opens a new one."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def _note_failure(self, message: Outgoing, error: EmrError) -> None:
        # what a peer says of our message may name the patient: it stands in the outbox, not in the log
        said = f"answered {error.code}" if isinstance(error, Nak) else error
        _LOG.warning("%s: message %d: %s", self._destination, message.id, said)
        hopeless = not error.transient or (isinstance(error, Nak) and message.attempts + 1 >= self._patience.attempts)
        if hopeless:
            self._outbox.bury(message.id, str(error), self._clock())
            return
        wait = self._patience.delay_s(message.attempts, self._random)
        self._outbox.delay(message.id, str(error), self._clock() + timedelta(seconds=wait))
