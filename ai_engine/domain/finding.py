"""One nodule with all that is said of it."""

from dataclasses import dataclass, field

from ai_engine.domain.candidate import Candidate
from ai_engine.domain.descriptors import Descriptors, Location
from ai_engine.domain.measurements import Measurements
from ai_engine.domain.segment import NamedPart, Segment


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
    likeness : float or None
        Of the place to the words of the prompt: above 0 they are true of it, as the encoder sees it, whatever type the
        rules of HU give it. None where nothing but nodules, a size or a place is asked for.
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
    likeness: float | None = None
