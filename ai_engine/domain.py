"""The engine's nouns: candidate -> segment -> finding -> analysis.

Arrays are ``(k, r, c)``; space is the patient's, LPS, in millimetres; one affine joins the two (``geometry.py``).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
HuArray = NDArray[np.int16]
UInt8Array = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class CtVolume:
    """One CT series as a regular grid.

    Attributes
    ----------
    hu : (k, r, c) int16
        Hounsfield units.
    affine : (4, 4) float64
        Maps ``(k, r, c, 1)`` of a voxel's centre to LPS mm. The direction of k is whatever the affine says.
    contrast : bool or None
        Whether contrast medium was given, where the header says so.
    """

    hu: HuArray
    affine: FloatArray
    contrast: bool | None = None

    @cached_property
    def spacing_krc_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along k, r and c, in mm."""
        k, r, c = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(k), float(r), float(c)

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))


class Sex(StrEnum):
    """Sex as the risk models use it."""

    FEMALE = "F"
    MALE = "M"


@dataclass(frozen=True)
class ClinicalContext:
    """What the risk models may know of the patient; ``None`` means unknown and stays unknown."""

    age_years: float | None = None
    sex: Sex | None = None
    family_history_of_lung_cancer: bool | None = None
    emphysema: bool | None = None
    ever_smoker: bool | None = None
    extrathoracic_cancer: bool | None = None


class Channel(StrEnum):
    """Which search proposed a candidate."""

    SOLID = "solid"
    GROUND_GLASS = "ground-glass"
    MASS = "mass"


@dataclass(frozen=True)
class BoxPrompt:
    """A box on one slice, as a person draws it or a detector proposes it.

    Attributes
    ----------
    k : int
        The slice.
    low_rc, high_rc : tuple of float
        Edges in voxel indices of the volume, where integers are voxel centres: one voxel reaches from -0.5 to 0.5.
    """

    k: int
    low_rc: tuple[float, float]
    high_rc: tuple[float, float]

    def __str__(self) -> str:
        corners = ",".join(f"{edge:g}" for edge in (*self.low_rc, *self.high_rc))
        return f"box with edges {corners} on slice {self.k}"

    @property
    def centre_krc(self) -> tuple[float, float, float]:
        """Middle of the box."""
        (r0, c0), (r1, c1) = self.low_rc, self.high_rc
        return float(self.k), (r0 + r1) / 2, (c0 + c1) / 2

    def side_mm(self, spacing_krc_mm: tuple[float, float, float]) -> float:
        """Mean of the two sides."""
        sides = np.subtract(self.high_rc, self.low_rc) * spacing_krc_mm[1:]
        return float(sides.mean())


@dataclass(frozen=True)
class PointPrompt:
    """One voxel of the nodule, in voxel indices of the volume."""

    k: int
    r: int
    c: int

    def __str__(self) -> str:
        return f"point {self.k},{self.r},{self.c}"

    @property
    def centre_krc(self) -> tuple[float, float, float]:
        """The voxel."""
        return float(self.k), float(self.r), float(self.c)


Prompt = BoxPrompt | PointPrompt


@dataclass(frozen=True)
class Candidate:
    """A suspicious place.

    Attributes
    ----------
    centre_krc : tuple of float
        Voxel index of the centre.
    diameter_mm : float
        Estimated diameter.
    score : float
        Strength of the evidence, comparable within one channel only, unless the encoder scored it; not a probability.
    prompt : BoxPrompt, PointPrompt or None
        What a person pointed at; None where the detector found the place.
    """

    centre_krc: tuple[float, float, float]
    diameter_mm: float
    score: float
    channel: Channel
    prompt: Prompt | None = None


@dataclass(frozen=True, eq=False)
class Segment:
    """The mask of one candidate, cut to its bounding box.

    Attributes
    ----------
    mask : (k, r, c) bool
        Never empty.
    origin_krc : tuple of int
        Index in the volume of ``mask[0, 0, 0]``.
    confidence : float or None
        Agreement of the segmenter with itself and with other means, 0 to 1; None where the tier does not measure it.
    is_doubtful : bool
        The confidence is so low that the outline has to be looked at.
    """

    mask: BoolArray
    origin_krc: tuple[int, int, int]
    confidence: float | None = None
    is_doubtful: bool = False

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where the mask lies in the volume, as slices along k, r, c."""
        k, r, c = (slice(o, o + n) for o, n in zip(self.origin_krc, self.mask.shape, strict=True))
        return k, r, c

    @property
    def middle_krc(self) -> FloatArray:
        """Mean index in the volume of the mask's voxels, (3,) float64."""
        return np.argwhere(self.mask).mean(axis=0) + self.origin_krc

    def on(self, shape: tuple[int, int, int]) -> BoolArray:
        """Return the mask on the whole grid of a volume of this shape, (k, r, c) bool."""
        whole = np.zeros(shape, dtype=bool)
        whole[self.box] = self.mask
        return whole


