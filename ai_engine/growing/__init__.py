"""Growing a nodule from a seed, and telling it from a piece of vessel.

``cube`` holds the surroundings, ``region`` grows and detaches, ``shape`` measures what came out, ``judge`` accepts it.
"""

from ai_engine.growing.cube import Cube, Preparation, cube_of_level, cube_of_volume, half_side_mm
from ai_engine.growing.judge import Judge, Judged
from ai_engine.growing.region import Region, detached, grow
from ai_engine.growing.shape import Shape, shape_of

__all__ = [
    "Cube",
    "Judge",
    "Judged",
    "Preparation",
    "Region",
    "Shape",
    "cube_of_level",
    "cube_of_volume",
    "detached",
    "grow",
    "half_side_mm",
    "shape_of",
]
