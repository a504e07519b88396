"""Suspicious places, for two kinds of readers.

``ClassicalDetector`` decides by itself: ``blobs`` proposes, ``solid`` judges what grows there; ``ground_glass`` is a
search of its own. ``Proposer`` refuses nothing and leaves the judging to a scorer: ``peaks``, ``proposals``.
"""

from ai_engine.candidates.detector import ClassicalDetector
from ai_engine.candidates.proposals import Proposer, own_scores

__all__ = ["ClassicalDetector", "Proposer", "own_scores"]
