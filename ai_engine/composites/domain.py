"""What is composed: one reader's outline with that reader's ratings, and the crop of lung that it was painted into."""

from dataclasses import dataclass
from enum import StrEnum

from ai_engine.domain import BoolArray, HuArray, NoduleType, UInt8Array


class Renderer(StrEnum):
    """Which law gave HU, edge, blur and noise: A for training, B for testing. They share no constant."""

    A = "A"
    B = "B"


@dataclass(frozen=True, eq=False)
class NoduleShape:
    """One nodule as one reader outlined and rated it.

    Attributes
    ----------
    mask : (k, r, c) bool
        Tight box; k towards the head, r towards the back, c towards the patient's left.
    spacing_krc_mm : tuple of float
        Of the mask.
    patient_id, annotation_id : str, int
        Where it comes from: decides its split, and is printed with every figure.
    texture, calcification, margin, spiculation, lobulation, subtlety : int
        That reader's ratings (LIDC scales: 1 to 5; calcification 1 to 6, where 6 is absent).
    """

    mask: BoolArray
    spacing_krc_mm: tuple[float, float, float]
    patient_id: str
    annotation_id: int
    texture: int
    calcification: int
    margin: int
    spiculation: int
    lobulation: int
    subtlety: int


@dataclass(frozen=True, eq=False)
class Composite:
    """A crop of real lung with planted nodules, at the scanner's resolution.

    Attributes
    ----------
    hu : (k, r, c) int16
        The crop: at least 45 mm around the target's centre in the plane (or its radius plus 25 mm), and at least 6
        slices beyond both of its ends where the lung's series has them.
    labels : (k, r, c) uint8
        0 background, 1 the target, 2 and on the distractors: other planted nodules, whole or cut by the border.
    is_sham : bool
        The target's place went through the same blending without a nodule; ``labels`` holds no 1, and
        ``sham_centre_krc`` says where it was.
    origin_krc : tuple of int or None
        Index of ``hu[0, 0, 0]`` in that series (turned), so that its lungs can be cut out with it.
    lung : str
        Name of the series it was painted into.
    core : (k, r, c) bool or None
        Where the target is solid core, if it is part-solid. Not in ``Shards``: caches stay what they were.
    """

    hu: HuArray
    labels: UInt8Array
    spacing_krc_mm: tuple[float, float, float]
    renderer: Renderer
    nodule_type: NoduleType | None
    diameter_mm: float
    patient_id: str
    annotation_id: int
    lung: str
    seed: int
    is_sham: bool = False
    sham_centre_krc: tuple[float, float, float] | None = None
    origin_krc: tuple[int, int, int] | None = None
    core: BoolArray | None = None
