"""Real nodule outlines placed into real lungs: what the networks are trained on and first tested with."""

from ai_engine.composites.domain import Composite, NoduleShape, Renderer

__all__ = ["Composite", "NoduleShape", "Renderer"]
