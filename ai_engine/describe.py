"""In words: type, and place in the lungs. What this tier cannot tell stays None."""

import numpy as np

from ai_engine.domain import Descriptors, Laterality, Location, Measurements, NoduleType, Segment, Zone
from ai_engine.lungs import LEFT, RIGHT, Lungs
from ai_engine.scene import Scene

# between soft tissue and lung: more than half of the voxel volume is air below this
SOLID_ABOVE_HU = -450.0


def describe(scene: Scene, segment: Segment, measurements: Measurements) -> Descriptors:
    """Describe one segment of the turned volume."""
    nodule_type = NoduleType.SOLID if measurements.mean_hu > SOLID_ABOVE_HU else NoduleType.GROUND_GLASS
    return Descriptors(nodule_type=nodule_type)


def locate(lungs: Lungs, segment: Segment) -> Location:
    """Side and zone of one segment of the turned volume; the lobe is not known to this tier."""
    centre = np.argwhere(segment.mask).mean(axis=0) + segment.origin_krc
    at = lungs.grid.from_volume(centre)
    side = _side(lungs, at)
    occupied = np.nonzero((lungs.sides == side).any(axis=(1, 2)))[0]
    height = (at[0] - occupied[0]) / max(occupied[-1] - occupied[0], 1)
    zone = Zone.LOWER if height < 1 / 3 else Zone.MIDDLE if height < 2 / 3 else Zone.UPPER
    return Location(Laterality.RIGHT if side == RIGHT else Laterality.LEFT, zone)


def _side(lungs: Lungs, at: np.ndarray) -> int:
    k, r, c = (int(np.clip(round(value), 0, n - 1)) for value, n in zip(at, lungs.sides.shape, strict=True))
    if lungs.sides[k, r, c]:
        return int(lungs.sides[k, r, c])
    centres = {side: np.argwhere(lungs.sides == side) for side in (RIGHT, LEFT)}
    return min((s for s in centres if len(centres[s])), key=lambda s: float(((centres[s] - at) ** 2).sum(axis=1).min()))
