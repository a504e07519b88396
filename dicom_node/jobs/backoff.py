"""How long to wait before the next try. Pure."""

from random import Random

CAP_S = 60.0


def backoff_s(failures: int, rng: Random | None = None) -> float:
    """Return the seconds to wait after so many failures in a row: 1, 2, 4 ... 60.

    With ``rng`` up to half of it is taken away at random, so that many who failed together do not return together.
    """
    whole = min(CAP_S, 2.0 ** min(max(failures - 1, 0), 10))
    return whole if rng is None else whole * (0.5 + rng.random() / 2)
