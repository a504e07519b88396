"""Suspicious places. ``blobs`` proposes, ``solid`` judges what grows there; ``ground_glass`` is a search of its own."""

from ai_engine.candidates.detector import ClassicalDetector

__all__ = ["ClassicalDetector"]
