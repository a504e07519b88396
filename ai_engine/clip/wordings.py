"""The words: phrases for each claim, and the patterns that join them. Data, no logic.

``HELD_OUT`` and ``HELD_OUT_PATTERNS`` are paraphrases that no training sentence holds: what counts as understanding
language is measured on them alone. Each of their words occurs somewhere in the other lists, or it would be refused.
"""

from ai_engine.clip.facts import NO, YES, Attribute, Claim

_A = Attribute


def _claims(attribute: Attribute, phrases: dict[str, tuple[str, ...]]) -> dict[Claim, tuple[str, ...]]:
    return {Claim(attribute, value): words for value, words in phrases.items()}


# Before the noun: "a solid nodule". A word such as "completely" stands with several kinds, or with none: were it said
# of ground glass alone, it would come to mean ground glass.
BEFORE = {
    **_claims(
        _A.TYPE,
        {
            "solid": (
                "solid",
                "entirely solid",
                "fully solid",
                "wholly solid",
                "pure solid",
                "all solid",
                "dense solid",
                "homogeneous solid",
                "solid density",
            ),
            "part-solid": (
                "part-solid",
                "partly solid",
                "partially solid",
                "mixed",
                "semisolid",
                "mixed ground-glass",
                "mixed density",
                "partly ground-glass",
                "partly hazy",
                "partly solid and partly ground-glass",
                "solid and hazy",
                "mixed solid and nonsolid",
            ),
            "ground-glass": (
                "ground-glass",
                "pure ground-glass",
                "nonsolid",
                "non-solid",
                "hazy",
                "faint ground-glass",
                "GGO",
                "ground-glass density",
                "entirely nonsolid",
                "fully nonsolid",
                "wholly ground-glass",
                "faint nonsolid",
                "not solid",
            ),
        },
    ),
    Claim(_A.SUBSOLID, YES): ("subsolid", "sub-solid"),
    **_claims(
        _A.CALCIFICATION,
        {
            YES: (
                "calcified",
                "partly calcified",
                "calcium containing",
                "densely calcified",
                "heavily calcified",
                "completely calcified",
            ),
            NO: ("noncalcified", "non-calcified", "uncalcified", "not at all calcified", "not partly calcified"),
        },
    ),
    **_claims(
        _A.MARGIN,
        {
            "sharp": ("sharply defined", "well-defined", "well circumscribed", "sharp", "clearly bounded"),
            "fuzzy": ("poorly defined", "ill-defined", "indistinct", "blurred", "fuzzy"),
        },
    ),
    **_claims(
        _A.SPICULATION,
        {YES: ("spiculated", "spiky", "stellate", "markedly spiculated"), NO: ("nonspiculated", "non-spiculated")},
    ),
    **_claims(
        _A.LOBULATION,
        {YES: ("lobulated", "lobular", "markedly lobulated"), NO: ("nonlobulated", "smooth", "completely smooth")},
    ),
    **_claims(
        _A.SPHERICITY,
        {
            "round": ("round", "spherical", "rounded", "purely round"),
            "elongated": ("elongated", "linear", "flat", "oblong", "purely linear"),
        },
    ),
    **_claims(
        _A.SIZE,
        {
            "tiny": ("tiny", "very small", "minute"),
            "small": ("small",),
            "medium": ("medium sized", "medium"),
            "large": ("large", "big"),
            "mass": ("very large", "huge"),
        },
    ),
}

# After the noun: "a nodule with spicules".
AFTER = {
    **_claims(
        _A.TYPE,
        {
            "solid": (
                "of solid density",
                "of soft tissue density",
                "that is solid throughout",
                "without ground glass",
                "without any ground glass",
                "with no ground glass",
                "with no hazy part",
                "containing no ground glass",
                "lacking ground glass",
                "that is not ground-glass",
                "of solid attenuation",
            ),
            "part-solid": (
                "with a solid component and ground glass",
                "with a solid core inside ground glass",
                "that is partly solid",
                "with a ground-glass rim around a solid part",
                "with both solid and ground-glass components",
                "of mixed attenuation",
                "with a solid part",
                "with a solid core",
                "containing a solid component",
                "containing a solid core in ground glass",
                "containing both solid and hazy parts",
                "with ground glass around the solid component",
                "with a hazy rim",
                "that is partially ground glass",
            ),
            "ground-glass": (
                "of ground-glass density",
                "without a solid component",
                "without any solid part",
                "that is hazy",
                "of ground-glass attenuation",
                "through which vessels are seen",
                "with no solid component",
                "with no solid part",
                "without a solid core",
                "containing no solid component",
                "lacking a solid core",
                "lacking any solid part",
                "that is not solid",
                "that is pure ground glass",
            ),
        },
    ),
    Claim(_A.SUBSOLID, YES): ("that is subsolid", "of subsolid density"),
    **_claims(
        _A.CALCIFICATION,
        {
            YES: (
                "with calcification",
                "with calcium",
                "that is calcified",
                "containing calcification",
                "containing dense calcium",
                "with dense calcification",
                "with clear calcification",
                "of calcium density",
            ),
            NO: (
                "without calcification",
                "without calcium",
                "without any calcification",
                "that is uncalcified",
                "with no calcification",
                "with no calcium",
                "containing no calcium",
                "lacking calcium",
                "lacking any calcification",
            ),
        },
    ),
    **_claims(
        _A.PATTERN,
        {
            "popcorn": ("with popcorn calcification", "with a popcorn pattern of calcium"),
            "laminated": ("with laminated calcification", "with rings of calcium"),
            "solid": ("with solid calcification", "with calcium throughout"),
            "non-central": ("with non-central calcification", "with eccentric calcification"),
            "central": ("with central calcification", "with calcium in its centre"),
        },
    ),
    **_claims(
        _A.MARGIN,
        {
            "sharp": ("with a sharp margin", "with well-defined margins", "with a clear border", "with sharp edges"),
            "fuzzy": (
                "with an ill-defined margin",
                "with indistinct margins",
                "with a blurred border",
                "with poorly defined edges",
            ),
        },
    ),
    **_claims(
        _A.SPICULATION,
        {
            YES: ("with spiculation", "with spicules", "with a spiculated margin", "with radiating strands"),
            NO: ("without spiculation", "without spicules", "with no spicules"),
        },
    ),
    **_claims(
        _A.LOBULATION,
        {
            YES: ("with lobulation", "with a lobulated contour", "with lobules"),
            NO: ("without lobulation", "with a smooth contour"),
        },
    ),
    **_claims(
        _A.SPHERICITY,
        {"round": ("of round shape", "that is spherical"), "elongated": ("of elongated shape", "that is linear")},
    ),
    **_claims(
        _A.SIZE,
        {
            "tiny": ("of tiny size", "of a few millimetres"),
            "small": ("of small size", "that is small"),
            "medium": ("of medium size",),
            "large": ("of large size", "that is large"),
            "mass": ("of very large size",),
        },
    ),
    Claim(_A.INTERNAL, "soft tissue"): ("of soft tissue", "made of soft tissue"),
}

