"""When is killed what: moments spread over the phases, the same ones in every run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Literal

Phase = Literal["reception", "settling", "analysis", "delivery"]
Victim = Literal["node", "worker", "task", "broker"]
Launcher = Literal["embedded", "celery"]
Way = Literal["there", "back"]
# Multiples of it, modulo one, are spread evenly however many are taken.
_GOLDEN = 0.6180339887


@dataclass(frozen=True)
class Moment:
    """One kill.

    Attributes
    ----------
    share : float
        How far into the phase, 0 to 1: of the bytes on the line (reception, delivery), of the quiet time (settling), of
        the processor time that the undisturbed analysis took.
    victim : str
        ``node`` is ``emerald serve``; ``task`` the process that analyses or delivers; ``worker`` an ``emerald worker``
        with all its processes; ``broker`` the Valkey server.
    way : str
        ``there``: the kill comes while an object is on its way; ``back``: while an answer is.
    pacs : int
        Which of the two destinations is watched.
    syscall : str
        Where given, the kill comes when the victim enters such a system call for the ``number``-th time.
    times : int
        So often, each time after the node has been started again.
    """

    phase: Phase
    victim: Victim
    way: Way = "there"
    pacs: int = 0
    share: float = 0.5
    syscall: str = ""
    times: int = 1

    @property
    def number(self) -> int:
        """How many such system calls are let through, and one more that is not."""
        return 1 + int(self.share * (40 if self.phase == "reception" else 2))

    def __str__(self) -> str:
        if self.syscall:
            return f"{self.phase}, {self.syscall} {self.number}"
        what = {"there": "object", "back": "answer"}[self.way] if self.phase in ("reception", "delivery") else "time"
        to = f" to pacs{self.pacs + 1}" if self.phase == "delivery" else ""
        times = f", {self.times} times" if self.times > 1 else ""
        return f"{self.phase}{to}, {what} {self.share:.0%}{times}"


# The first five of each are of all phases and all victims.
_KINDS: dict[Launcher, tuple[Moment, ...]] = {
    "embedded": (
        Moment("reception", "node"),
        Moment("analysis", "task"),
        Moment("delivery", "node", "back"),
        Moment("settling", "node"),
        Moment("delivery", "task", pacs=1),
        Moment("analysis", "node"),
        Moment("reception", "node", "back"),
        Moment("delivery", "task", "back", pacs=1),
        Moment("reception", "task"),
        Moment("delivery", "node"),
        Moment("reception", "node", times=3),
        # an image that is synced but not renamed; renamed but not in the ledger; in it but not answered
        Moment("reception", "node", syscall="rename"),
        Moment("reception", "node", syscall="fsync"),
        Moment("reception", "node", syscall="sendto"),
        Moment("reception", "node", syscall="fsync"),
        # one result written, the other not
        Moment("analysis", "task", syscall="rename"),
    ),
    "celery": (
        Moment("analysis", "worker"),
        Moment("delivery", "task", "back"),
        Moment("reception", "node"),
        Moment("analysis", "broker"),
        Moment("settling", "node"),
        Moment("delivery", "worker", pacs=1),
        Moment("analysis", "task"),
        Moment("delivery", "node", "back", pacs=1),
        Moment("reception", "worker", "back"),
        Moment("analysis", "node"),
    ),
}


def moments(n: int, launcher: Launcher) -> Iterator[Moment]:
    """Yield ``n`` moments: round by round through the kinds, each time at another share of its phase."""
    for i, kind in enumerate(islice(cycle(_KINDS[launcher]), n)):
        yield replace(kind, share=0.05 + 0.9 * ((0.5 + i * _GOLDEN) % 1))
