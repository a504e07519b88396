"""What a step is marked on: every sentence against every place, and nodule or not without text.

Sigmoid loss (SigLIP, arXiv:2303.15343 eq. 1) with as many positives as there are: plain InfoNCE would punish a sentence
that is true of two places of a batch. Pairs whose truth is not known are left out; true and false ones weigh alike
within each sentence, so that a likeness of 0 is where true and false meet. Of the false ones nodules weigh as much as
all the rest: that a vessel is no ground-glass nodule is soon learnt, that a solid one is none has to be.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

HEAD_WEIGHT = 0.5


@dataclass(frozen=True, eq=False)
class Losses:
    """The parts of a step's loss, each a scalar."""

    text: Tensor
    head: Tensor
    text_weight: float

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.text_weight * self.text + HEAD_WEIGHT * self.head

    def as_json(self) -> dict[str, float]:
        """Say the parts as numbers."""
        parts = {"loss": self.total, "text": self.text, "head": self.head}
        return {name: round(float(value.detach()), 6) for name, value in parts.items()}


def losses(likeness: Tensor, head: Tensor, verdicts: Tensor, nodules: Tensor, text_weight: float) -> Losses:
    """Mark a batch.

    Parameters
    ----------
    likeness : (b, m) float
        Logits.
    head : (b,) float
        Logits.
    verdicts : (b, m) float
        1, -1, or 0 where it is not known.
    nodules : (b,) float
        1 or 0.
    """
    is_nodule = nodules[:, None] > 0.5
    groups = ((verdicts == -1) & is_nodule, (verdicts == -1) & ~is_nodule)
    return Losses(
        _balanced(likeness, verdicts == 1, groups), _balanced(head[:, None], is_nodule, (~is_nodule,)), text_weight
    )


def _balanced(logits: Tensor, true: Tensor, false: tuple[Tensor, ...]) -> Tensor:
    """Mean over columns of the mean over true rows and the mean over the groups of false ones."""
    positives, has_positives = _means(softplus(-logits), true)
    parts = [_means(softplus(logits), group) for group in false]
    n_groups = sum((there for _, there in parts), torch.zeros_like(has_positives))
    negatives = sum((mean for mean, _ in parts), torch.zeros_like(positives)) / torch.clamp(n_groups, min=1)
    weight = has_positives + (n_groups > 0).to(logits.dtype)
    return (positives + negatives).sum() / torch.clamp(weight.sum(), min=1)


def _means(cost: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each column over some rows, 0 where there is none; and whether there is one."""
    chosen = rows.to(cost.dtype)
    n = chosen.sum(0)
    return (cost * chosen).sum(0) / torch.clamp(n, min=1), (n > 0).to(cost.dtype)
