"""What keeps sentences apart in the beginning: a vector for each claim, which a sentence's vector is drawn to.

Without them training stands still: while all sentences about nodules have nearly one vector, no image gains by telling
types apart, and while no image does, no sentence gains by moving. Claims are apart from the start, since their vectors
are drawn by chance; images learn from them at once, and sentences follow. An encoder is exported without them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ai_engine.clip import wordings
from ai_engine.clip.facts import NO, YES, Attribute, Claim
from ai_engine.clip.sentences import Sentence

CLAIMS = (
    Claim(Attribute.NODULE, YES),
    Claim(Attribute.NODULE, NO),
    *(Claim(Attribute.STRUCTURE, name) for name in wordings.STRUCTURES),
    *dict.fromkeys((*wordings.BEFORE, *wordings.AFTER)),
)
_NUMBERS = {claim: number for number, claim in enumerate(CLAIMS)}


class Anchors(nn.Module):
    """A vector for each claim; that of a sentence is the direction of the sum of its claims'."""

    def __init__(self, dimension: int, seed: int) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(torch.randn(len(CLAIMS), dimension, generator=chance) / dimension**0.5)

    def forward(self, claims: Tensor) -> Tensor:
        """Turn ``claims_of`` sentences, (m, n) float, into vectors of length 1, (m, dimension)."""
        return functional.normalize(claims @ self.table, dim=1)


def claims_of(said: Sequence[Sentence]) -> Tensor:
    """Say which claims sentences make: (m, n) float32, 1 where one does."""
    claims = torch.zeros(len(said), len(CLAIMS))
    for row, sentence in zip(claims, said, strict=True):
        row[[_NUMBERS[claim] for claim in sentence.claims]] = 1
    return claims
