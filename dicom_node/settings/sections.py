"""Settings of the node: what it listens to, when a study is complete, who analyses it and how, where results go."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dicom_node.domain import RemoteAE
from dicom_node.settings.base import AeTitle, Frozen, Name, Port

Sha256 = Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{64})?$")]

CT_STORAGE = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
)


class DicomSettings(Frozen):
    """The listening side."""

    host: str = "0.0.0.0"
    port: Port = 11112
    max_associations: int = Field(default=50, ge=1, le=1000)
    association_request_timeout_s: float = Field(default=30, gt=0, description="time for a complete A-ASSOCIATE-RQ")
    idle_timeout_s: float = Field(default=60, gt=0, description="silence on an association before it is aborted")
    pdu_timeout_s: float = Field(default=120, gt=0, description="total time for one PDU, however slowly it drips")
    max_object_mb: int = Field(default=4096, ge=1, description="largest object accepted")
    min_free_mb: int = Field(default=2048, ge=0, description="free disk space below which storing answers 0xA700")
    accepted_sop_classes: tuple[str, ...] = CT_STORAGE


class SettleSettings(Frozen):
    """When a study is held to be complete."""

    quiet_s: float = Field(default=15, gt=0, description="silence after the last image, evidence being good")
    incomplete_hold_s: float = Field(default=300, gt=0, description="wait where evidence says images are missing")


class RetentionSettings(Frozen):
    """How long received images and results are kept after their job is done, and HL7 v2 messages after they came."""

    keep_received_days: float = Field(default=7, ge=0)
    keep_results_days: float = Field(default=30, ge=0)
    keep_messages_days: float = Field(default=30, ge=0, description="dead letters, and by what a repetition is known")


class WorkerSettings(Frozen):
    """Who runs the analyses."""

    launcher: Literal["embedded", "celery"] = "embedded"
    processes: int = Field(default=1, ge=1, le=64)
    niceness: int = Field(default=10, ge=0, le=19)
    lease_s: float = Field(default=30, gt=1, description="a worker silent for so long is held to be dead")
    attempts: int = Field(default=3, ge=1, description="analyses tried before a job is reported as failed")
    probe_s: float = Field(default=60, gt=0, description="how often a parked destination is asked by C-ECHO")
    broker_url: str = "redis://127.0.0.1:6379/0"


class LedgerSettings(Frozen):
    """Where the ledger lives; empty: SQLite in ``data_dir``."""

    url: str = ""


class EngineSettings(Frozen):
    """What the engine runs."""

    tier: Literal["weight-free", "bundled", "official"] = "bundled"
    model: str = Field(default="sam2.1_hiera_tiny", description="of the tier official: see `emerald models list`")
    weights: Path | None = Field(default=None, description="the site's own file of weights, instead of the model's")
    sha256: Sha256 = Field(default="", description="of that file; empty: the model's own")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    allow_fallback: bool = Field(default=False, description="without its weights the tier becomes weight-free")
    detector: Literal["auto", "encoder", "classical"] = Field(
        default="auto", description="auto: the encoder where this version comes with one; never in the tier weight-free"
    )
    encoder_weights: Path | None = Field(default=None, description="the site's own file, instead of the package's")
    encoder_sha256: Sha256 = Field(default="", description="of that file; empty: that of the package's")
    published_encoder: Path | None = Field(
        default=None, description="folder of a published CLIP whose scores are shown beside ours; it decides nothing"
    )
    prompt: str = Field(default="lung nodule", min_length=1, description="what is reported; everything is searched")
    detection_threshold: float | None = Field(default=None, description="None: the detector's own threshold")


class Destination(Frozen):
    """A PACS that results are sent to."""

    name: Name
    ae_title: AeTitle
    host: str
    port: Port
    objects: tuple[Literal["seg", "sr", "key_images"], ...] = ("seg", "sr")
    timeout_s: float = Field(default=30, gt=0)
    is_test: bool = Field(default=False, description="whether results with a synthetic record may go there")

    @property
    def remote(self) -> RemoteAE:
        """The address as a peer."""
        return RemoteAE(self.ae_title, self.host, self.port)


class CallingPeer(Frozen):
    """A peer that may send to us; an empty address means any address."""

    ae_title: AeTitle
    address: str = ""


class Pipeline(Frozen):
    """One called AE title, what it runs and where its results go: names of PACS and of EMR destinations."""

    called_ae_title: AeTitle
    destinations: tuple[Name, ...] = ()
    allow_calling: tuple[CallingPeer, ...] = Field(default=(), description="empty: every calling AE title")
    report_not_analysed: Literal["study", "never"] = "study"
    prefer_kernels: tuple[str, ...] = Field(default=(), description="kernels to prefer, best first")
    engine: EngineSettings = EngineSettings()
