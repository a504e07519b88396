"""The parts of a nodule that can be outlined by name, and the words for them.

``HELD_OUT`` are paraphrases that training never sees: whether an adapter understands language is measured on them
alone. Every word is one that the encoder knows (``vocabulary.of_wordings``).
"""

from enum import StrEnum
from itertools import product
from types import MappingProxyType


class Part(StrEnum):
    """What a nodule is outlined to."""

    CORE = "solid component"
    WHOLE = "whole nodule"


_NODULES = ("nodule", "lesion", "opacity", "lung nodule", "pulmonary nodule", "nodular lesion")
_CORES = (
    "solid component",
    "solid part",
    "solid core",
    "dense component",
    "dense part",
    "soft tissue component",
    "soft tissue part",
    "soft tissue core",
    "solid density",
    "part of soft tissue density",
    "component of solid density",
    "core that is solid",
    "component that is solid",
    "component without ground glass",
    "solid part inside ground glass",
    "solid core within the ground glass",
)
_WHOLES = ("whole {}", "entire {}", "{} with its ground glass", "{} with its rim", "all of the {}", "whole of the {}")
_WHOLES_OF_PARTS = (
    "solid component and ground glass",
    "solid and ground-glass components",
    "solid and hazy parts",
    "every component",
    "all components",
    "solid core with ground glass around",
    "solid part and its rim",
)

WORDINGS = MappingProxyType(
    {
        Part.CORE: tuple(
            f"{the}{core}{of}"
            for core, the, of in product(
                _CORES, ("", "the ", "only the "), ("", " of the nodule", " of the lesion", " in the pulmonary nodule")
            )
        ),
        Part.WHOLE: (
            *(
                f"{the}{whole.format(each)}"
                for whole, each, the in product(_WHOLES, _NODULES, ("", "the ", "show the "))
            ),
            *(
                f"{the}{parts}{of}"
                for parts, the, of in product(_WHOLES_OF_PARTS, ("", "the "), ("", " of the nodule", " of the lesion"))
            ),
        ),
    }
)

HELD_OUT = MappingProxyType(
    {
        Part.CORE: (
            "dense core",
            "the part that is solid",
            "solid component only",
            "core of soft tissue",
            "the dense part of the lung lesion",
            "find the solid core of this opacity",
            "inside the ground glass the solid part",
            "component of soft tissue attenuation",
        ),
        Part.WHOLE: (
            "entire focal lesion",
            "the whole lung lesion",
            "every part of the nodule",
            "both the solid component and the ground glass",
            "the entire nodular opacity",
            "all parts of the lesion",
            "ground glass and solid core",
            "the nodule with its hazy rim",
        ),
    }
)
