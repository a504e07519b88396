"""What a step is marked on: every sentence against every place, by its words and by its claims; nodule or not.

Sigmoid loss (SigLIP, arXiv:2303.15343 eq. 1) with as many positives as there are: plain InfoNCE would punish a sentence
that is true of two places of a batch. Pairs whose truth is not known are left out; true and false ones are averaged
apart within each sentence. Nodules of which it is false weigh a little more than those of which it is true, since there
are more kinds to be left out than to be selected; other places are marked beside them: that a vessel is no ground-glass
nodule is soon learnt, that a solid one is none has to be.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

HEAD_WEIGHT = 1.0
SCORE_WEIGHT = 1.0
# With 2, precision and recall balanced at a likeness of -0.5 on validation lungs, not at 0: so it is 2 exp(-0.5).
FALSE_NODULES_WEIGHT = 1.2
# How far a sentence's vector is from that of its claims.
APART_WEIGHT = 2.0


@dataclass(frozen=True, eq=False)
class Said:
    """What one step's network says.

    Attributes
    ----------
    likeness, by_claims, closely : (b, m) float
        Logits, by the vectors of sentences, and by those of their claims (``anchors``); by sentences from near.
    apart : float
        1 - cosine of the two vectors of a sentence, mean over sentences.
    head, score : (b,) float
        Logits of nodule against not: without text, and as ``clip.ensembles`` makes them of likeness.
    """

    likeness: Tensor
    by_claims: Tensor
    closely: Tensor
    apart: Tensor
    head: Tensor
    score: Tensor


@dataclass(frozen=True, eq=False)
class Losses:
    """The parts of a step's loss, each a scalar."""

    text: Tensor
    claims: Tensor
    closely: Tensor
    apart: Tensor
    head: Tensor
    score: Tensor
    text_weight: float

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        by_text = self.text + self.claims + self.closely + APART_WEIGHT * self.apart + SCORE_WEIGHT * self.score
        return self.text_weight * by_text + HEAD_WEIGHT * self.head

    def as_json(self) -> dict[str, float]:
        """Say the parts as numbers."""
        names = ("text", "claims", "closely", "apart", "head", "score")
        parts = {"loss": self.total, **{name: getattr(self, name) for name in names}}
        return {name: round(float(value.detach()), 6) for name, value in parts.items()}


def losses(said: Said, verdicts: Tensor, nodules: Tensor, weights: Tensor, text_weight: float) -> Losses:
    """Mark a batch.

    Parameters
    ----------
    said : Said
    verdicts : (b, m) float
        1, -1, or 0 where it is not known.
    nodules : (b,) float
        1 or 0.
    weights : (m,) float
        How much each sentence counts.
    """
    is_nodule = nodules[:, None] > 0.5
    groups = (
        (verdicts == 1, 1.0),
        ((verdicts == -1) & is_nodule, FALSE_NODULES_WEIGHT),
        ((verdicts == -1) & ~is_nodule, 1.0),
    )
    every = (said.likeness, said.by_claims, said.closely)
    text, claims, closely = (_balanced(logits, groups, weights) for logits in every)
    halves = ((is_nodule, 1.0), (~is_nodule, 1.0))
    head, score = (_balanced(logits[:, None], halves, torch.ones(1)) for logits in (said.head, said.score))
    return Losses(text, claims, closely, said.apart, head, score, text_weight)


def score_of(likeness: Tensor, says_nodule: Tensor, says_none: Tensor) -> Tensor:
    """Score places, (b,) logits, from the likeness (b, m) of sentences: those that say nodule against those of none."""
    none = likeness[:, says_none]
    return likeness[:, says_nodule].mean(1) - (none.logsumexp(1) - math.log(max(none.shape[1], 1)))


def _balanced(logits: Tensor, groups: Sequence[tuple[Tensor, float]], weights: Tensor) -> Tensor:
    """Mean over columns of the means over groups of rows, of which the first is true and the others are false."""
    cost, total = torch.zeros(()), torch.zeros(())
    for number, (rows, weight) in enumerate(groups):
        mean, there = _means(softplus(logits if number else -logits), rows)
        cost, total = cost + weight * (weights * mean).sum(), total + weight * (weights * there).sum()
    return cost / torch.clamp(total, min=1)


def _means(cost: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each column over some rows, 0 where there is none; and whether there is one."""
    chosen = rows.to(cost.dtype)
    n = chosen.sum(0)
    return (cost * chosen).sum(0) / torch.clamp(n, min=1), (n > 0).to(cost.dtype)
