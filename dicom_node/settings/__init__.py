"""Settings: frozen models, one TOML file, ``EMERALD_*`` overrides, validated at start.

``reading`` (where they come from), ``whole`` (all of them), ``sections`` (the node's), ``emr`` (the record's). A wrong
setting raises ``SettingsError`` that names the field.
"""

from dicom_node.settings.emr import (
    EmrDestination,
    EmrSettings,
    FhirDestination,
    FhirSettings,
    Hl7Destination,
    RecordServer,
    SiteCode,
)
from dicom_node.settings.reading import load, parse
from dicom_node.settings.sections import (
    CT_STORAGE,
    CallingPeer,
    Destination,
    EngineSettings,
    Pipeline,
    RetentionSettings,
    SettleSettings,
)
from dicom_node.settings.whole import Settings

__all__ = [
    "CT_STORAGE",
    "CallingPeer",
    "Destination",
    "EmrDestination",
    "EmrSettings",
    "EngineSettings",
    "FhirDestination",
    "FhirSettings",
    "Hl7Destination",
    "Pipeline",
    "RecordServer",
    "RetentionSettings",
    "Settings",
    "SettleSettings",
    "SiteCode",
    "load",
    "parse",
]
