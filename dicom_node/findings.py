"""Findings as plain JSON: what the ledger keeps of them, for the command line and for the study's next revision."""

from collections.abc import Iterator, Sequence
from typing import Any

from ai_engine.domain import Algorithm, NamedPart, RiskScore, ScoredBy
from dicom_node.objects.composite import ObjectContext, Tracked
from dicom_node.objects.tracking import AnalysedSeries, TrackedFinding, track

Json = dict[str, Any]


def findings_as_json(analysed: Sequence[AnalysedSeries], context: ObjectContext) -> Json:
    """Return the findings of a study, in the order of the report, what they are by, and how long each stage took."""
    found = track(analysed, context)
    return {
        "detection": _detection(context.algorithm),
        "findings": [_finding(tracked, each) for each, group in zip(analysed, found, strict=True) for tracked in group],
        "series": [_series(each) for each in analysed],
    }


def tracked_from_json(saved: object) -> tuple[Tracked, ...]:
    """Return the nodules that ``findings_as_json`` told of, for the next revision."""
    return tuple(_tracked(finding) for finding in findings_of(saved))


def findings_of(saved: object) -> Iterator[Json]:
    """Yield the findings that ``findings_as_json`` told of; none where nothing was analysed."""
    if isinstance(saved, dict):
        yield from saved["findings"]


def scored_by_of(detection: Json) -> ScoredBy | None:
    """Return what scored, of the ``detection`` that ``findings_as_json`` told of."""
    encoder = detection["encoder"]
    if encoder is None:
        return None
    return ScoredBy(
        **encoder,
        threshold=detection["threshold"],
        false_positives_per_scan=detection["false_positives_per_scan_at_threshold"],
        n_scans=detection["validation_scans"],
    )


def _tracked(finding: Json) -> Tracked:
    x, y, z = finding["centre_lps_mm"]
    return Tracked(
        uid=finding["tracking_uid"],
        identifier=finding["tracking_id"],
        frame_of_reference_uid=finding["frame_of_reference_uid"],
        centre_lps_mm=(x, y, z),
        diameter_mm=finding["mean_diameter_mm"],
    )


def _finding(tracked: TrackedFinding, each: AnalysedSeries) -> Json:
    finding, measured = tracked.finding, tracked.finding.measurements
    source = each.series.slices[measured.key_slice_k]
    return {
        "number": finding.number,
        "tracking_id": tracked.tracked.identifier,
        "tracking_uid": tracked.tracked.uid,
        "series_instance_uid": each.series.series_instance_uid,
        "frame_of_reference_uid": tracked.tracked.frame_of_reference_uid,
        "centre_lps_mm": [round(value, 2) for value in tracked.tracked.centre_lps_mm],
        "key_sop_instance_uid": source.sop_instance_uid,
        "key_frame_number": source.frame_number,
        "type": finding.descriptors.nodule_type,
        "laterality": finding.location.laterality,
        "zone": finding.location.zone,
        "lobe": finding.location.lobe,
        "long_axis_mm": measured.long_axis.length_mm,
        "short_axis_mm": measured.short_axis.length_mm,
        "mean_diameter_mm": measured.mean_diameter_mm,
        "volume_mm3": round(measured.volume_mm3, 1),
        "mean_hu": round(measured.mean_hu, 1),
        "detection_score": round(finding.detection_score, 4),
        "outline_confidence": None if finding.segment.confidence is None else round(finding.segment.confidence, 4),
        "outline_is_doubtful": finding.segment.is_doubtful,
        "lung_rads": finding.lung_rads.value,
        "malignancy": [_score(score) for score in finding.malignancy],
        **({"part": _part(finding.part)} if finding.part else {}),
        **({} if finding.likeness is None else {"likeness_to_prompt": round(finding.likeness, 4)}),
        **({"published_scores": finding.published_scores} if finding.published_scores else {}),
    }


def _part(part: NamedPart) -> Json:
    """Say what the prompt asked for of a nodule; all other figures are those of the whole nodule."""
    return {
        "name": part.name,
        "is_seen": part.segment is not None,
        "mean_diameter_mm": part.mean_diameter_mm,
        "volume_mm3": round(part.volume_mm3, 1),
    }


def _detection(algorithm: Algorithm) -> Json:
    """Say what was asked for and what scored; ``encoder`` is None where the detector decides by itself."""
    by = algorithm.scored_by
    encoder = None if by is None else {"name": by.name, "version": by.version, "sha256": by.sha256}
    return {
        "prompt": algorithm.prompt,
        "encoder": encoder,
        "threshold": by.threshold if by else None,
        "false_positives_per_scan_at_threshold": by.false_positives_per_scan if by else None,
        "validation_scans": by.n_scans if by else None,
    }


def _score(score: RiskScore) -> Json:
    value = None if score.value is None else round(score.value, 6)
    return {"name": score.name, "value": value, "missing": list(score.missing)}


def _series(each: AnalysedSeries) -> Json:
    analysis = each.analysis
    return {
        "series_instance_uid": each.series.series_instance_uid,
        "lung_volume_ml": round(analysis.lung_volume_ml, 1),
        "lungs_cut": list(analysis.lungs_cut),
        "lung_rads": analysis.lung_rads.value,
        "found_but_not_asked_for": len(analysis.others),
        "seconds": {stage: round(value, 2) for stage, value in analysis.seconds.items()},
    }
