"""What the generator assumes, in one table: each number with its source, or said to be without one.

s, l, t are spiculation, lobulation and texture as (rating - 1) / 4, where texture 5 is solid; c is 1 for a calcified
nodule (rating below 6), else 0; m is (malignancy - 3) / 2 in the mode ``emeralds``, and 0 in ``label-free``.

EMERALDS (the paper whose generator this follows) says which attribute moves which item and in which direction, and no
number; the sizes of these effects are ours.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Assumption:
    """One number.

    Attributes
    ----------
    published : float or None
        What the source has, for the population that comes nearest; None: no source.
    tolerance : float
        How far ``value`` may lie from it.
    """

    value: float
    source: str
    published: float | None = None
    tolerance: float = 0.0


_NLST = "NLST, Aberle 2010 and 2011: screening population of 53,454"
_DIRECTION = "EMERALDS section 2.1: direction only; size assumed"


@dataclass(frozen=True)
class Assumptions:
    """The table; probabilities unless the name says otherwise, ``logit_`` on the logistic scale."""

    age_years: Assumption = Assumption(59.5, _NLST + ": median 60", 60, 1)
    age_sd_years: Assumption = Assumption(9.0, "assumed: wider than NLST, which took 55-74 only")
    age_per_spiculation_years: Assumption = Assumption(6.0, _DIRECTION)
    age_per_malignancy_years: Assumption = Assumption(4.0, _DIRECTION)
    logit_male: Assumption = Assumption(0.18, "chosen so that the mean ratings of LIDC-IDRI give the 59 % men of NLST")
    logit_male_per_lobulation: Assumption = Assumption(0.9, _DIRECTION)
    logit_male_per_texture: Assumption = Assumption(0.7, _DIRECTION)
    logit_ever: Assumption = Assumption(-0.2, "assumed")
    logit_ever_per_spiculation: Assumption = Assumption(1.6, _DIRECTION)
    logit_ever_per_texture: Assumption = Assumption(0.8, _DIRECTION)
    logit_ever_per_calcification: Assumption = Assumption(-0.8, _DIRECTION)
    current_of_ever: Assumption = Assumption(0.42, _NLST + ": 48 % smoked at entry", 0.48, 0.07)
    smoking_years: Assumption = Assumption(30.0, "assumed; NLST asked for 30 pack-years at least")
    smoking_years_per_spiculation: Assumption = Assumption(5.0, "assumed")
    smoking_years_sd: Assumption = Assumption(11.0, "assumed")
    quit_mean_years: Assumption = Assumption(11.0, "assumed; exponential")
    logit_drinker: Assumption = Assumption(0.35, "assumed")
    logit_drinker_per_malignancy: Assumption = Assumption(0.5, _DIRECTION)
    logit_drinker_per_calcification: Assumption = Assumption(-0.7, _DIRECTION)
    logit_drinker_if_ever: Assumption = Assumption(0.3, "assumed: alcohol goes with smoking")
    heavy_of_drinkers: Assumption = Assumption(0.1, "assumed")
    heavy_of_drinkers_if_ever: Assumption = Assumption(0.2, "assumed")
    bmi: Assumption = Assumption(27.4, "NLST (PMC8159850): median 27, quartiles 24 and 31", 27, 0.5)
    bmi_sd: Assumption = Assumption(4.6, "quartiles of NLST: (31 - 24) / 1.349 = 5.2", 5.2, 0.7)
    copd_never: Assumption = Assumption(0.04, "assumed")
    copd_ever: Assumption = Assumption(0.1, "assumed")
    copd_per_pack_year: Assumption = Assumption(0.004, "assumed")
    emphysema_never: Assumption = Assumption(0.03, "assumed")
    emphysema_ever: Assumption = Assumption(0.08, "assumed")
    emphysema_per_pack_year: Assumption = Assumption(0.004, "assumed")
    family_history: Assumption = Assumption(
        0.12, "ERJ case-control: 9 % of smokers, 19 % of patients with cancer", 0.14, 0.05
    )
    own_cancer: Assumption = Assumption(0.1, "NLST (PMC8159850): 4.1 %; more, as hospitals have", 0.041, 0.06)
    asbestos_male: Assumption = Assumption(0.05, "assumed")
    asbestos_female: Assumption = Assumption(0.01, "assumed")
    missing_pack_years: Assumption = Assumption(0.30, "assumed; of those who smoked")
    missing_status: Assumption = Assumption(0.07, "assumed: the answer is 'unknown if ever smoked'")
    missing_family_history: Assumption = Assumption(0.35, "assumed")
    missing_bmi: Assumption = Assumption(0.10, "assumed")
    missing_education: Assumption = Assumption(0.70, "assumed")
    missing_asbestos: Assumption = Assumption(0.90, "assumed: hardly anybody is asked")
    contradiction: Assumption = Assumption(0.03, "assumed: records that say two things")

    def rows(self) -> list[tuple[str, Assumption]]:
        """Return the table."""
        return [(each.name, getattr(self, each.name)) for each in fields(self)]


ASSUMPTIONS = Assumptions()
YOUNGEST_YEARS, OLDEST_YEARS = 35.0, 88.0
# Levels 1 to 6 of PLCOm2012 (Tammemägi 2013). NLST (PMC8159850): high school 23.5, some college 23.2, BA 17,
# graduate 14 %; the rest is shared out.
EDUCATION_WEIGHTS = (0.06, 0.235, 0.163, 0.232, 0.17, 0.14)
# assumed: packs are rounded
CIGARETTES_PER_DAY = (5, 10, 15, 20, 20, 20, 30, 40)
