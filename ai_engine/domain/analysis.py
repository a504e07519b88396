"""All that the engine says of one volume, and what said it."""

from dataclasses import dataclass

from ai_engine.domain.finding import Category, Finding


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
