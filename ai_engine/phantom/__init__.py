"""A synthetic thorax with nodules whose place, size and shape are known.

The ground truth of demo and tests: plausible to look at, repeatable from a seed, and free of any patient. It is not a
substitute for real lungs: a detector that is good here has shown little.
"""

from ai_engine.phantom.nodules import Outline, Planted, PlantedNodule, Sphere
from ai_engine.phantom.placing import LungPosition
from ai_engine.phantom.thorax import Build, Phantom, thorax

__all__ = ["Build", "LungPosition", "Outline", "Phantom", "Planted", "PlantedNodule", "Sphere", "thorax"]
