"""The one bilingual file: where the engine's findings, the patient's record and DICOM meet.

Arrays and DICOM objects are made below (``objects/``); here is said which results a job has, and what of the record is
told in them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from PIL import Image
from pydicom import Dataset

from ai_engine.domain import ClinicalContext, Sex
from dicom_node.domain import Job, Outcome, Reason, SeriesVerdict
from dicom_node.objects import key_images, overlay, seg, sr
from dicom_node.objects.composite import InstanceReference, ObjectContext, ResultSeries, Tracked
from dicom_node.objects.sr_groups import SegmentReference
from dicom_node.objects.tracking import AnalysedSeries, TrackedFinding, track
from dicom_node.record_used import RecordUsed
from hl7_emr.domain import Item, PatientRecord

__all__ = [
    "AnalysedSeries",
    "InstanceReference",
    "ObjectContext",
    "RecordUsed",
    "ResultObject",
    "Tracked",
    "clinical_context",
    "decisive",
    "overlays",
    "record_from_header",
    "results",
    "tracked_nodules",
]

Kind = Literal["seg", "sr", "key_images"]

# Series numbers are fixed, so that the results stand at the end of the study and in the same order after each run.
_SR_NUMBER, _SEG_NUMBER, _KEY_IMAGES_NUMBER = 9001, 9101, 9201
# What people call the inputs of the risk models; the order is that of the report.
_INPUTS = {
    "age_years": "age",
    "sex": "sex",
    "family_history_of_lung_cancer": "family history of lung cancer",
    "emphysema": "emphysema",
    "ever_smoker": "ever smoked",
    "extrathoracic_cancer": "cancer outside the chest",
}


@dataclass(frozen=True, eq=False)
class ResultObject:
    """One object to be stored and sent."""

    kind: Kind
    dataset: Dataset


def results(
    job: Job,
    template: Dataset,
    analysed: Sequence[AnalysedSeries],
    verdicts: Sequence[SeriesVerdict],
    known: RecordUsed,
    context: ObjectContext,
) -> list[ResultObject]:
    """Build all result objects of a job: the same job gives the same bytes.

    Parameters
    ----------
    template : Dataset
        Header of any instance of the study: patient and study come from here.
    analysed : sequence of AnalysedSeries
        Empty: the report says why nothing was analysed.
    verdicts : sequence of SeriesVerdict
        One for each series of the study.
    known : RecordUsed
        Of the patient.

    Returns
    -------
    list of ResultObject
        Segmentations first, then key images, the report last: it refers to the others.
    """
    found = track(analysed, context)
    pictures: list[ResultObject] = []
    segmentations: list[ResultObject] = []
    for i, (each, tracked) in enumerate(zip(analysed, found, strict=True)):
        if tracked:
            into = _series_of("seg", each, i, context)
            segments = seg.encode(each.series, tracked, template, context, into)
            segmentations += [ResultObject("seg", dataset) for dataset in segments]
        if tracked and context.key_images:
            into = _series_of("key_images", each, i, context)
            images = key_images.encode(each.series, tracked, template, context, into)
            pictures += [ResultObject("key_images", dataset) for dataset in images]
    nearest = decisive(verdicts)
    report = sr.StudyReport(
        outcome=_outcome(analysed, found),
        analysed=analysed,
        found=found,
        segments=dict(_segments(segmentations)),
        segmentations=[_reference(result.dataset) for result in segmentations],
        verdicts=verdicts,
        reason=job.reason or (nearest.reason if nearest else None),
        detail=job.detail or (nearest.detail if nearest else ""),
        completeness=list(_completeness(job)),
        record=known.sentences,
        used=[_item_in_words(item) for item in known.record.items()],
        missing=[words for name, words in _INPUTS.items() if getattr(known.record, name) is None],
    )
    return [*segmentations, *pictures, ResultObject("sr", sr.encode(report, template, context, _sr_series(context)))]


def overlays(analysed: Sequence[AnalysedSeries], context: ObjectContext) -> Iterator[tuple[str, Image.Image]]:
    """Yield a picture of each nodule's key slice, with a file name for it."""
    for i, (each, found) in enumerate(zip(analysed, track(analysed, context), strict=True), start=1):
        for tracked in found:
            name = f"series-{i}-{tracked.tracked.identifier.lower().replace(' ', '-')}.png"
            yield name, overlay.draw(each.series, found, tracked)


def tracked_nodules(analysed: Sequence[AnalysedSeries], context: ObjectContext) -> tuple[Tracked, ...]:
    """Return the nodules of this revision under their identifiers: ``ObjectContext.earlier`` of the next one."""
    return tuple(each.tracked for found in track(analysed, context) for each in found)


