"""Real nodule outlines placed into real lungs: what the networks are trained on and first tested with.

``compose`` tells the story: ``background`` (a real lung), ``body`` (a reader's outline), ``placing`` (where), ``bed``
(the lung around it), ``renderer_a`` and ``renderer_b`` (two laws of how it looks), ``visible`` (what of it is seen),
``shards`` (the cache).
"""

from ai_engine.composites.background import Background
from ai_engine.composites.compose import PlantedNodule, PlantedScan, compose, compose_scan, sham
from ai_engine.composites.domain import Composite, NoduleShape, Renderer
from ai_engine.composites.shards import Shards
from ai_engine.composites.visible import shows_calcium, type_shown, visible_type

__all__ = [
    "Background",
    "Composite",
    "NoduleShape",
    "PlantedNodule",
    "PlantedScan",
    "Renderer",
    "Shards",
    "compose",
    "compose_scan",
    "sham",
    "shows_calcium",
    "type_shown",
    "visible_type",
]