# What nodules are called. A mass is one of 30 mm and more (Fleischner Society, Radiology 2008;246:697).
NODULE = ("nodule", "lung nodule", "pulmonary nodule", "lesion", "lung lesion", "nodular lesion", "focal lesion")
OPACITY = ("opacity", "nodular opacity")
MASS = ("mass", "lung mass", "pulmonary mass")

STRUCTURES = {
    "vessel": (
        "blood vessel",
        "pulmonary vessel",
        "vessel",
        "branching vessel",
        "artery or vein",
        "pulmonary artery",
        "pulmonary vein",
        "vessel seen end on",
        "hilar vessel",
    ),
    "pleura": (
        "pleura",
        "chest wall",
        "pleural surface",
        "pleural thickening",
        "lung border",
        "pleura at the chest wall",
    ),
    "rib": ("rib", "bone", "rib at the chest wall", "bony rib"),
    "airway": ("airway", "bronchus", "bronchial wall", "airway wall", "wall of a bronchus"),
}
NOT_A_NODULE = (
    "normal lung",
    "no nodule",
    "normal lung without a nodule",
    "not a nodule",
    "lung without a lesion",
    "normal structure of the lung",
)

PATTERNS = (
    "{}",
    "{}",
    "a {}",
    "a CT image of a {}",
    "CT shows a {}",
    "there is a {}",
    "find a {}",
    "find all {}",
    "show the {}",
    "any {}",
    "a {} in the lung",
    "CT of the chest with a {}",
    "this is a {}",
)

HELD_OUT = {
    Claim(_A.TYPE, "solid"): (
        ("completely solid", "purely solid"),
        ("of homogeneous solid density", "that is entirely solid"),
    ),
    Claim(_A.TYPE, "part-solid"): (
        ("mixed solid and ground-glass", "partially ground-glass", "partially hazy"),
        ("with ground glass around a solid core", "containing a solid part and ground glass"),
    ),
    Claim(_A.TYPE, "ground-glass"): (
        ("purely nonsolid", "faint hazy", "entirely ground-glass"),
        ("of pure ground-glass attenuation", "with no solid core", "that is entirely hazy"),
    ),
    Claim(_A.CALCIFICATION, YES): (
        ("clearly calcified",),
        ("with dense calcium", "that is densely calcified", "containing clear calcification"),
    ),
    Claim(_A.CALCIFICATION, NO): (("not calcified",), ("without any calcium",)),
    Claim(_A.MARGIN, "sharp"): (("well bounded",), ("with sharply defined borders",)),
    Claim(_A.MARGIN, "fuzzy"): (("poorly bounded",), ("with fuzzy edges",)),
    Claim(_A.SPICULATION, YES): (("markedly spiky",), ("with spiculated edges",)),
    Claim(_A.SPICULATION, NO): ((), ("without any spicules",)),
    Claim(_A.LOBULATION, YES): ((), ("with a lobular contour",)),
    Claim(_A.SPHERICITY, "round"): ((), ("of spherical shape",)),
    Claim(_A.SIZE, "tiny"): ((), ("of very small size",)),
    Claim(_A.SIZE, "mass"): ((), ("of huge size",)),
}
HELD_OUT_PATTERNS = ("show all {}", "find any {} in the chest", "the {} of the lung", "is there a {}")

# Of a question, beside what is asked for; known, and without a claim of its own.
NEUTRAL = (
    "is there this that these those",
    "which are please where every each only and or",
    "of on at with within a an the",
    "report me list finding",
    "chest CT scan image side present",
    "whole entire part component",
)
