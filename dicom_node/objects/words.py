"""The findings in plain words, for the reader of the report: every number here is also a coded item."""

from collections.abc import Sequence

from ai_engine.domain import Algorithm, Analysis, Category, Finding, Location, RiskScore, ScoredBy
from dicom_node.objects.tracking import TrackedFinding


def nodule(each: TrackedFinding) -> str:
    """Return one nodule as a radiologist would dictate it."""
    finding = each.finding
    measured, descriptors = finding.measurements, finding.descriptors
    calcified = {True: ", calcified", False: ", not calcified", None: ""}[descriptors.calcified]
    spiculated = {True: ", spiculated", False: ", not spiculated", None: ""}[descriptors.spiculated]
    pleura = {True: ", touches the pleura", False: ", does not touch the pleura", None: ""}[descriptors.juxtapleural]
    return (
        f"{each.tracked.identifier}: {descriptors.nodule_type} nodule, {place(finding.location)}"
        f"{calcified}{spiculated}{pleura}; mean diameter {measured.mean_diameter_mm:.1f} mm "
        f"({measured.long_axis.length_mm:.1f} x {measured.short_axis.length_mm:.1f} mm), "
        f"volume {measured.volume_mm3:.0f} mm3{_solid_part(finding)}. {category(finding.lung_rads)}."
    )


def place(location: Location) -> str:
    """Return where in the lungs a nodule lies."""
    if location.lobe:
        return str(location.lobe)
    return f"{location.laterality} lung, {location.zone} third"


def category(assigned: Category) -> str:
    """Return a category with its reason."""
    missing = f"; not known: {', '.join(map(_plain, assigned.missing))}" if assigned.missing else ""
    return f"{assigned.scheme} category {assigned.value or 'not assigned'}: {assigned.because}{missing}"


def risk(each: TrackedFinding, score: RiskScore) -> str:
    """Return a probability of cancer with its inputs, or what was missing for it."""
    start = f"{each.tracked.identifier}: {score.name}, probability of cancer"
    if score.value is not None:
        return f"{start} {100 * score.value:.1f} % from {inputs(score)}."
    known = f"; known: {inputs(score)}" if score.inputs else ""
    return f"{start} not computed; not known: {', '.join(map(_plain, score.missing))}{known}."


def detection(each: TrackedFinding, by: ScoredBy | None) -> str:
    """Return the strength of the evidence, and what it is not."""
    start = f"{each.tracked.identifier}: detection score {each.finding.detection_score:.3g}"
    return f"{start}, comparable within this algorithm only, not a probability{_above(by)}."


def part(each: TrackedFinding) -> str | None:
    """Return the size of the part that was asked for, and what it is not; None if none was."""
    asked = each.finding.part
    if asked is None:
        return None
    start = f'{each.tracked.identifier}: "{asked.name}" as asked for'
    if asked.segment is None:
        return f"{start} is not seen."
    where = (
        "the outline of the nodule" if asked.is_whole else f'outlined in the segmentation as "{each.part_identifier}"'
    )
    return (
        f"{start}: mean diameter {asked.mean_diameter_mm:.1f} mm, volume {asked.volume_mm3:.0f} mm3, {where}. "
        "Measurements, category and risk of this report are those of the whole nodule."
    )


def _above(by: ScoredBy | None) -> str:
    return "" if by is None else f"; {threshold(by)}"


def what_a_score_is(by: ScoredBy) -> str:
    """Return what the encoder's score means."""
    return (
        "score from 0 to 1: likeness to the words for a nodule against the words for what is none; not a probability; "
        f"{threshold(by)}"
    )


def threshold(by: ScoredBy) -> str:
    """Return the threshold of the score, and what it lets through where no nodule is."""
    if by.false_positives_per_scan is None:
        return f"threshold {by.threshold:.3g}, set at this site: its false positives per scan are not known"
    scans = "validation lungs" if by.n_scans is None else f"{by.n_scans} validation lungs"
    return f"threshold {by.threshold:.3g}, with {by.false_positives_per_scan:g} false positives per scan in {scans}"


