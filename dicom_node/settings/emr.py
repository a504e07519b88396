"""Settings of the patient's record: HL7 v2 by MLLP, FHIR servers, the EMRs that results are sent to."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dicom_node.settings.base import Frozen, Name, Port

Uri = Annotated[str, StringConstraints(pattern=r"^([^\s:]+:\S+)?$")]
Token = Annotated[str, StringConstraints(pattern=r"^[^\s:|]+:[^\s|]+\|[^\s|]+$")]


class MllpSettings(Frozen):
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


class SmartSettings(Frozen):
    """How the node is registered with a FHIR server (SMART Backend Services)."""

    client_id: str = Field(default="", description="empty: no SMART")
    private_key: Path | None = Field(default=None, description="PEM; its public key is registered with the server")
    key_id: str = ""
    algorithm: Literal["RS384", "ES384"] = "RS384"
    token_url: str = Field(default="", description="empty: as the server's smart-configuration says")
    scopes: str = Field(default="", description="empty: to read what is read")


class FhirSettings(Frozen):
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


class SiteCode(Frozen):
    """A code of the site's own, and the standard code that it means, as ``"LN 72166-2"``."""

    systems: tuple[str, ...] = Field(min_length=1, description="how messages and the FHIR server name its system")
    code: str = Field(min_length=1)
    means: Annotated[str, StringConstraints(pattern=r"^\S.*[ |]\S+$")]


class AssigningAuthority(Frozen):
    """Who issues Patient IDs: by the name in the images or in PID-3.4, and by the URI that a FHIR server uses."""

    name: str
    uri: str


class Hl7Destination(Frozen):
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


class EmrSettings(Frozen):
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
