"""How sure a mask is: what its agreement with other answers, and with itself, says of its Dice."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Agreement:
    """What a mask agrees with, each a Dice.

    Attributes
    ----------
    with_jittered : float
        The masks of jittered prompts.
    with_grown : float
        The outline grown without weights.
    with_itself : float
        The probabilities that it was cut from; 1 where no pixel is in doubt.
    """

    with_jittered: float
    with_grown: float
    with_itself: float


@dataclass(frozen=True)
class Confidence:
    """Three agreements, each a Dice from 0 to 1, become one number from 0 to 1.

    As fitted by ``emerald train confidence`` it is the Dice to be expected on composites of validation patients; as it
    stands here, for weights that were not calibrated, the mean of the first two.

    Attributes
    ----------
    offset, with_jittered, with_grown, with_itself : float
        Of the line: what no agreement is worth, and the weights of the agreement with the masks of jittered prompts,
        with the outline grown without weights, and with the mask's own probabilities.
    flag_below : float
        Masks of a lower confidence are to be checked; the mask stays as it is.
    """

    offset: float = 0.0
    with_jittered: float = 0.5
    with_grown: float = 0.5
    with_itself: float = 0.0
    flag_below: float = 0.6

    def of(self, agreement: Agreement) -> float:
        """Tell the confidence of a mask with these agreements."""
        told = self.offset + self.with_jittered * agreement.with_jittered + self.with_grown * agreement.with_grown
        return min(1.0, max(0.0, told + self.with_itself * agreement.with_itself))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Confidence":
        """Read what stands in the metadata of weights; without values: not calibrated."""
        return cls(**{name: float(values[name]) for name in cls.__dataclass_fields__ if name in values})
