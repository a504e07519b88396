"""What a step is marked on: masks by cross entropy and soft Dice, object scores by cross entropy.

The object score (SAM2's occlusion head, arXiv:2408.00714 section 4) says whether the nodule is on a slice at all; it is
what stops the propagation at the nodule's ends.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

MASK_WEIGHT = 4.0
DICE_WEIGHT = 1.0
OBJECT_WEIGHT = 0.5


@dataclass(frozen=True, eq=False)
class Losses:
    """The parts of a step's loss, each a scalar.

    Attributes
    ----------
    masks : Tensor
        Mean cross entropy over all pixels of all frames, those without the object too.
    dice : Tensor
        Mean soft Dice loss over the frames that show the object; 0 if none does.
    objects : Tensor
        Mean cross entropy of the object scores.
    """

    masks: Tensor
    dice: Tensor
    objects: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return MASK_WEIGHT * self.masks + DICE_WEIGHT * self.dice + OBJECT_WEIGHT * self.objects

    def as_json(self) -> dict[str, float]:
        """Say the parts as numbers."""
        parts = {"loss": self.total, "masks": self.masks, "dice": self.dice, "objects": self.objects}
        return {name: round(float(value.detach()), 6) for name, value in parts.items()}


def losses(mask_logits: Tensor, object_logits: Tensor, truth: Tensor) -> Losses:
    """Mark a batch of clips.

    Parameters
    ----------
    mask_logits : (b, t, size, size) float
        Before any gating by the object score, which would cut off the gradient.
    object_logits : (b, t) float
        Positive where the network says that the object is on the slice.
    truth : (b, t, size, size) float
        1 on the prompted object, 0 elsewhere; all 0 where the prompt points at nothing.
    """
    shown = (truth > 0.5).flatten(2).any(dim=2)
    masks = binary_cross_entropy_with_logits(mask_logits, truth)
    objects = binary_cross_entropy_with_logits(object_logits, shown.to(object_logits.dtype))
    return Losses(masks, _soft_dice(mask_logits, truth, shown), objects)


def _soft_dice(mask_logits: Tensor, truth: Tensor, shown: Tensor) -> Tensor:
    """Mean of 1 - soft Dice over the frames where ``shown`` (b, t) is true; the one pixel in the sums steadies it."""
    p = mask_logits.sigmoid().flatten(2)
    flat = truth.flatten(2)
    dice = (2 * (p * flat).sum(2) + 1) / (p.sum(2) + flat.sum(2) + 1)
    weight = shown.to(dice.dtype)
    return ((1 - dice) * weight).sum() / torch.clamp(weight.sum(), min=1.0)
