"""Received messages go to the store in groups: one transaction for all that came while the last one was written."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from hl7_emr.stores import Inbox, Received

_MOST = 256
_Waiting = tuple[Sequence[Received], "asyncio.Future[Sequence[bool]]"]


class Committer:
    """Writes off the event loop, in the order in which the messages were handed in.

    Parameters
    ----------
    inbox : Inbox
        Called in ``executor``, never twice at a time.
    """

    def __init__(self, inbox: Inbox, executor: Executor) -> None:
        self._inbox = inbox
        self._executor = executor
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()

    async def take(self, messages: Sequence[Received]) -> Sequence[bool]:
        """Return for each message whether it is new, once all of them are durable; raises what the store raises."""
        done: asyncio.Future[Sequence[bool]] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((messages, done))
        return await done

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            group = [await self._waiting.get()]
            while not self._waiting.empty() and sum(len(messages) for messages, _ in group) < _MOST:
                group.append(self._waiting.get_nowait())
            await self._write(group)

    async def _write(self, group: Sequence[_Waiting]) -> None:
        batch = [message for messages, _ in group for message in messages]
        try:
            news = await asyncio.get_running_loop().run_in_executor(self._executor, self._inbox.take, batch)
        except Exception as error:  # each sender is told; the store says what is the matter
            if len(group) > 1:  # what is wrong with one message must not fail the others
                for each in group:
                    await self._write([each])
            elif not group[0][1].done():
                group[0][1].set_exception(error)
            return
        start = 0
        for messages, done in group:
            if not done.done():  # its connection may have gone meanwhile
                done.set_result(news[start : start + len(messages)])
            start += len(messages)
