"""Is a contestant's confidence worth anything? Its rank correlation with Dice, and what its flag tells."""

from collections.abc import Sequence
from dataclasses import dataclass

from ai_engine.evaluation.domain import Row


@dataclass(frozen=True)
class ConfidenceFigures:
    """What confidence tells of the masks of one contestant under one protocol.

    Attributes
    ----------
    rank_correlation : float or None
        Spearman's, of confidence with Dice; None with fewer than three masks, or where all are alike.
    flagged, others : int
        Masks that the contestant flagged as doubtful, and the rest.
    dice_of_flagged, dice_of_others : float or None
        Means; None over nothing.
    """

    contestant: str
    n: int
    rank_correlation: float | None
    flagged: int
    others: int
    dice_of_flagged: float | None
    dice_of_others: float | None


def confidence_figures(contestant: str, rows: Sequence[Row]) -> ConfidenceFigures | None:
    """Compute the figures over rows of one contestant; None where it gives no confidence."""
    masks = [row for row in rows if row.confidence is not None and row.scores is not None]
    if not masks:
        return None
    told = [(row.confidence or 0.0, row.dice) for row in masks]
    flagged, others = ([row.dice for row in masks if row.is_doubtful is flag] for flag in (True, False))
    return ConfidenceFigures(
        contestant, len(told), _correlation(told), len(flagged), len(others), _mean(flagged), _mean(others)
    )


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    if len(pairs) < 3 or min(len(set(values)) for values in zip(*pairs, strict=True)) < 2:
        return None
    from scipy.stats import spearmanr  # noqa: PLC0415 - takes half a second, and the command line imports this module

    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
