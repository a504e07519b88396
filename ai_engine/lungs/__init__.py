"""The lungs: where a finding can be, and on which side.

``finder`` tells the story: ``body`` (air that the body encloses), ``airways`` (taken away), ``sides`` (right and left
parted), ``hull`` (closed over vessels, nodules and masses on the pleura).
"""

from ai_engine.lungs.finder import Lungs, ThresholdLungs
from ai_engine.lungs.sides import LEFT, RIGHT

__all__ = ["LEFT", "RIGHT", "Lungs", "ThresholdLungs"]
