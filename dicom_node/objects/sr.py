"""The study's report: Comprehensive 3D SR on TID 1500, for findings, for none, and for a study that was not analysed.

There is one report a revision, whatever the number of series analysed. What is said of the study as a whole stands in
the Qualitative Evaluations; what is said of a nodule stands in its two groups (``sr_groups.py``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from ai_engine.domain import Analysis, NoduleType
from dicom_node.domain import Outcome, Reason, SeriesVerdict
from dicom_node.objects import codes, composite, words
from dicom_node.objects.composite import InstanceReference, ObjectContext, ResultSeries
from dicom_node.objects.content import Is, code, container, image, number, text, uid
from dicom_node.objects.ct_series import CtSeries
from dicom_node.objects.sr_groups import SegmentReference, groups, lung_rads
from dicom_node.objects.tracking import AnalysedSeries, TrackedFinding


@dataclass(frozen=True, eq=False)
class StudyReport:
    """All that the report says, in the node's own terms.

    Attributes
    ----------
    found : sequence of sequence of TrackedFinding
        Per analysed series.
    segments : mapping
        Tracking UID -> where its segment is.
    segmentations : sequence of InstanceReference
        The segmentations that the report refers to.
    record : sequence of str
        How the patient's record was come by, or why it was not used, and what in it contradicts itself.
    used : sequence of str
        What of the patient's record the risk models used, in words, each with its source.
    missing : sequence of str
        What they would have liked to know.
    """

    outcome: Outcome
    analysed: Sequence[AnalysedSeries] = ()
    found: Sequence[Sequence[TrackedFinding]] = ()
    segments: Mapping[str, SegmentReference] = field(default_factory=dict)
    segmentations: Sequence[InstanceReference] = ()
    verdicts: Sequence[SeriesVerdict] = ()
    reason: Reason | None = None
    detail: str = ""
    completeness: Sequence[str] = ()
    record: Sequence[str] = ()
    used: Sequence[str] = ()
    missing: Sequence[str] = ()


def encode(report: StudyReport, template: Dataset, context: ObjectContext, series: ResultSeries) -> Dataset:
    """Return the structured report of one revision.

    Parameters
    ----------
    template : Dataset
        Header whose patient and study the report takes; for a study that was not analysed it is also the instance that
        the evidence names.
    """
    result = composite.new(template, context, series, Comprehensive3DSRStorage, 1)
    result.SeriesDate, result.SeriesTime = result.ContentDate, result.ContentTime
    result.ReferencedPerformedProcedureStepSequence = []
    result.PerformedProcedureCodeSequence = []
    result.CompletionFlag = "COMPLETE"
    result.VerificationFlag = "UNVERIFIED"
    result.PreliminaryFlag = "PRELIMINARY"
    _evidence(result, report, template)
    if context.predecessor:
        result.PredecessorDocumentsSequence = list(_hierarchy([context.predecessor]))
    result.update(_root(report, context))
    _keep_to_character_set(result, result)
    return result


def _keep_to_character_set(item: Dataset, result: Dataset) -> None:
    """Texts repeat what other instances say, in their character sets; the report is in that of the template."""
    for child in item.ContentSequence:
        if child.ValueType == "TEXT":
            child.TextValue = composite.encodable(child.TextValue, result)
        if "ContentSequence" in child:
            _keep_to_character_set(child, result)


def _root(report: StudyReport, context: ObjectContext) -> Dataset:
    found = any(report.found)
    return container(
        codes.IMAGING_MEASUREMENT_REPORT,
        code(Is.MODIFIER, codes.LANGUAGE, codes.ENGLISH),
        *_observer(context),
        code(Is.MODIFIER, codes.PROCEDURE_REPORTED, codes.CT_PROCEDURE),
        *([_image_library(report.analysed)] if report.analysed else []),
        *([_imaging_measurements(report, context)] if found else []),
        container(codes.QUALITATIVE_EVALUATIONS, *_evaluations(report, context)),
        template="1500",
        relationship=None,
    )


def _observer(context: ObjectContext) -> Iterator[Dataset]:
    """Yield TID 1004: the device that observed."""
    yield code(Is.CONTEXT, codes.OBSERVER_TYPE, codes.DEVICE)
    yield uid(Is.CONTEXT, codes.DEVICE_OBSERVER_UID, context.device_uid)
    yield text(Is.CONTEXT, codes.DEVICE_OBSERVER_NAME, context.algorithm.name)
    yield text(Is.CONTEXT, codes.DEVICE_OBSERVER_MANUFACTURER, composite.MANUFACTURER)
    yield text(Is.CONTEXT, codes.DEVICE_OBSERVER_MODEL, composite.MODEL_NAME)
    yield text(Is.CONTEXT, codes.DEVICE_OBSERVER_SERIAL, context.installation_uid)


def _image_library(analysed: Sequence[AnalysedSeries]) -> Dataset:
    return container(codes.IMAGE_LIBRARY, *(_library_group(each.series) for each in analysed), template="1600")


def _library_group(series: CtSeries) -> Dataset:
    """Return what the images of one series share (TID 1602, 1604), and the images."""
    between_slices, between_rows, between_columns = series.volume.spacing_krc_mm
    instances = {source.sop_instance_uid: source.sop_class_uid for source in series.slices}
    return container(
        codes.IMAGE_LIBRARY_GROUP,
        code(Is.ACQUISITION_CONTEXT, codes.MODALITY, codes.CT),
        code(Is.ACQUISITION_CONTEXT, codes.TARGET_REGION, codes.CHEST),
        number(Is.ACQUISITION_CONTEXT, codes.PIXEL_SPACING_ROWS, round(between_columns, 4), codes.MM),
        number(Is.ACQUISITION_CONTEXT, codes.PIXEL_SPACING_COLUMNS, round(between_rows, 4), codes.MM),
        number(Is.ACQUISITION_CONTEXT, codes.SPACING_BETWEEN_SLICES, round(between_slices, 4), codes.MM),
        uid(Is.ACQUISITION_CONTEXT, codes.FRAME_OF_REFERENCE_UID, series.frame_of_reference_uid),
        *(image(Is.CONTAINED, codes.SOURCE, sop_class, sop_instance) for sop_instance, sop_class in instances.items()),
    )


def _imaging_measurements(report: StudyReport, context: ObjectContext) -> Dataset:
    return container(
        codes.IMAGING_MEASUREMENTS,
        *(
            group
            for each, found in zip(report.analysed, report.found, strict=True)
            for tracked in found
            for group in groups(tracked, each.series, report.segments[tracked.tracked.uid], context.algorithm)
        ),
    )


def _evaluations(report: StudyReport, context: ObjectContext) -> Iterator[Dataset]:
    """Yield what is said of the study as a whole: the outcome, the nodules, the series, the patient, the origin."""
    yield from _outcome(report, context)
    for each, found in zip(report.analysed, report.found, strict=True):
        yield from lung_rads(each.analysis.lung_rads, _deciding_type(each.analysis))
        yield _comment(f"Examination: {words.category(each.analysis.lung_rads)}.")
        told = (words.examination(found, each.analysis), words.not_asked_for(each.analysis))
        yield from (_comment(sentence) for sentence in told if sentence is not None)
        yield from map(_comment, _nodules(found, context))
        yield from map(_comment, _analysed_series(each, report.verdicts))
    yield from (_comment(_unused_series(verdict)) for verdict in report.verdicts if verdict.reason is not None)
    yield from (_comment(f"Completeness of the study: {fact}") for fact in report.completeness)
    yield from map(_comment, report.record)
    yield from (text(Is.CONTAINED, codes.HISTORY, item) for item in report.used)
    if report.analysed and context.algorithm.prompt:
        yield _comment(words.asked_for(context.algorithm, [each.analysis for each in report.analysed]))
    if report.missing:
        yield _comment(f"Not known of the patient: {', '.join(report.missing)}.")
    yield from map(_comment, _origin(context))


def _comment(sentence: str) -> Dataset:
    return text(Is.CONTAINED, codes.COMMENT, sentence)


def _outcome(report: StudyReport, context: ObjectContext) -> Iterator[Dataset]:
    """Yield what the analysis came to; a reason's code stands in the text, as no coding scheme has these reasons."""
    if report.outcome is Outcome.NOT_ANALYSED:
        reason = report.reason or Reason.FAILED
        because = f"{reason.sentence}: {report.detail}" if report.detail else reason.sentence
        yield text(Is.CONTAINED, codes.CONCLUSION, f"Not analysed, because: {because} [{reason.value}]")
        status = codes.FAILED if reason is Reason.FAILED else codes.NOT_ATTEMPTED
        yield code(Is.CONTAINED, codes.SUMMARY_OF_DETECTIONS, status)
        return
    yield text(Is.CONTAINED, codes.CONCLUSION, _conclusion(report, context.algorithm.prompt))
    yield code(Is.CONTAINED, codes.SUMMARY_OF_DETECTIONS, codes.SUCCEEDED)


