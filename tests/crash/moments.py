"""When is killed what: moments spread over the phases, the same ones in every run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Literal

Phase = Literal["reception", "settling", "analysis", "delivery"]
Victim = Literal["node", "worker", "task"]
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
        the time that the undisturbed analysis took.
    victim : str
        ``node`` is ``emerald serve``, ``worker`` the process that analyses or delivers.
    way : str
        ``there``: the kill comes while an object is on its way; ``back``: while an answer is.
    pacs : int
        Which of the two destinations is watched.
    """

    phase: Phase
    victim: Victim
    way: Way = "there"
    pacs: int = 0
    share: float = 0.5

    def __str__(self) -> str:
        what = {"there": "object", "back": "answer"}[self.way] if self.phase in ("reception", "delivery") else "time"
        to = f" to pacs{self.pacs + 1}" if self.phase == "delivery" else ""
        return f"{self.phase}{to}, {what} {self.share:.0%}"


# The first five are one of each phase, and both victims.
_EMBEDDED = (
    Moment("reception", "node"),
    Moment("analysis", "worker"),
    Moment("delivery", "node", "back"),
    Moment("settling", "node"),
    Moment("delivery", "worker", pacs=1),
    Moment("analysis", "node"),
    Moment("reception", "node", "back"),
    Moment("delivery", "worker", "back", pacs=1),
    Moment("reception", "worker"),
    Moment("delivery", "node"),
)


def moments(n: int) -> Iterator[Moment]:
    """Yield ``n`` moments: round by round through the kinds, each time at another share of its phase."""
    for i, kind in enumerate(islice(cycle(_EMBEDDED), n)):
        yield replace(kind, share=0.05 + 0.9 * ((0.5 + i * _GOLDEN) % 1))