@dataclass(frozen=True, eq=False)
class NamedPart:
    """A part of a nodule that was asked for in words; nothing that is told of the nodule itself follows from it.

    Attributes
    ----------
    name : str
        As it was asked for.
    segment : Segment or None
        Within that of the nodule; None where no such part was seen.
    volume_mm3, mean_diameter_mm : float
        Of it; 0 without one.
    is_whole : bool
        Whether the name is understood as all of the nodule.
    """

    name: str
    segment: Segment | None
    volume_mm3: float = 0.0
    mean_diameter_mm: float = 0.0
    is_whole: bool = False


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
class Axis:
    """A straight line across a nodule on one axial slice, ends as voxel indices ``(k, r, c)``."""

    start_krc: tuple[float, float, float]
    end_krc: tuple[float, float, float]
    length_mm: float


@dataclass(frozen=True)
class Measurements:
    """Sizes and attenuation of one segment.

    Diameters follow Lung-RADS v2022: on the axial slice of the largest area, long axis and the longest perpendicular
    short axis, each rounded to 0.1 mm; their mean is rounded to 0.1 mm.
    """

    key_slice_k: int
    long_axis: Axis
    short_axis: Axis
    mean_diameter_mm: float
    maximum_3d_diameter_mm: float
    volume_mm3: float
    mean_hu: float
    sd_hu: float
    minimum_hu: float
    maximum_hu: float
    solid_mean_diameter_mm: float | None = None
    solid_volume_mm3: float | None = None


@dataclass(frozen=True)
class Descriptors:
    """What a radiologist would say of the nodule; None where this tier cannot tell."""

    nodule_type: NoduleType
    calcified: bool | None = None
    spiculated: bool | None = None
    juxtapleural: bool | None = None


@dataclass(frozen=True)
class RiskScore:
    """The answer of one published rule or model: a value, or the inputs it misses.

    Attributes
    ----------
    name : str
        For example ``"Brock 2a"``.
    value : float or None
        A probability in [0, 1]; None when inputs are missing.
    inputs : dict
        What the value was computed from, by input name.
    missing : tuple of str
        Names of the inputs that were not known; empty when ``value`` is given.
    """

    name: str
    value: float | None
    inputs: dict[str, float | bool | str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Category:
    """A category assigned by a rule set such as Lung-RADS v2022, with the sentence that led to it."""

    scheme: str
    value: str | None
    because: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Finding:
    """One nodule: its segment and all that was said of it; ``number`` counts from 1 in the order of the report.

    Attributes
    ----------
    detection_score : float
        How sure the detector is of it, 0 to 1, by the detector's own measure (``Engine``). Not a probability.
    published_scores : dict
        Published network -> its score of the same place, shown beside ours; none unless a site has such a network.
    part : NamedPart or None
        What was asked for of it. Measurements, category and risk stay those of the whole nodule.
    """

    number: int
    candidate: Candidate
    segment: Segment
    measurements: Measurements
    location: Location
    descriptors: Descriptors
    detection_score: float
    malignancy: tuple[RiskScore, ...]
    lung_rads: Category
    published_scores: dict[str, float] = field(default_factory=dict)
    part: NamedPart | None = None


@dataclass(frozen=True)
class ScoredBy:
    """What the detection scores of a result come from.

    Attributes
    ----------
    version, sha256 : str
        Of the weights.
    threshold : float
        From this score on a candidate is a finding.
    false_positives_per_scan : float or None
        Above that threshold, on validation lungs; None where the site set a threshold of its own.
    n_scans : int or None
        How many those lungs are, where it is known.
    """

    name: str
    version: str
    sha256: str
    threshold: float
    false_positives_per_scan: float | None
    n_scans: int | None = None


@dataclass(frozen=True)
class Algorithm:
    """What computed a result.

    Attributes
    ----------
    digest : str
        Hex digest of code version, weights and settings; changes whenever results may change.
    stages : dict
        Stage name -> what runs there, for example ``{"segmentation": "region growing (no weights)"}``.
    prompt : str
        What was asked for: it chooses what is reported, never what is searched. Empty where a person pointed.
    prompt_names_lobe : bool
        Whether a lobe is asked for, or excluded: where lobes are not told apart, the report says what stands for them.
    scored_by : ScoredBy or None
        The encoder; None where the detector that needs no weights decides by itself.
    """

    name: str
    version: str
    family: str
    digest: str
    stages: dict[str, str]
    prompt: str = "lung nodule"
    prompt_names_lobe: bool = False
    scored_by: ScoredBy | None = None


@dataclass(frozen=True, eq=False)
class Analysis:
    """All that the engine says of one volume.

    Attributes
    ----------
    findings : tuple of Finding
        What was asked for, in the order of the report.
    lung_volume_ml : float
        Volume of air and tissue within the lungs.
    lungs_cut : tuple of str
        ``"top"`` and/or ``"bottom"`` where the volume ends inside the lungs.
    lung_rads : Category
        Of the examination: that of its worst finding, asked for or not.
    seconds : dict
        Stage -> wall seconds.
    others : tuple of Finding
        What was found too and is not what the prompt asks for.
    """

    algorithm: Algorithm
    findings: tuple[Finding, ...]
    lung_volume_ml: float
    lungs_cut: tuple[str, ...]
    lung_rads: Category
    seconds: dict[str, float]
    others: tuple[Finding, ...] = ()
