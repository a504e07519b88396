"""Settings: frozen models, one TOML file, ``EMERALD_*`` overrides, validated at start.

An override names a setting with ``__`` between the levels and the number for an entry of a list:
``EMERALD_DICOM__PORT=11113``, ``EMERALD_DESTINATIONS__0__HOST=pacs``; lists are JSON. A wrong setting raises
``SettingsError`` that names the field.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from dicom_node.domain import RemoteAE
from dicom_node.errors import SettingsError

# PS3.5 section 6.2, VR AE: 16 characters of the default repertoire, no backslash; spaces at the ends do not count.
_AE_TITLE = r"^[!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?$"
AeTitle = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=_AE_TITLE)]
Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_.-]+$")]

Uri = Annotated[str, StringConstraints(pattern=r"^([^\s:]+:\S+)?$")]
Token = Annotated[str, StringConstraints(pattern=r"^[^\s:|]+:[^\s|]+\|[^\s|]+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{64})?$")]

CT_STORAGE = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DicomSettings(_Frozen):
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


class SettleSettings(_Frozen):
    """When a study is held to be complete."""

    quiet_s: float = Field(default=15, gt=0, description="silence after the last image, evidence being good")
    incomplete_hold_s: float = Field(default=300, gt=0, description="wait where evidence says images are missing")


class RetentionSettings(_Frozen):
    """How long received images and results are kept after their job is done, and HL7 v2 messages after they came."""

    keep_received_days: float = Field(default=7, ge=0)
    keep_results_days: float = Field(default=30, ge=0)
    keep_messages_days: float = Field(default=30, ge=0, description="dead letters, and by what a repetition is known")


class WorkerSettings(_Frozen):
    """Who runs the analyses."""

    launcher: Literal["embedded", "celery"] = "embedded"
    processes: int = Field(default=1, ge=1, le=64)
    niceness: int = Field(default=10, ge=0, le=19)
    lease_s: float = Field(default=30, gt=1, description="a worker silent for so long is held to be dead")
    attempts: int = Field(default=3, ge=1, description="analyses tried before a job is reported as failed")
    probe_s: float = Field(default=60, gt=0, description="how often a parked destination is asked by C-ECHO")
    broker_url: str = "redis://127.0.0.1:6379/0"


class LedgerSettings(_Frozen):
    """Where the ledger lives; empty: SQLite in ``data_dir``."""

    url: str = ""


class EngineSettings(_Frozen):
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


class Destination(_Frozen):
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


class CallingPeer(_Frozen):
    """A peer that may send to us; an empty address means any address."""

    ae_title: AeTitle
    address: str = ""


class Pipeline(_Frozen):
    """One called AE title, what it runs and where its results go: names of PACS and of EMR destinations."""

    called_ae_title: AeTitle
    destinations: tuple[Name, ...] = ()
    allow_calling: tuple[CallingPeer, ...] = Field(default=(), description="empty: every calling AE title")
    report_not_analysed: Literal["study", "never"] = "study"
    prefer_kernels: tuple[str, ...] = Field(default=(), description="kernels to prefer, best first")
    engine: EngineSettings = EngineSettings()


class MllpSettings(_Frozen):
    """The HL7 v2 listener."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Port = 2575
    max_message_mb: int = Field(default=16, ge=1, le=1024)
    max_connections: int = Field(default=50, ge=1, le=1000)
    idle_timeout_s: float = Field(default=300, gt=0, description="silence before a connection is closed")
    message_timeout_s: float = Field(default=60, gt=0, description="from a message's first byte to its last")
    certificate: Path | None = Field(default=None, description="PEM; with it the listener speaks TLS only")
    key: Path | None = None
    client_authority: Path | None = Field(default=None, description="PEM; with it clients need a certificate")
    accession_fields: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{2}-[1-9]\d?$")], ...] = (
        "IPC-1",
        "OBR-18",
        "OBR-3",
        "ORC-3",
    )
    processing_ids: tuple[Literal["P", "T", "D"], ...] = Field(default=(), description="MSH-11 taken; empty: all")
    transient_answer: Literal["AE", "AR"] = Field(default="AE", description="when our own ledger fails")


class SmartSettings(_Frozen):
    """How the node is registered with a FHIR server (SMART Backend Services)."""

    client_id: str = Field(default="", description="empty: no SMART")
    private_key: Path | None = Field(default=None, description="PEM; its public key is registered with the server")
    key_id: str = ""
    algorithm: Literal["RS384", "ES384"] = "RS384"
    token_url: str = Field(default="", description="empty: as the server's smart-configuration says")
    scopes: str = Field(default="", description="empty: to read what is read")


class FhirSettings(_Frozen):
    """A FHIR R4 server."""

    base_url: str = Field(default="", description="empty: none")
    is_test: bool = Field(default=False, description="whether results with a synthetic record may go there")
    authorization: str = Field(default="", repr=False, description="a fixed Authorization header")
    smart: SmartSettings = SmartSettings()
    post_searches: bool = False
    allow_plain_http: bool = False
    server_authority: Path | None = Field(default=None, description="PEM; None: the system's authorities")
    certificate: Path | None = Field(default=None, description="PEM; ours, for mutual TLS")
    key: Path | None = None
    budget_s: float = Field(default=20, gt=0, description="for one lookup, all its requests together")
    max_answer_mb: int = Field(default=32, ge=1, le=1024)


