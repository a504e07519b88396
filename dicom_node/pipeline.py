"""READ FIRST: what happens to a study, told in one place.

A job is one revision of one study under one pipeline. ``analyse`` turns its received files into result objects;
``deliver`` sends them to one PACS, ``tell`` tells an EMR once a PACS has them. All work from the ledger and the spool,
so each can be repeated: the same job gives the same bytes.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from pydicom import Dataset

from ai_engine.engine import Engine
from ai_engine.errors import NoLungs, VolumeError
from dicom_node import emr_delivery, report
from dicom_node.dimse import scu
from dicom_node.domain import InstanceRef, Job, Outcome, Reason, ResultRef, SeriesVerdict
from dicom_node.emr_records import Ask
from dicom_node.errors import NodeError, ResultInvalid, SeriesRefused
from dicom_node.findings import findings_as_json, tracked_from_json
from dicom_node.jobs import settle
from dicom_node.jobs.records import Delivery, RecordRow, Saved
from dicom_node.jobs.states import DeliveryState
from dicom_node.jobs.store import Store
from dicom_node.objects import ct_pixels, ct_series, series_choice, validate
from dicom_node.objects.series_choice import RankedSeries
from dicom_node.objects.spool import Spool
from dicom_node.report import AnalysedSeries, InstanceReference, ObjectContext, RecordUsed, ResultObject, Tracked
from dicom_node.settings import EmrDestination, EngineSettings, Pipeline, Settings

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Identity:
    """Who makes the results: this installation, in this version."""

    installation_uid: str
    software_version: str


@dataclass(frozen=True)
class Earlier:
    """The revision before: its report, which the new one replaces, and its nodules, whose identity goes on."""

    report: InstanceReference
    nodules: tuple[Tracked, ...]


@dataclass(frozen=True)
class Parts:
    """What the steps work with; ``node.py`` builds it.

    Attributes
    ----------
    ask : callable or None
        Asks for the patient's record; None: no source of records is configured.
    """

    settings: Settings
    store: Store
    spool: Spool
    identity: Identity
    engine_for: Callable[[EngineSettings], Engine]
    ask: Ask | None = None


# analyse: READY -> ANALYSED


def analyse(job: Job, parts: Parts, progress: Progress) -> Saved:
    """Turn the received instances of a READY job into result objects on disk."""
    pipeline = parts.settings.pipeline(job.called_ae_title) or Pipeline(called_ae_title=job.called_ae_title)
    engine = parts.engine_for(pipeline.engine)
    refs = parts.store.instances(job.id)
    study = examine(refs, job, pipeline, engine, progress, parts.ask)
    if not study.analysed and (study.localizers_only or pipeline.report_not_analysed == "never"):
        return Saved(study.outcome, study.reason, study.detail, study.verdicts)
    progress("results", 0.0)
    context = object_context(job, refs, study, engine, parts.identity, _earlier(job, parts.store))
    context = replace(context, key_images=_wants_key_images(pipeline, parts.settings))
    objects = build(job, study, context)
    _check_or_quarantine(objects, job, study, parts.spool)
    return Saved(
        outcome=study.outcome,
        reason=study.reason,
        detail=study.detail,
        verdicts=study.verdicts,
        findings=findings_as_json(study.analysed, context),
        results=tuple(write(objects, job, parts.spool)),
        targets=pipeline.destinations,
        after_others=tuple(name for name in pipeline.destinations if parts.settings.emr_destination(name)),
        record=_row(study.known),
        digests={"source": context.source_digest, "engine": context.engine_digest},
    )


def _row(known: RecordUsed) -> RecordRow | None:
    return RecordRow(known.counter, known.words, known.as_json()) if known.decision else None


@dataclass(frozen=True, eq=False)
class Study:
    """What became of a study: what was analysed, and of every series why or why not.

    Attributes
    ----------
    template : Dataset
        Header of one instance, where patient and study attributes are copied from.
    known : RecordUsed
        Of the patient.
    """

    template: Dataset
    known: RecordUsed
    analysed: tuple[AnalysedSeries, ...]
    verdicts: tuple[SeriesVerdict, ...]
    localizers_only: bool = False

    @property
    def outcome(self) -> Outcome:
        """FINDINGS, NO_FINDING or NOT_ANALYSED."""
        if not self.analysed:
            return Outcome.NOT_ANALYSED
        return Outcome.FINDINGS if any(each.analysis.findings for each in self.analysed) else Outcome.NO_FINDING

    @property
    def reason(self) -> Reason | None:
        """Why nothing was analysed; None where something was."""
        return self._decisive.reason if self._decisive else None

    @property
    def detail(self) -> str:
        """The reason in detail; of an analysed study, what else was found than was asked for."""
        if self._decisive:
            return self._decisive.detail
        n = sum(len(each.analysis.others) for each in self.analysed)
        return f"found, but not asked for: {n}" if n else ""

    @property
    def _decisive(self) -> SeriesVerdict | None:
        return None if self.analysed else report.decisive(self.verdicts)


def examine(
    refs: Sequence[InstanceRef],
    job: Job,
    pipeline: Pipeline,
    engine: Engine,
    progress: Progress,
    ask: Ask | None = None,
) -> Study:
    """Choose among the series of a study and analyse the best one of each frame of reference.

    The patient's record is asked for at the beginning, and waited for when the first series has been read.
    """
    template = ct_pixels.read_header(refs[0])
    of_images = RecordUsed(report.record_from_header(template))
    if job.reason is not None:  # decided before: all attempts failed
        return Study(template, of_images, (), _all_refused(refs, job.reason, job.detail))
    answer = cache(ask(template, job.called_ae_title)) if ask else lambda: of_images
    incomplete = settle.incomplete_series(job.evidence)
    whole = [ref for ref in refs if ref.series_instance_uid not in incomplete]
    choice = series_choice.choose(whole, pipeline.prefer_kernels)
    analysed: list[AnalysedSeries] = []
    verdicts = [*choice.refused, *_incomplete(refs, incomplete)]
    for candidates in choice.ranked:
        best, judged = _analyse_best(candidates, pipeline, engine, answer, progress)
        analysed += best
        verdicts += judged
    verdicts.sort(key=lambda verdict: (verdict.series_number or 0, verdict.series_instance_uid))
    return Study(template, answer(), tuple(analysed), tuple(verdicts), choice.localizers_only)


def _analyse_best(
    candidates: Sequence[RankedSeries],
    pipeline: Pipeline,
    engine: Engine,
    answer: Callable[[], RecordUsed],
    progress: Progress,
) -> tuple[list[AnalysedSeries], list[SeriesVerdict]]:
    """Analyse the first series that can be; the others get a verdict."""
    analysed: list[AnalysedSeries] = []
    verdicts: list[SeriesVerdict] = []
    for candidate in candidates:
        if analysed:
            verdicts.append(candidate.verdict(Reason.NOT_PREFERRED))
            continue
        try:
            progress("reading", 0.0)
            series = ct_series.to_volume(candidate.refs, pipeline.prefer_kernels)
            context = report.clinical_context(answer().record)
            analysed.append(AnalysedSeries(series, engine.analyse(series.volume, context, progress)))
            verdicts.append(candidate.verdict(detail=_extent(series)))
        except SeriesRefused as error:
            verdicts.append(candidate.verdict(error.reason, error.detail))
        except (NoLungs, VolumeError) as error:
            verdicts.append(candidate.verdict(Reason.NO_LUNGS, str(error)))
    return analysed, verdicts


def _extent(series: ct_series.CtSeries) -> str:
    spacing = series.volume.spacing_krc_mm[0]
    return "; ".join([f"{len(series.slices)} slices, {spacing:.2f} mm apart", *series.notes])


def _incomplete(refs: Sequence[InstanceRef], incomplete: Mapping[str, str]) -> list[SeriesVerdict]:
    return [
        series_choice.verdict(series, Reason.INCOMPLETE, incomplete[uid])
        for uid, series in _by_series(refs).items()
        if uid in incomplete
    ]


def _all_refused(refs: Sequence[InstanceRef], reason: Reason, detail: str) -> tuple[SeriesVerdict, ...]:
    return tuple(series_choice.verdict(series, reason, detail) for series in _by_series(refs).values())


def _by_series(refs: Sequence[InstanceRef]) -> dict[str, list[InstanceRef]]:
    by_series: dict[str, list[InstanceRef]] = {}
    for ref in refs:
        by_series.setdefault(ref.series_instance_uid, []).append(ref)
    return by_series


def object_context(
    job: Job,
    refs: Sequence[InstanceRef],
    study: Study,
    engine: Engine,
    identity: Identity,
    earlier: Earlier | None = None,
) -> ObjectContext:
    """Gather what decides the identity of the results: the same job always gives the same UIDs and dates."""
    source = (f"{ref.sop_instance_uid} {ref.digest}" for ref in sorted(refs, key=lambda ref: ref.sop_instance_uid))
    known = (repr(study.known.record), *study.known.sentences)
    used = (engine.algorithm.digest, identity.software_version, *known)
    return ObjectContext(
        installation_uid=identity.installation_uid,
        called_ae_title=job.called_ae_title,
        revision=job.revision,
        at=(job.settled_at or job.created_at).astimezone(),
        source_digest=_digest(source),
        engine_digest=_digest(used),
        software_version=identity.software_version,
        algorithm=engine.algorithm,
        predecessor=earlier.report if earlier else None,
        earlier=earlier.nodules if earlier else (),
    )


def _digest(parts: Iterator[str] | Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _earlier(job: Job, store: Store) -> Earlier | None:
    """Return what the last revision told whose report left the node."""
    while job.predecessor_id is not None:
        job = store.job(job.predecessor_id)
        saved = store.saved(job.id)
        for result in saved.results if saved and _reached_somebody(job, store) else ():
            if saved and result.kind == "sr":
                sr = (result.series_instance_uid, result.sop_class_uid, result.sop_instance_uid)
                return Earlier(InstanceReference(job.study_instance_uid, *sr), tracked_from_json(saved.findings))
    return None


def _reached_somebody(job: Job, store: Store) -> bool:
    """Tell whether a destination holds the results, or they were for nobody but us: no report replaces one unseen."""
    deliveries = store.deliveries(job.id)
    return not deliveries or any(
        each.state in (DeliveryState.DELIVERED, DeliveryState.COMMITTED) for each in deliveries
    )


def _wants_key_images(pipeline: Pipeline, settings: Settings) -> bool:
    targets = [settings.destination(name) for name in pipeline.destinations]
    return any(target and "key_images" in target.objects for target in targets)


def build(job: Job, study: Study, context: ObjectContext) -> list[ResultObject]:
    """Encode the results of a study."""
    return report.results(job, study.template, study.analysed, study.verdicts, study.known, context)


def check(objects: Sequence[ResultObject], study: Study) -> None:
    """Check results against their source; raises ``ResultInvalid``, and then nothing may leave."""
    validate.check([each.dataset for each in objects], study.template, [each.series for each in study.analysed])


def _check_or_quarantine(objects: Sequence[ResultObject], job: Job, study: Study, spool: Spool) -> None:
    try:
        check(objects, study)
    except ResultInvalid as error:
        for result in write(objects, job, spool):
            spool.quarantine(result.path, str(error))
        raise


def named(objects: Sequence[ResultObject]) -> Iterator[tuple[str, ResultObject]]:
    """Yield each result with the name of its file: its kind and a number."""
    counts: Counter[str] = Counter()
    for each in objects:
        counts[each.kind] += 1
        yield f"{each.kind}-{counts[each.kind]}", each


def write(objects: Sequence[ResultObject], job: Job, spool: Spool) -> Iterator[ResultRef]:
    """Store the results durably; what is delivered later are these bytes."""
    for name, each in named(objects):
        yield ResultRef(
            path=spool.write_result(job.id, name, each.dataset),
            kind=each.kind,
            series_instance_uid=str(each.dataset.SeriesInstanceUID),
            sop_instance_uid=str(each.dataset.SOPInstanceUID),
            sop_class_uid=str(each.dataset.SOPClassUID),
            transfer_syntax_uid=str(each.dataset.file_meta.TransferSyntaxUID),
        )


# deliver: PENDING -> DELIVERED


def deliver(delivery: Delivery, parts: Parts) -> None:
    """Send what the destination does not hold yet, on one association.

    Raises
    ------
    PeerError
        The destination did not take everything; what it took is noted.
    """
    if (emr := parts.settings.emr_destination(delivery.target)) is not None:
        tell(delivery, emr, parts)
        return
    destination = parts.settings.destination(delivery.target)
    if destination is None:
        raise NodeError(f"destination {delivery.target} is no longer in the settings: put it back, or ignore this job")
    job = parts.store.job(delivery.job_id)
    todo = [o.result for o in parts.store.objects(delivery.id) if not o.stored and o.result.kind in destination.objects]

    def note(result: ResultRef, status: int) -> None:
        parts.store.note_sent(delivery.id, result.sop_instance_uid, status)

    scu.send(destination.remote, job.called_ae_title, todo, destination.timeout_s, note)


# report: the EMR is told what the PACS was told


def tell(delivery: Delivery, emr: EmrDestination, parts: Parts) -> None:
    """Tell an EMR what the stored report says, and read its answer.

    Raises
    ------
    ReportDelayed
        It could not be told now.
    ReportRefused
        It does not take the report, or must not be told.
    """
    emr_delivery.tell(parts.store.job(delivery.job_id), emr, parts.settings, parts.store)