def decisive(verdicts: Sequence[SeriesVerdict]) -> SeriesVerdict | None:
    """Return the verdict that says why a study was not analysed: on the series that came nearest to it."""
    far_off = (Reason.NOT_CT, Reason.LOCALIZER, Reason.DERIVED)
    refused = [verdict for verdict in verdicts if verdict.reason is not None]
    return max(refused, key=lambda verdict: (verdict.reason not in far_off, verdict.n_instances), default=None)


def record_from_header(dataset: Dataset) -> PatientRecord:
    """Return what the images themselves say of the patient: age at the study, and sex.

    Age is Patient's Age; where that is missing it is counted from birth date and study date, in whole years.
    """
    return PatientRecord(age_years=_age(dataset), sex=_sex(dataset))


def clinical_context(record: PatientRecord) -> ClinicalContext:
    """Return the record in the engine's words; what is unknown stays unknown."""
    return ClinicalContext(
        age_years=_number(record.age_years),
        sex=Sex(str(record.sex.value)) if record.sex and record.sex.value in ("F", "M") else None,
        family_history_of_lung_cancer=_yes_or_no(record.family_history_of_lung_cancer),
        emphysema=_yes_or_no(record.emphysema),
        ever_smoker=_yes_or_no(record.ever_smoker),
        extrathoracic_cancer=_yes_or_no(record.extrathoracic_cancer),
    )


def _yes_or_no(item: Item | None) -> bool | None:
    return bool(item.value) if item else None


def _number(item: Item | None) -> float | None:
    return float(item.value) if item and isinstance(item.value, int | float) else None


def _age(dataset: Dataset) -> Item | None:
    """PS3.5: an age string is three digits and a unit, D W M or Y."""
    text = str(dataset.get("PatientAge") or "").strip().upper()
    years_per = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
    if text[:-1].isdigit() and text[-1] in years_per:
        years = int(text[:-1]) * years_per[text[-1]]
        return Item("age_years", round(years, 1), "DICOM Patient's Age (0010,1010)", _date(dataset, "StudyDate"))
    born, studied = _date(dataset, "PatientBirthDate"), _date(dataset, "StudyDate")
    if born is None or studied is None or studied < born:
        return None
    years = studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))
    source = "DICOM Patient's Birth Date (0010,0030) and Study Date (0008,0020)"
    return Item("age_years", float(years), source, studied)


def _sex(dataset: Dataset) -> Item | None:
    sex = str(dataset.get("PatientSex") or "").strip().upper()
    return Item("sex", sex, "DICOM Patient's Sex (0010,0040)") if sex in ("F", "M") else None


def _date(dataset: Dataset, keyword: str) -> date | None:
    try:
        return date.fromisoformat(str(dataset.get(keyword) or "").replace(".", ""))
    except ValueError:
        return None


def _outcome(analysed: Sequence[AnalysedSeries], found: Sequence[Sequence[TrackedFinding]]) -> Outcome:
    if not analysed:
        return Outcome.NOT_ANALYSED
    return Outcome.FINDINGS if any(found) else Outcome.NO_FINDING


def _segments(segmentations: Sequence[ResultObject]) -> Iterator[tuple[str, SegmentReference]]:
    for result in segmentations:
        for segment in result.dataset.SegmentSequence:
            number = int(segment.SegmentNumber)
            yield str(segment.TrackingUID), SegmentReference(str(result.dataset.SOPInstanceUID), number)


def _reference(dataset: Dataset) -> InstanceReference:
    return InstanceReference(
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPClassUID, dataset.SOPInstanceUID
    )


def _series_of(
    kind: Literal["seg", "key_images"], each: AnalysedSeries, index: int, context: ObjectContext
) -> ResultSeries:
    uid = context.uid(kind, each.series.series_instance_uid)
    if kind == "seg":
        return ResultSeries(uid, _SEG_NUMBER + index, "SEG", _described("lung nodule segments", context))
    return ResultSeries(uid, _KEY_IMAGES_NUMBER + index, "OT", _described("lung nodule images", context))


def _sr_series(context: ObjectContext) -> ResultSeries:
    return ResultSeries(context.uid("sr"), _SR_NUMBER, "SR", _described("lung nodule report", context))


def _described(what: str, context: ObjectContext) -> str:
    revision = f", revision {context.revision}" if context.revision > 1 else ""
    return f"Emerald {what}{revision} (research use only)"


def _item_in_words(item: Item) -> str:
    when = f", recorded on {item.on.isoformat()}" if item.on else ""
    return f"{_INPUTS.get(item.name, item.name.replace('_', ' '))}: {item.words} (from {item.source}{when})"


def _completeness(job: Job) -> Iterator[str]:
    """Yield in words why the study was held to be complete (``jobs/settle.py``): as a whole, and by series."""
    if words := job.evidence.get("words"):
        yield f"{words}."
    series = job.evidence.get("series")
    for uid, evidence in series.items() if isinstance(series, dict) else ():
        if words := evidence.get("words"):
            yield f"series ...{uid[-8:]}: {words}."
