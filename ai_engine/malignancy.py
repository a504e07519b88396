"""Malignancy of one finding in the weight-free tier: the Brock model, or the list of what it misses."""

from ai_engine.domain import (
    ClinicalContext,
    Descriptors,
    Laterality,
    Lobe,
    Location,
    Measurements,
    RiskScore,
    Zone,
)
from ai_engine.rules.brock import BrockInputs, brock_2a, brock_2b


def score(
    measurements: Measurements,
    descriptors: Descriptors,
    location: Location,
    n_nodules: int,
    context: ClinicalContext,
    lungs_cut: tuple[str, ...] = (),
) -> tuple[RiskScore, ...]:
    """Score one finding: Brock 2b where spiculation was assessed, else 2a.

    Parameters
    ----------
    measurements : Measurements
        The long axis is the diameter that the model was fitted with.
    descriptors : Descriptors
        Type and spiculation.
    location : Location
        Upper lobe or not, where ``in_upper_lobe`` can tell.
    n_nodules : int
        Findings in this volume.
    context : ClinicalContext
        What the record knows of the patient.
    lungs_cut : tuple of str
        As in ``Analysis``.
    """
    inputs = BrockInputs(
        age_years=context.age_years,
        sex=context.sex,
        family_history_of_lung_cancer=context.family_history_of_lung_cancer,
        emphysema=context.emphysema,
        longest_diameter_mm=measurements.long_axis.length_mm,
        nodule_type=descriptors.nodule_type,
        upper_lobe=in_upper_lobe(location, lungs_cut),
        nodule_count=n_nodules,
        spiculated=descriptors.spiculated,
    )
    return (brock_2a(inputs) if descriptors.spiculated is None else brock_2b(inputs),)


def in_upper_lobe(location: Location, lungs_cut: tuple[str, ...] = ()) -> bool | None:
    """Tell whether a finding lies in an upper lobe; None where that cannot be known.

    A zone is not a lobe: the lower lobes reach into the upper zone at the back, and the lingula, a part of the left
    upper lobe, reaches the diaphragm. Only the lower zone of a completely imaged right lung is below the minor fissure
    in ordinary anatomy.

    Parameters
    ----------
    location : Location
        Of the finding.
    lungs_cut : tuple of str
        As in ``Analysis``: in a volume that ends inside the lungs, zones are thirds of the visible part only.
    """
    if location.lobe is not None:
        return location.lobe in (Lobe.RIGHT_UPPER, Lobe.LEFT_UPPER)
    if location.laterality is Laterality.RIGHT and location.zone is Zone.LOWER and not lungs_cut:
        return False
    return None