def _conclusion(report: StudyReport, prompt: str) -> str:
    """Return what was found; where it is not all that was found, what was asked for and how much else there is."""
    n, n_others = sum(map(len, report.found)), sum(len(each.analysis.others) for each in report.analysed)
    counted = f"{n} lung nodule{'s' if n > 1 else ''} found." if n else "The analysis ran; no lung nodule was found."
    if not n_others:
        return counted
    return f'Asked for "{prompt}": {n} found. Other findings above threshold, not asked for and not listed: {n_others}.'


def _nodules(found: Sequence[TrackedFinding], context: ObjectContext) -> Iterator[str]:
    for tracked in found:
        yield words.nodule(tracked)
        if (named := words.part(tracked)) is not None:
            yield named
        yield from (words.risk(tracked, score) for score in tracked.finding.malignancy)
        yield words.detection(tracked, context.algorithm.scored_by)
        if (like := words.likeness(tracked, context.algorithm.prompt)) is not None:
            yield like
        if (sure := words.outline(tracked)) is not None:
            yield sure


def _analysed_series(each: AnalysedSeries, verdicts: Sequence[SeriesVerdict]) -> Iterator[str]:
    series, analysis = each.series, each.analysis
    verdict = next((v for v in verdicts if v.series_instance_uid == series.series_instance_uid), None)
    between_slices, rows, columns = series.volume.spacing_krc_mm
    yield (
        f"Analysed: {_name(verdict)}, {len(series.slices)} slices, slice spacing {between_slices:.4g} mm, "
        f"pixel spacing {rows:.4g} x {columns:.4g} mm, lung volume {analysis.lung_volume_ml / 1000:.1f} l."
    )
    yield from (f"Remark on this series: {note}" for note in series.notes)
    if analysis.lungs_cut:
        yield f"The images end inside the lungs at the {' and at the '.join(analysis.lungs_cut)}."


