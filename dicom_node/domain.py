"""The node's nouns. Plain values, no behaviour beyond reading them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True)
class RemoteAE:
    """A peer: application entity title and address."""

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


class Outcome(StrEnum):
    """What an analysis came to."""

    FINDINGS = "FINDINGS"
    NO_FINDING = "NO_FINDING"
    NOT_ANALYSED = "NOT_ANALYSED"


class Reason(StrEnum):
    """Why a series was not analysed. The value is the code, ``sentence`` is for the radiologist."""

    NOT_CT = "not-ct"
    LOCALIZER = "localizer"
    DERIVED = "derived"
    NO_PIXELS = "no-pixels"
    UNDECODABLE = "undecodable"
    NO_GEOMETRY = "no-geometry"
    NOT_AXIAL = "not-axial"
    TILT = "tilt"
    MIXED_GEOMETRY = "mixed-geometry"
    NOT_HOUNSFIELD = "not-hounsfield"
    TOO_FEW_SLICES = "too-few-slices"
    TOO_SHORT = "too-short"
    GAP = "gap"
    UNEVEN_SPACING = "uneven-spacing"
    SPACING_TOO_WIDE = "spacing-too-wide"
    INCOMPLETE = "incomplete"
    NO_LUNGS = "no-lungs"
    NOT_PREFERRED = "not-preferred"
    FAILED = "failed"

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NOT_CT: "not a CT image series",
    Reason.LOCALIZER: "localizer (scout) images",
    Reason.DERIVED: "reformatted or projected images (MPR, MIP and the like)",
    Reason.NO_PIXELS: "no pixel data",
    Reason.UNDECODABLE: "the pixel data cannot be decoded",
    Reason.NO_GEOMETRY: "image position or orientation is missing",
    Reason.NOT_AXIAL: "not an axial series",
    Reason.TILT: "the gantry was tilted",
    Reason.MIXED_GEOMETRY: "the images do not form one stack (size, orientation or pixel spacing differ)",
    Reason.NOT_HOUNSFIELD: "the pixel values are not Hounsfield units",
    Reason.TOO_FEW_SLICES: "too few slices",
    Reason.TOO_SHORT: "too short along the body axis",
    Reason.GAP: "slices are missing",
    Reason.UNEVEN_SPACING: "the slice spacing is uneven",
    Reason.SPACING_TOO_WIDE: "the slice spacing is too wide",
    Reason.INCOMPLETE: "the series is incomplete",
    Reason.NO_LUNGS: "no lungs in the images",
    Reason.NOT_PREFERRED: "another series of the same acquisition was analysed",
    Reason.FAILED: "the analysis failed",
}


@dataclass(frozen=True)
class InstanceRef:
    """One received SOP instance: a durable Part 10 file and what its header says.

    Attributes
    ----------
    path : Path
        The file in the spool.
    digest : str
        Hex SHA-256 of the data set's bytes as received, without file meta.
    header : dict
        Header values that settling and series choice need without opening the file, by DICOM keyword; see
        ``objects/headers.py`` for the list. JSON types only.
    """

    path: Path
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    n_bytes: int
    header: dict[str, object] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class ResultRef:
    """One result object of a job, built once and stored."""

    path: Path
    kind: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True)
class SeriesVerdict:
    """What became of one series of the study; ``reason`` is None for a series that was analysed."""

    series_instance_uid: str
    series_number: int | None
    description: str
    modality: str
    n_instances: int
    reason: Reason | None = None
    detail: str = ""

    @property
    def words(self) -> str:
        """The verdict in words, for the report."""
        if self.reason is None:
            return f"analysed ({self.detail})" if self.detail else "analysed"
        return f"{self.reason.sentence}: {self.detail}" if self.detail else self.reason.sentence


@dataclass(frozen=True)
class Job:
    """One revision of one study under one pipeline (called AE title), as the ledger holds it.

    Attributes
    ----------
    id : int
        Row of the ledger; what logs and the command line speak of.
    state : str
        A ``JobState`` of ``jobs/states.py``.
    settled_at : datetime or None
        When the instance set was closed; the dates in the result objects come from here, so that a repeated step
        writes the same bytes.
    evidence : dict
        Why the study was held to be complete, kept for the report: JSON types only.
    """

    id: int
    called_ae_title: str
    study_instance_uid: str
    revision: int
    state: str
    created_at: datetime
    settled_at: datetime | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    detail: str = ""
    predecessor_id: int | None = None
    evidence: dict[str, object] = field(default_factory=dict, compare=False)
