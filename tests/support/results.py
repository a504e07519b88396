"""Complete results of made-up jobs on real series, as objects and as files."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydicom import Dataset

from ai_engine.domain import Algorithm, Analysis, BoolArray
from dicom_node import report
from dicom_node.domain import InstanceRef, Job, Reason, SeriesVerdict
from dicom_node.objects.ct_series import CtSeries, to_volume
from dicom_node.objects.headers import instance_ref
from dicom_node.record_used import RecordUsed
from dicom_node.report import AnalysedSeries, ObjectContext, ResultObject
from tests.support.chest import reference_mask
from tests.support.data import data_dir
from tests.support.findings import ALGORITHM, analysis_of, ball, with_cores

SETTLED_AT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
LOCALIZER = SeriesVerdict("2.25.7", 1, "Topogram", "CT", 2, Reason.LOCALIZER)
LEGACY_ENHANCED = "lidc0001_legacy_converted_enhanced_17frames_jpegls.dcm"


@dataclass(frozen=True, eq=False)
class Case:
    """One job: what was received, what was found, what came of it."""

    series: CtSeries
    sources: list[Path]
    analysis: Analysis | None
    context: ObjectContext
    verdicts: list[SeriesVerdict]
    job: Job
    results: list[ResultObject] = field(default_factory=list)

    @property
    def template(self) -> Dataset:
        return self.series.datasets[0]

    @property
    def analysed(self) -> list[AnalysedSeries]:
        return [AnalysedSeries(self.series, self.analysis)] if self.analysis else []

    @property
    def datasets(self) -> list[Dataset]:
        return [result.dataset for result in self.results]

    def of_kind(self, kind: str) -> list[Dataset]:
        return [result.dataset for result in self.results if result.kind == kind]


def context(**changes: object) -> ObjectContext:
    """Make an object context in which everything is known."""
    values = {
        "installation_uid": "2.25.123456789",
        "called_ae_title": "EMERALD",
        "revision": 1,
        "at": SETTLED_AT,
        "source_digest": "source",
        "engine_digest": "engine",
        "software_version": "0.1.0",
        "algorithm": ALGORITHM,
        "key_images": True,
    }
    return ObjectContext(**{**values, **changes})  # type: ignore[arg-type]


def case(
    series: CtSeries,
    sources: list[Path],
    masks: list[BoolArray] | None,
    about: ObjectContext | None = None,
    n_asked_for: int | None = None,
    *,
    names_core: bool = False,
    likeness: float | None = None,
) -> Case:
    """Build a case with its results; ``masks`` None: nothing was analysed; ``n_asked_for`` None: all was asked for."""
    about = about or context()
    used = SeriesVerdict(
        series.series_instance_uid, 2, "Thorax", "CT", len(sources), None if masks is not None else Reason.NO_LUNGS
    )
    job = Job(
        1,
        "EMERALD",
        series.study_instance_uid,
        about.revision,
        "READY",
        SETTLED_AT,
        settled_at=SETTLED_AT,
        evidence={"words": "no image for 15 s; all images in 2 series", "series": {}},
    )
    analysis = None if masks is None else _asked(analysis_of(series.volume, masks), about.algorithm, n_asked_for)
    if analysis is not None and names_core:
        analysis = with_cores(analysis, series.volume)
    if analysis is not None:
        analysis = replace(analysis, findings=tuple(replace(each, likeness=likeness) for each in analysis.findings))
    made = Case(series, sources, analysis, about, [LOCALIZER, used], job)
    known = RecordUsed(report.record_from_header(made.template))
    made.results.extend(report.results(job, made.template, made.analysed, made.verdicts, known, about))
    return made


def _asked(analysis: Analysis, algorithm: Algorithm, n: int | None) -> Analysis:
    found = analysis.findings
    asked_for, others = (found, ()) if n is None else (found[:n], found[n:])
    return replace(analysis, algorithm=algorithm, findings=asked_for, others=others)


@lru_cache(maxsize=2)
def chest_series(name: str) -> tuple[CtSeries, list[Path]]:
    """One of the shared chest series through the node's own reading."""
    files = sorted((data_dir() / "ct-chest" / name / "dicom").iterdir())
    return to_volume(_refs(files)), files


@lru_cache(maxsize=1)
def multi_frame_series() -> tuple[CtSeries, list[Path]]:
    """LIDC-IDRI-0001 around its nodule as one Legacy Converted Enhanced CT instance."""
    file = data_dir() / "ct-odd" / "enhanced-multiframe" / LEGACY_ENHANCED
    return to_volume(_refs([file])), [file]


def lidc_nodule(series: CtSeries) -> BoolArray:
    """Return the reference nodule of LIDC-IDRI-0001 on the grid of a series of it, found by slice position."""
    mask = reference_mask("lidc-idri-0001")
    first_mm, step_mm = -340.0, 2.5
    ks = np.rint((series.volume.affine[2, 3] - first_mm) / step_mm + np.arange(len(series.slices))).astype(int)
    return np.asarray(mask[ks])


def second_nodule(series: CtSeries) -> BoolArray:
    """Return a ball of 9 mm in the middle slice: any place will do."""
    k, r, c = series.volume.hu.shape
    return ball(series.volume, (k // 2, r // 2, c * 3 // 4), 9.0)


def _refs(files: list[Path]) -> list[InstanceRef]:
    return [instance_ref(file) for file in files]


def save(made: Case, folder: Path) -> list[tuple[str, Path]]:
    """Write the results of a case as files; kind and path of each."""
    saved = []
    for i, result in enumerate(made.results):
        path = folder / f"{result.kind}-{i}.dcm"
        result.dataset.save_as(path, enforce_file_format=True)
        saved.append((result.kind, path))
    return saved
