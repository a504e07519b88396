"""All settings of a node, and whether they agree."""

from pathlib import Path

from pydantic import Field, model_validator

from dicom_node.settings.base import Frozen
from dicom_node.settings.emr import EmrSettings, FhirDestination, Hl7Destination
from dicom_node.settings.sections import (
    Destination,
    DicomSettings,
    LedgerSettings,
    Pipeline,
    RetentionSettings,
    SettleSettings,
    WorkerSettings,
)


class Settings(Frozen):
    """All settings of a node."""

    data_dir: Path = Path("emerald-data")
    models_dir: Path | None = Field(default=None, description="where `emerald models pull` puts weights")
    dicom: DicomSettings = DicomSettings()
    settle: SettleSettings = SettleSettings()
    retention: RetentionSettings = RetentionSettings()
    worker: WorkerSettings = WorkerSettings()
    ledger: LedgerSettings = LedgerSettings()
    emr: EmrSettings = EmrSettings()
    destinations: tuple[Destination, ...] = ()
    pipelines: tuple[Pipeline, ...] = (Pipeline(called_ae_title="EMERALD"),)

    @model_validator(mode="after")
    def _names_agree(self) -> "Settings":
        known = set(self.targets)
        if len(known) != len(self.targets):
            raise ValueError("destinations: two of them have the same name")
        if len({pipeline.called_ae_title for pipeline in self.pipelines}) != len(self.pipelines):
            raise ValueError("pipelines: two of them have the same called_ae_title")
        for pipeline in self.pipelines:
            if unknown := set(pipeline.destinations) - known:
                raise ValueError(f"pipelines: {pipeline.called_ae_title} sends to {sorted(unknown)}, not a destination")
        return self

    def pipeline(self, called_ae_title: str) -> Pipeline | None:
        """Return the pipeline of a called AE title, or None."""
        wanted = called_ae_title.strip()
        return next((p for p in self.pipelines if p.called_ae_title == wanted), None)

    def destination(self, name: str) -> Destination | None:
        """Return the destination of this name, or None."""
        return next((d for d in self.destinations if d.name == name), None)

    def emr_destination(self, name: str) -> Hl7Destination | FhirDestination | None:
        """Return the EMR of this name, or None."""
        return next((d for d in self.emr.destinations if d.name == name), None)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of all destinations: PACS first, then EMR."""
        return tuple(destination.name for destination in (*self.destinations, *self.emr.destinations))

    def takes_synthetic(self, called_ae_title: str) -> bool:
        """Whether all destinations of a pipeline are marked as tests."""
        pipeline = self.pipeline(called_ae_title)
        names = pipeline.destinations if pipeline else ()
        return all(each.is_test for each in (*self.destinations, *self.emr.destinations) if each.name in names)

    @property
    def models(self) -> Path:
        """Folder of the published weights; by default ``models`` in ``data_dir``."""
        return self.models_dir or self.data_dir / "models"

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.ledger.url or f"sqlite:///{self.data_dir.absolute() / 'ledger.sqlite'}"
