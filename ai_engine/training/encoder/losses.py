"""What a step is marked on: every sentence against every place, by its words and by its claims; nodule or not.

Sigmoid loss (SigLIP, arXiv:2303.15343 eq. 1) with as many positives as there are: plain InfoNCE would punish a sentence
that is true of two places of a batch. Pairs whose truth is not known are left out; true and false ones weigh alike
within each sentence, so that a likeness of 0 is where true and false meet. False nodules weigh as much as the true
ones, and the other places are marked beside them: that a vessel is no ground-glass nodule is soon learnt, that a solid
one is none has to be.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

HEAD_WEIGHT = 0.5
# How far a sentence's vector is from that of its claims.
APART_WEIGHT = 2.0


@dataclass(frozen=True, eq=False)
class Said:
    """What one step's network says.

    Attributes
    ----------
    likeness, by_claims : (b, m) float
        Logits, by the vectors of sentences, and by those of their claims (``anchors``).
    apart : float
        1 - cosine of the two vectors of a sentence, mean over sentences.
    head : (b,) float
        Logits.
    """

    likeness: Tensor
    by_claims: Tensor
    apart: Tensor
    head: Tensor


@dataclass(frozen=True, eq=False)
class Losses:
    """The parts of a step's loss, each a scalar."""

    text: Tensor
    claims: Tensor
    apart: Tensor
    head: Tensor
    text_weight: float

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        by_text = self.text + self.claims + APART_WEIGHT * self.apart
        return self.text_weight * by_text + HEAD_WEIGHT * self.head

    def as_json(self) -> dict[str, float]:
        """Say the parts as numbers."""
        names = ("text", "claims", "apart", "head")
        parts = {"loss": self.total, **{name: getattr(self, name) for name in names}}
        return {name: round(float(value.detach()), 6) for name, value in parts.items()}


def losses(said: Said, verdicts: Tensor, nodules: Tensor, text_weight: float) -> Losses:
    """Mark a batch.

    Parameters
    ----------
    said : Said
    verdicts : (b, m) float
        1, -1, or 0 where it is not known.
    nodules : (b,) float
        1 or 0.
    """
    is_nodule = nodules[:, None] > 0.5
    groups = ((verdicts == -1) & is_nodule, (verdicts == -1) & ~is_nodule)
    text, claims = (_balanced(logits, verdicts == 1, groups) for logits in (said.likeness, said.by_claims))
    return Losses(text, claims, said.apart, _balanced(said.head[:, None], is_nodule, (~is_nodule,)), text_weight)


def _balanced(logits: Tensor, true: Tensor, false: tuple[Tensor, ...]) -> Tensor:
    """Mean over columns of the mean over true rows and that over each group of false ones; each weighs alike."""
    parts = [_means(softplus(-logits), true), *(_means(softplus(logits), group) for group in false)]
    cost, weight = (torch.stack(each).sum() for each in zip(*parts, strict=True))
    return cost / torch.clamp(weight, min=1)


def _means(cost: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each column over some rows, 0 where there is none; and whether there is one."""
    chosen = rows.to(cost.dtype)
    n = chosen.sum(0)
    return (cost * chosen).sum(0) / torch.clamp(n, min=1), (n > 0).to(cost.dtype)
