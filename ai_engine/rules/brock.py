"""Brock (PanCan) probability that a nodule on a CT is cancer: the full models 2a and 2b.

McWilliams A et al., N Engl J Med 2013;369:910-919. Coefficients of 2b: table 2 of PMC6717521, whose uncentred constant
0.2761 equals the centred one used here; of 2a: medicalalgorithms.com. The models were built on smokers of 50 to 75
years with nodules of less than 30 mm; diameter is the longest one, not the mean.
"""

from dataclasses import dataclass, fields
from math import exp

from ai_engine.domain import NoduleType, RiskScore, Sex


@dataclass(frozen=True)
class BrockInputs:
    """What the models ask for; None means unknown.

    Attributes
    ----------
    longest_diameter_mm : float or None
        Longest diameter of the nodule in an axial slice.
    upper_lobe : bool or None
        In the upper lobe of either lung.
    nodule_count : int or None
        Nodules on this CT.
    """

    age_years: float | None = None
    sex: Sex | None = None
    family_history_of_lung_cancer: bool | None = None
    emphysema: bool | None = None
    longest_diameter_mm: float | None = None
    nodule_type: NoduleType | None = None
    upper_lobe: bool | None = None
    nodule_count: int | None = None
    spiculated: bool | None = None


@dataclass(frozen=True)
class _Coefficients:
    """Log odds of one model; age is centred at 62 years, the size term at 4 mm, the count at 4 nodules."""

    constant: float
    age: float
    female: float
    family_history: float
    emphysema: float
    size: float
    part_solid: float
    ground_glass: float
    upper_lobe: float
    count: float
    spiculation: float


_MODEL_2A = _Coefficients(
    -6.8071, 0.0321, 0.5635, 0.3013, 0.3462, -5.6693, 0.3395, -0.3055, 0.7116, -0.0803, spiculation=0.0
)
_MODEL_2B = _Coefficients(-6.7892, 0.0287, 0.6011, 0.2961, 0.2953, -5.3854, 0.3770, -0.1276, 0.6581, -0.0824, 0.7729)


def brock_2a(inputs: BrockInputs) -> RiskScore:
    """Score by the full model without spiculation; unknown inputs are named in ``missing``, and then ``value`` is None.

    Raises
    ------
    ValueError
        The diameter or the count is not positive.
    """
    return _score("Brock 2a", _MODEL_2A, inputs, unused=("spiculated",))


def brock_2b(inputs: BrockInputs) -> RiskScore:
    """Score by the full model with spiculation; as ``brock_2a`` otherwise."""
    return _score("Brock 2b", _MODEL_2B, inputs, unused=())


def _score(name: str, model: _Coefficients, inputs: BrockInputs, unused: tuple[str, ...]) -> RiskScore:
    used = {f.name: getattr(inputs, f.name) for f in fields(inputs) if f.name not in unused}
    known = {key: value for key, value in used.items() if value is not None}
    for key in ("longest_diameter_mm", "nodule_count"):
        if key in known and not known[key] > 0:
            raise ValueError(f"{key} must be positive, not {known[key]}")
    missing = tuple(key for key in used if key not in known)
    value = None if missing else 1 / (1 + exp(-_log_odds(model, inputs)))
    return RiskScore(name, value, known, missing)


def _log_odds(model: _Coefficients, inputs: BrockInputs) -> float:
    """Add the terms up; called only when all inputs of the model are known."""
    assert inputs.age_years is not None
    assert inputs.longest_diameter_mm is not None
    assert inputs.nodule_count is not None
    return (
        model.constant
        + model.age * (inputs.age_years - 62)
        + model.female * (inputs.sex is Sex.FEMALE)
        + model.family_history * bool(inputs.family_history_of_lung_cancer)
        + model.emphysema * bool(inputs.emphysema)
        + model.size * ((inputs.longest_diameter_mm / 10) ** -0.5 - 1.58113883)
        + model.part_solid * (inputs.nodule_type is NoduleType.PART_SOLID)
        + model.ground_glass * (inputs.nodule_type is NoduleType.GROUND_GLASS)
        + model.upper_lobe * bool(inputs.upper_lobe)
        + model.count * (inputs.nodule_count - 4)
        + model.spiculation * bool(inputs.spiculated)
    )
