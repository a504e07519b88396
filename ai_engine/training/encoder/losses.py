"""What a step is marked on: every sentence against every place, and nodule or not without text.

Sigmoid loss (SigLIP, arXiv:2303.15343 eq. 1) with as many positives as there are: plain InfoNCE would punish a sentence
that is true of two places of a batch. Pairs whose truth is not known are left out; true and false ones weigh alike
within each sentence, so that a likeness of 0 is where true and false meet.
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
    return Losses(_balanced(likeness, verdicts), _balanced(head[:, None], 2 * nodules[:, None] - 1), text_weight)


def _balanced(logits: Tensor, verdicts: Tensor) -> Tensor:
    """Mean over columns of the mean over true and the mean over false rows."""
    cost = softplus(-verdicts * logits)
    parts, there = [], []
    for sign in (1, -1):
        of_sign = (verdicts == sign).to(cost.dtype)
        n = of_sign.sum(0)
        parts.append((cost * of_sign).sum(0) / torch.clamp(n, min=1))
        there.append((n > 0).to(cost.dtype))
    return (parts[0] + parts[1]).sum() / torch.clamp(there[0] + there[1], min=1e-6).sum()