class RecordServer(FhirSettings):
    """The FHIR R4 server that records are read from."""

    observation_categories: tuple[str, ...] = Field(
        default=("social-history",), description="read, beside what codes find"
    )


class SiteCode(_Frozen):
    """A code of the site's own, and the standard code that it means, as ``"LN 72166-2"``."""

    systems: tuple[str, ...] = Field(min_length=1, description="how messages and the FHIR server name its system")
    code: str = Field(min_length=1)
    means: Annotated[str, StringConstraints(pattern=r"^\S.*[ |]\S+$")]


class AssigningAuthority(_Frozen):
    """Who issues Patient IDs: by the name in the images or in PID-3.4, and by the URI that a FHIR server uses."""

    name: str
    uri: str


class Hl7Destination(_Frozen):
    """An EMR that results are sent to as ORU^R01 by MLLP."""

    kind: Literal["hl7v2"]
    name: Name
    host: str
    port: Port
    is_test: bool = Field(default=False, description="whether results with a synthetic record may go there")
    sending_application: str = Field(default="EMERALD", description="MSH-3")
    sending_facility: str = Field(default="", description="MSH-4")
    receiving_application: str = Field(default="", description="MSH-5")
    receiving_facility: str = Field(default="", description="MSH-6")
    connect_timeout_s: float = Field(default=10, gt=0)
    answer_timeout_s: float = Field(default=30, gt=0)
    tls: bool = False
    server_authority: Path | None = Field(default=None, description="PEM; None: the system's authorities")
    certificate: Path | None = Field(default=None, description="PEM; ours, for mutual TLS")
    key: Path | None = None


class FhirDestination(FhirSettings):
    """An EMR that results are sent to as a FHIR transaction."""

    kind: Literal["fhir"]
    name: Name
    base_url: str = Field(min_length=1)
    accession_system: Uri = Field(default="", description="of accession numbers; empty: not said")
    order_system: Uri = Field(default="", description="of the placer's order numbers; empty: not said")
    report_category: Token = "http://terminology.hl7.org/CodeSystem/v2-0074|RAD"


EmrDestination = Annotated[Hl7Destination | FhirDestination, Field(discriminator="kind")]


class EmrSettings(_Frozen):
    """The patient's record: where it comes from, and where results go."""

    ask_messages: Literal["auto", "always", "never"] = Field(
        default="auto", description="whether what HL7 v2 messages have said is used; auto: where mllp is enabled"
    )
    revise_for_late_records: bool = Field(
        default=False, description="whether a record that comes after the results opens the next revision"
    )
    late_record_hours: float = Field(default=24, gt=0, description="how long it may come after the first images")
    late_record_every_s: float = Field(default=600, gt=0, description="how often it is looked for")
    destinations: tuple[EmrDestination, ...] = ()
    authorities: tuple[AssigningAuthority, ...] = ()
    default_issuer: str = Field(default="", description="whose a Patient ID is where the images do not say")
    codes: tuple[SiteCode, ...] = ()
    mllp: MllpSettings = MllpSettings()
    fhir: RecordServer = RecordServer()

    @property
    def asks_messages(self) -> bool:
        """Whether what HL7 v2 messages have said is used."""
        return self.ask_messages == "always" or (self.ask_messages == "auto" and self.mllp.enabled)

    @property
    def asks_somebody(self) -> bool:
        """Whether any source of records is configured."""
        return self.asks_messages or bool(self.fhir.base_url)


class Settings(_Frozen):
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


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings from a TOML file (None: defaults) and ``EMERALD_*`` overrides.

    Raises
    ------
    SettingsError
        The file cannot be read, or a field is unknown or wrong; the error names the field.
    """
    values = _read(path) if path else {}
    for key, value in environ.items():
        if key.startswith("EMERALD_") and not key.startswith("EMERALD_TEST_"):
            _override(values, key.removeprefix("EMERALD_").lower().split("__"), value)
    return parse(values)


def parse(values: Mapping[str, Any]) -> Settings:
    """Validate plain values; raises ``SettingsError`` naming the first wrong field."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "settings"
        raise SettingsError(field, first["msg"].removeprefix("Value error, ")) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"is not TOML: {error}") from error


def _override(values: dict[str, Any], names: list[str], text: str) -> None:
    """Set one value; a number among the names counts entries of a list, from 0."""
    where: Any = values
    for name, following in zip(names, [*names[1:], ""], strict=True):
        new: Any = _value(text) if not following else [] if following.isdigit() else {}
        key = _key(where, name, new, names)
        if not following or not isinstance(where[key], dict | list):
            where[key] = new
        where = where[key]


def _key(where: Any, name: str, new: Any, names: list[str]) -> str | int:
    """Return how ``name`` is addressed in a table or list, where it is made if it is not there yet."""
    if isinstance(where, dict):
        where.setdefault(name, new)
        return name
    if not name.isdigit() or int(name) > len(where):
        raise SettingsError(".".join(names), f"there are {len(where)} entries, counted from 0; {name} is not one")
    if int(name) == len(where):
        where.append(new)
    return int(name)


def _value(text: str) -> Any:
    """Read lists and tables as JSON; anything else is text, which the model turns into what the setting is."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
