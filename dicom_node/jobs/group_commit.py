"""Group commit: callers that arrive while a transaction runs share the next one."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from dicom_node.errors import LedgerError

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Ticket(Generic[Item, Result]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | None = None
        # Until the commit has returned, whatever happens (a signal, say) must not look like success.
        self.error: Exception | None = LedgerError("the ledger was interrupted before the commit")
        self.done = False


class GroupCommit(Generic[Item, Result]):
    """Collect items of many threads into batches; every caller returns after its batch is committed.

    There is no thread behind it: whoever gets the turn commits for all who wait. Alone, a caller pays nothing for it.

    Parameters
    ----------
    commit : callable
        Writes a batch in one transaction and returns one result for each item, or raises and leaves nothing behind.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._commit = commit
        self._waiting: list[_Ticket[Item, Result]] = []
        self._guard = threading.Lock()
        self._turn = threading.Lock()

    def submit(self, item: Item) -> Result:
        """Write one item; returns after its commit, raises what the commit raised for it."""
        ticket = _Ticket[Item, Result](item)
        with self._guard:
            self._waiting.append(ticket)
        with self._turn:
            if not ticket.done:
                self._lead()
        if ticket.error is not None:
            raise ticket.error
        return ticket.result  # type: ignore[return-value]  # a ticket that is done without error has its result

    def _lead(self) -> None:
        with self._guard:
            batch, self._waiting = self._waiting, []
        try:
            self._write(batch)
        except Exception as error:
            self._one_by_one(batch, error)
        finally:
            for ticket in batch:
                ticket.done = True

    def _write(self, batch: list[_Ticket[Item, Result]]) -> None:
        results = self._commit([ticket.item for ticket in batch])
        for ticket, result in zip(batch, results, strict=True):
            ticket.result, ticket.error = result, None

    def _one_by_one(self, batch: list[_Ticket[Item, Result]], error: Exception) -> None:
        if len(batch) == 1:
            batch[0].error = error
            return
        # One bad item must not fail the others.
        for ticket in batch:
            try:
                self._write([ticket])
            except Exception as own_error:
                ticket.error = own_error
