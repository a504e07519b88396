"""What a nodule is like, and where in the lungs it lies."""

from dataclasses import dataclass
from enum import StrEnum

# Solid is what hides the vessels in it; the usual limit between ground glass and solid.
SOLID_ABOVE_HU = -300.0


class NoduleType(StrEnum):
    """Attenuation class as Lung-RADS and Brock use it."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground-glass"


class Laterality(StrEnum):
    """Side of the patient's body."""

    LEFT = "left"
    RIGHT = "right"


class Zone(StrEnum):
    """Third of the lung along its craniocaudal extent."""

    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"


class Lobe(StrEnum):
    """Lobe of the lung."""

    RIGHT_UPPER = "right upper lobe"
    RIGHT_MIDDLE = "right middle lobe"
    RIGHT_LOWER = "right lower lobe"
    LEFT_UPPER = "left upper lobe"
    LEFT_LOWER = "left lower lobe"


@dataclass(frozen=True)
class Location:
    """Where in the lungs a finding lies; ``lobe`` is None unless fissures were found."""

    laterality: Laterality
    zone: Zone
    lobe: Lobe | None = None


@dataclass(frozen=True)
class Descriptors:
    """What a radiologist would say of the nodule; None where this tier cannot tell."""

    nodule_type: NoduleType
    calcified: bool | None = None
    spiculated: bool | None = None
    juxtapleural: bool | None = None