def _unused_series(verdict: SeriesVerdict) -> str:
    code_ = f" [{verdict.reason.value}]" if verdict.reason else ""
    return f"Not analysed: {_name(verdict)}, {verdict.n_instances} images: {verdict.words}{code_}"


def _origin(context: ObjectContext) -> Iterator[str]:
    algorithm = context.algorithm
    if context.predecessor:
        yield f"Revision {context.revision} of the results for this study: it replaces the report before it."
    if (by := algorithm.scored_by) is not None:
        yield f"Detection score by {by.name} {by.version}, weights {by.sha256}: {words.what_a_score_is(by)}."
    yield (
        f"Algorithm: {algorithm.name}, version {algorithm.version} "
        f"({composite.stages_in_words(algorithm)}), digest {algorithm.digest[:16]}."
    )
    yield composite.RESEARCH_USE_ONLY


def _deciding_type(analysis: Analysis) -> NoduleType | None:
    """Return the type of the nodule whose category the examination has."""
    found = (*analysis.findings, *analysis.others)
    decisive = [finding for finding in found if finding.lung_rads.value == analysis.lung_rads.value] or list(found)
    return decisive[0].descriptors.nodule_type if decisive else None


def _name(verdict: SeriesVerdict | None) -> str:
    """Return how people call a series, for example ``"series 3 (CT, Topogram)"``."""
    if verdict is None:
        return "the series"
    number_ = "" if verdict.series_number is None else f" {verdict.series_number}"
    inside = ", ".join(part for part in (verdict.modality, verdict.description) if part)
    return f"series{number_} ({inside})" if inside else f"series{number_}"


def _evidence(result: Dataset, report: StudyReport, template: Dataset) -> None:
    """List every instance that was analysed or is referred to (PS3.3 C.17.2.3)."""
    references = [
        InstanceReference(
            each.series.study_instance_uid,
            each.series.series_instance_uid,
            source.sop_class_uid,
            source.sop_instance_uid,
        )
        for each in report.analysed
        for source in each.series.slices
    ]
    references += report.segmentations
    if not references:
        references = [
            InstanceReference(
                template.StudyInstanceUID, template.SeriesInstanceUID, template.SOPClassUID, template.SOPInstanceUID
            )
        ]
    result.CurrentRequestedProcedureEvidenceSequence = list(_hierarchy(references))


def _hierarchy(references: Sequence[InstanceReference]) -> Iterator[Dataset]:
    """Yield the Hierarchical SOP Instance Reference Macro (PS3.3 table C.17-3) of instances, each listed once."""
    for study, in_study in groupby(dict.fromkeys(references), key=lambda reference: reference.study_instance_uid):
        study_item = Dataset()
        study_item.StudyInstanceUID = study
        study_item.ReferencedSeriesSequence = []
        for series, in_series in groupby(in_study, key=lambda reference: reference.series_instance_uid):
            series_item = Dataset()
            series_item.SeriesInstanceUID = series
            series_item.ReferencedSOPSequence = [_instance_item(reference) for reference in in_series]
            study_item.ReferencedSeriesSequence.append(series_item)
        yield study_item


def _instance_item(reference: InstanceReference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item
