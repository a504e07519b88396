"""The engine's nouns: candidate -> segment -> finding -> analysis.

Arrays are ``(k, r, c)``; space is the patient's, LPS, in millimetres; one affine joins the two (``geometry.py``).
"""

from ai_engine.domain.analysis import Algorithm, Analysis, ScoredBy
from ai_engine.domain.candidate import BoxPrompt, Candidate, Channel, PointPrompt, Prompt
from ai_engine.domain.descriptors import SOLID_ABOVE_HU, Descriptors, Laterality, Lobe, Location, NoduleType, Zone
from ai_engine.domain.finding import Category, Finding, RiskScore
from ai_engine.domain.measurements import Axis, Measurements
from ai_engine.domain.patient import ClinicalContext, Sex
from ai_engine.domain.segment import NamedPart, Segment
from ai_engine.domain.volume import BoolArray, CtVolume, FloatArray, HuArray, UInt8Array

__all__ = [
    "SOLID_ABOVE_HU",
    "Algorithm",
    "Analysis",
    "Axis",
    "BoolArray",
    "BoxPrompt",
    "Candidate",
    "Category",
    "Channel",
    "ClinicalContext",
    "CtVolume",
    "Descriptors",
    "Finding",
    "FloatArray",
    "HuArray",
    "Laterality",
    "Lobe",
    "Location",
    "Measurements",
    "NamedPart",
    "NoduleType",
    "PointPrompt",
    "Prompt",
    "RiskScore",
    "ScoredBy",
    "Segment",
    "Sex",
    "UInt8Array",
    "Zone",
]
