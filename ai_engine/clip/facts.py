"""What is true of a place in the lung, as far as it is known: what sentences are made from and judged against.

The characteristics are those that LIDC-IDRI's readers rated (Armato, Med Phys 2011;38:915). Malignancy and subtlety are
left out on purpose: neither is something that is seen, and a text that carried them would hand labels over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from ai_engine.domain import NoduleType


class Attribute(StrEnum):
    """What a sentence may speak of."""

    NODULE = "nodule"
    STRUCTURE = "structure"
    TYPE = "type"
    SUBSOLID = "subsolid"
    CALCIFICATION = "calcification"
    PATTERN = "pattern"
    MARGIN = "margin"
    SPICULATION = "spiculation"
    LOBULATION = "lobulation"
    SPHERICITY = "sphericity"
    SIZE = "size"
    INTERNAL = "internal structure"


YES, NO = "yes", "no"

# From which diameter on (mm) a nodule is called so; below the first it is tiny.
SIZES_MM = ((0.0, "tiny"), (6.0, "small"), (10.0, "medium"), (20.0, "large"), (30.0, "mass"))

_PATTERNS = {1: "popcorn", 2: "laminated", 3: "solid", 4: "non-central", 5: "central"}
_INTERNAL = {1: "soft tissue", 2: "fluid", 3: "fat", 4: "air"}


@dataclass(frozen=True)
class Claim:
    """One statement about a place."""

    attribute: Attribute
    value: str


@dataclass(frozen=True)
class Facts:
    """What is known of one place; an attribute that is not named is not known.

    Attributes
    ----------
    values : mapping of Attribute to str
    """

    values: Mapping[Attribute, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_nodule(self) -> bool:
        """Whether the place is known to be a nodule."""
        return self.values.get(Attribute.NODULE) == YES

    def verdict(self, claims: Iterable[Claim]) -> int:
        """Judge a sentence: 1 all of its claims are true, -1 one of them is false, 0 not known."""
        known = [self._one(claim) for claim in claims]
        return -1 if -1 in known else 0 if 0 in known else 1

    def _one(self, claim: Claim) -> int:
        if claim.attribute not in self.values:
            # what only nodules have is false of what is none, and the other way round
            other = self.values.get(Attribute.NODULE)
            needs = NO if claim.attribute is Attribute.STRUCTURE else YES
            return -1 if other is not None and other != needs and claim.attribute is not Attribute.NODULE else 0
        return 1 if self.values[claim.attribute] == claim.value else -1


@dataclass(frozen=True)
class Ratings:
    """One reader's view of a nodule: LIDC scales, 1 to 5; calcification 1 to 6, where 6 is absent."""

    calcification: int
    margin: int
    spiculation: int
    lobulation: int
    sphericity: int
    internal_structure: int


def of_nodule(
    kind: NoduleType | None, diameter_mm: float, ratings: Ratings | None, *, shows_calcium: bool = True
) -> Facts:
    """Say what is known of a nodule; the middle of a scale says nothing.

    Parameters
    ----------
    kind : NoduleType or None
        As it is seen; None where it is not known.
    diameter_mm : float
        Longest on an axial slice.
    ratings : Ratings or None
        Of the reader whose outline it has.
    shows_calcium : bool
        Whether the calcium that the reader rated is seen in the picture.
    """
    known = {Attribute.NODULE: YES, Attribute.SIZE: size_of(diameter_mm)}
    if kind is not None:
        known[Attribute.TYPE] = str(kind)
        known[Attribute.SUBSOLID] = NO if kind is NoduleType.SOLID else YES
    if ratings is not None:
        known |= _of_ratings(ratings, kind, shows_calcium=shows_calcium)
    return Facts(MappingProxyType(known))


def of_structure(structure: str | None) -> Facts:
    """Say what is known of a place that is no nodule; ``structure`` is None where no rule names it."""
    named = {} if structure is None else {Attribute.STRUCTURE: structure}
    return Facts(MappingProxyType({Attribute.NODULE: NO, **named}))


def size_of(diameter_mm: float) -> str:
    """Name a diameter."""
    return [name for from_mm, name in SIZES_MM if diameter_mm >= from_mm][-1]


def _of_ratings(ratings: Ratings, kind: NoduleType | None, *, shows_calcium: bool) -> dict[Attribute, str]:
    known: dict[Attribute, str] = {}
    if kind is NoduleType.GROUND_GLASS or ratings.calcification == 6:
        known[Attribute.CALCIFICATION] = NO
    elif shows_calcium:
        known[Attribute.CALCIFICATION] = YES
        known[Attribute.PATTERN] = _PATTERNS[ratings.calcification]
    known |= _ends(Attribute.MARGIN, ratings.margin, low="fuzzy", high="sharp", high_from=4)
    known |= _ends(Attribute.SPICULATION, ratings.spiculation, low=NO, high=YES, low_to=1, high_from=4)
    known |= _ends(Attribute.LOBULATION, ratings.lobulation, low=NO, high=YES, low_to=1, high_from=4)
    known |= _ends(Attribute.SPHERICITY, ratings.sphericity, low="elongated", high="round", high_from=5)
    known[Attribute.INTERNAL] = _INTERNAL[ratings.internal_structure]
    return known


def _ends(
    attribute: Attribute, rating: int, *, low: str, high: str, low_to: int = 2, high_from: int = 4
) -> dict[Attribute, str]:
    if rating <= low_to:
        return {attribute: low}
    return {attribute: high} if rating >= high_from else {}