def examination(found: Sequence[TrackedFinding], analysis: Analysis) -> str | None:
    """Return the findings of an examination in one sentence; None where there is none."""
    if not found:
        return None
    largest = max(found, key=lambda each: each.finding.measurements.mean_diameter_mm)
    is_scored = analysis.algorithm.scored_by is not None
    by_what = "volume times detection score" if is_scored else "volume"
    return (
        f"Examination: {_counted(len(found))}{' above threshold' if is_scored else ''}, ranked by {by_what}; "
        f"largest {largest.tracked.identifier}, {_size_and_place(largest.finding)}"
        f"{_highest_score(found) if is_scored else ''}."
    )


def _highest_score(found: Sequence[TrackedFinding]) -> str:
    """Name the finding with the highest score; without the encoder the scores of several searches do not compare."""
    highest = max(found, key=lambda each: each.finding.detection_score)
    return f"; highest detection score {highest.tracked.identifier}, {highest.finding.detection_score:.3g}"


def asked_for(algorithm: Algorithm, analyses: Sequence[Analysis]) -> str:
    """Return what was asked for, and what that means."""
    said = f'Asked for: "{algorithm.prompt}". The whole of the lungs was searched; the prompt chooses what is reported.'
    found = [finding for analysis in analyses for finding in (*analysis.findings, *analysis.others)]
    if any(finding.likeness is not None for finding in found):
        said += " Its words are true of what the encoder sees; types in this report are by HU: the two can differ."
    if algorithm.prompt_names_lobe and any(finding.location.lobe is None for finding in found):
        said += " Lobes were not found: for each the third of the lung where most of it lies was taken."
    return said


def not_asked_for(analysis: Analysis) -> str | None:
    """Return how much else was found than what was asked for, and where the largest of it is; None if nothing."""
    if not analysis.others:
        return None
    largest = max(analysis.others, key=lambda finding: finding.measurements.mean_diameter_mm)
    n = len(analysis.others)
    return (
        f"NOT LISTED HERE, as it is not what was asked for: {n} other finding{'s' if n > 1 else ''} above threshold, "
        f"the largest with {_size_and_place(largest)}. Categories of the examination count them."
    )


def _counted(n: int) -> str:
    return f"{n} finding{'s' if n > 1 else ''}"


def _size_and_place(finding: Finding) -> str:
    return f"{finding.measurements.mean_diameter_mm:.1f} mm mean diameter, {place(finding.location)}"


def likeness(each: TrackedFinding, prompt: str) -> str | None:
    """Return how like the words of the prompt a nodule is; None where they name no more than a nodule."""
    if each.finding.likeness is None:
        return None
    return (
        f'{each.tracked.identifier}: likeness to "{prompt}" {each.finding.likeness:.2f}; above 0 its words are true of '
        "the nodule, as the encoder sees it."
    )


def outline(each: TrackedFinding) -> str | None:
    """Return how sure the outline is, and what to do if it is not; None where the algorithm does not tell."""
    segment = each.finding.segment
    if segment.confidence is None:
        return None
    rating = f"{each.tracked.identifier}: quality of the outline {100 * segment.confidence:.0f} of 100"
    if segment.is_doubtful:
        return f"{rating}. DOUBTFUL OUTLINE: check it before its sizes and what follows from them are used."
    return f"{rating}, by its agreement with other outlines of the same nodule; not a probability."


def inputs(score: RiskScore) -> str:
    """Return the inputs of a risk model with their values."""
    return ", ".join(_with_value(name, value) for name, value in score.inputs.items())


def _with_value(name: str, value: float | bool | str) -> str:
    """Return an input as people write it: ``longest_diameter_mm`` 9 is ``longest diameter 9 mm``."""
    if isinstance(value, bool):
        return f"{_plain(name)} {'yes' if value else 'no'}"
    unit = next((unit for unit in ("mm", "years") if name.endswith(f"_{unit}")), "")
    said = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{_plain(name)} {said} {unit}".rstrip()


def _plain(name: str) -> str:
    return name.removesuffix("_mm").removesuffix("_years").replace("_", " ")


def _solid_part(finding: Finding) -> str:
    solid = finding.measurements.solid_mean_diameter_mm
    return "" if solid is None else f", solid part {solid:g} mm"
