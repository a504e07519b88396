"""Analyses made from reference masks, so that tests of the results do not depend on what the engine finds."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from ai_engine.domain import (
    Algorithm,
    Analysis,
    BoolArray,
    Candidate,
    Category,
    Channel,
    CtVolume,
    Descriptors,
    Finding,
    Laterality,
    Lobe,
    Location,
    NamedPart,
    NoduleType,
    RiskScore,
    ScoredBy,
    Segment,
    Zone,
)
from ai_engine.measure import measure

ALGORITHM = Algorithm(
    name="Emerald test reader",
    version="0.0.1",
    family="weight-free",
    digest="0123456789abcdef0123456789abcdef",
    stages={"detection": "reference mask", "segmentation": "reference mask"},
)
SHA256 = "fedcba9876543210" * 4
# as above, with an encoder that scores, asked for less than everything
SCORED = replace(
    ALGORITHM,
    family="bundled",
    prompt="ground-glass nodules in the right upper lobe over 6 mm",
    prompt_names_lobe=True,
    scored_by=ScoredBy("Emerald image-text encoder", "0.1.0", SHA256, 0.71, 2.5, 2),
)
_BROCK = RiskScore(
    "Brock 2a",
    0.1234,
    {
        "age_years": 70.0,
        "sex": "M",
        "family_history_of_lung_cancer": False,
        "emphysema": True,
        "longest_diameter_mm": 12.3,
    },
)
_BROCK_MISSING = RiskScore("Brock 2b", None, {"age_years": 70.0}, ("family_history_of_lung_cancer", "emphysema"))


def analysis_of(volume: CtVolume, masks: list[BoolArray], lungs_cut: tuple[str, ...] = ()) -> Analysis:
    """Analysis with one finding for each mask (k, r, c) bool on the grid of the volume."""
    findings = tuple(_finding(volume, mask, number) for number, mask in enumerate(masks, start=1))
    because = "solid nodule, 15 mm or more at baseline" if masks else "no nodule"
    category = Category("Lung-RADS v2022", "4B" if masks else "1", because)
    return Analysis(ALGORITHM, findings, 4321.0, lungs_cut, category, {"lungs": 1.0})


def ball(volume: CtVolume, centre_krc: tuple[float, float, float], diameter_mm: float) -> BoolArray:
    """Voxels whose centres lie within a ball, (k, r, c) bool."""
    offsets = [
        (np.arange(n) - c) * mm for n, c, mm in zip(volume.hu.shape, centre_krc, volume.spacing_krc_mm, strict=True)
    ]
    k, r, c = np.ix_(*offsets)
    return np.asarray(k**2 + r**2 + c**2 <= (diameter_mm / 2) ** 2)


def with_cores(analysis: Analysis, volume: CtVolume, name: str = "solid component") -> Analysis:
    """Let each nodule have a core that was asked for: its first half along the columns."""
    findings = [replace(each, part=_core(each.segment, volume, name)) for each in analysis.findings]
    return replace(analysis, findings=tuple(findings))


def _core(whole: Segment, volume: CtVolume, name: str) -> NamedPart:
    mask = whole.mask[:, :, : -(-whole.mask.shape[2] // 2)]
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    k, r, c = (int(first + side.start) for first, side in zip(whole.origin_krc, box, strict=True))
    segment = Segment(np.ascontiguousarray(mask[box]), (k, r, c))
    return NamedPart(name, segment, float(mask.sum() * volume.voxel_mm3), 4.5)


def _finding(volume: CtVolume, mask: BoolArray, number: int) -> Finding:
    """Make a finding of a mask: odd ones solid, in a zone and sure, even ones part-solid, in a lobe and doubtful."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    origin = tuple(side.start for side in box)
    segment = Segment(mask[box], origin, 0.87, False) if number % 2 else Segment(mask[box], origin, 0.412, True)
    measured = measure(volume, segment)
    centre = tuple(float(side.start + side.stop - 1) / 2 for side in box)
    solid = Finding(
        number=number,
        candidate=Candidate(centre, measured.mean_diameter_mm, 1.0, Channel.SOLID),
        segment=segment,
        measurements=measured,
        location=Location(Laterality.RIGHT if centre[2] < volume.hu.shape[2] / 2 else Laterality.LEFT, Zone.MIDDLE),
        descriptors=Descriptors(NoduleType.SOLID, calcified=False, spiculated=True, juxtapleural=None),
        detection_score=0.75,
        malignancy=(_BROCK, _BROCK_MISSING),
        lung_rads=Category("Lung-RADS v2022", "4B", "solid nodule, 15 mm or more at baseline"),
    )
    return solid if number % 2 else _part_solid(solid)


def _part_solid(finding: Finding) -> Finding:
    volume_mm3 = finding.measurements.volume_mm3 / 4
    return replace(
        finding,
        measurements=replace(finding.measurements, solid_mean_diameter_mm=3.2, solid_volume_mm3=volume_mm3),
        location=Location(Laterality.LEFT, Zone.UPPER, Lobe.LEFT_UPPER),
        descriptors=Descriptors(NoduleType.PART_SOLID, juxtapleural=True),
        lung_rads=Category("Lung-RADS v2022", None, "part-solid nodule", ("solid part",)),
    )
