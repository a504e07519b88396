"""A piece of a lung that is being painted."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ai_engine.composites.background import Background
from ai_engine.composites.bed import Bed, bed_of
from ai_engine.composites.body import Body, body_of
from ai_engine.composites.domain import NoduleShape, Renderer
from ai_engine.composites.paint import Law
from ai_engine.composites.placing import Taken, place_beside
from ai_engine.composites.renderer_a import RendererA
from ai_engine.composites.renderer_b import RendererB
from ai_engine.domain import BoolArray, CtVolume, FloatArray, HuArray, NoduleType, Segment, UInt8Array
from ai_engine.errors import NoRoom
from ai_engine.grid import Float32Array
from ai_engine.measure import axes

# What CT stores, and whole numbers.
LOWEST_HU, HIGHEST_HU = -1024, 3071


@dataclass(frozen=True, eq=False)
class Canvas:
    """A crop of a background; ``hu``, ``labels`` and ``taken`` change while it is painted.

    Attributes
    ----------
    origin_krc : (3,) int
        Index in the volume of the crop's first voxel.
    hu : (k, r, c) float32
    labels : (k, r, c) uint8
    taken : list of Taken
        Where something was planted.
    """

    background: Background
    renderer: Renderer
    rng: np.random.Generator
    origin_krc: NDArray[np.int_]
    hu: Float32Array
    labels: UInt8Array
    taken: list[Taken] = field(default_factory=list)

    @property
    def law(self) -> Law:
        """The renderer's."""
        return RendererA() if self.renderer is Renderer.A else RendererB()

    def bed(self, body: Body, centre_mm: FloatArray) -> Bed:
        """Cut out the box around a body."""
        return bed_of(self.background, body, centre_mm, self.hu, self.origin_krc)

    def put(self, bed: Bed, hu: Float32Array) -> UInt8Array:
        """Put a painted bed back; return the labels of its box, a view."""
        box = tuple(slice(a.start - int(o), a.stop - int(o)) for a, o in zip(bed.box, self.origin_krc, strict=True))
        self.hu[box] = hu
        return self.labels[box]

    def plant(self, shape: NoduleShape, body: Body, centre_mm: FloatArray, number: int) -> NoduleType:
        """Paint one nodule and label it; earlier labels stay."""
        bed = self.bed(body, centre_mm)
        painted = self.law.paint(shape, bed, self.rng)
        labels = self.put(bed, painted.hu)
        labels[bed.label & (labels == 0)] = number
        self.taken.append(Taken(centre_mm, body.half_krc_mm))
        return painted.nodule_type

    def plant_beside(self, shape: NoduleShape, neighbour: Taken, number: int) -> bool:
        """Plant a nodule near another one; False where it finds no room."""
        body = body_of(shape, self.rng)
        try:
            centre = place_beside(self.background, body, neighbour, self.rng, (neighbour, *self.taken))
        except NoRoom:
            return False
        self.plant(shape, body, centre, number)
        return True

    def whole_hu(self) -> HuArray:
        """(k, r, c) int16: as a scanner stores it."""
        return np.clip(np.rint(self.hu), LOWEST_HU, HIGHEST_HU).astype(np.int16)


def canvas_of(
    background: Background,
    renderer: Renderer,
    rng: np.random.Generator,
    low_krc: NDArray[np.int_] | None = None,
    high_krc: NDArray[np.int_] | None = None,
) -> Canvas:
    """Copy a crop of a background, from ``low_krc`` to before ``high_krc``, cut at the volume's ends; or all of it."""
    shape = np.array(background.volume.hu.shape)
    low = np.zeros(3, dtype=int) if low_krc is None else np.clip(low_krc, 0, shape - 1)
    high = shape if high_krc is None else np.clip(high_krc, low + 1, shape)
    crop = background.volume.hu[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
    return Canvas(background, renderer, rng, low, crop.astype(np.float32), np.zeros(crop.shape, dtype=np.uint8))


def diameter_mm(label: BoolArray, volume: CtVolume) -> float:
    """Longest line across a mask on the axial slice of its largest area, in mm."""
    return axes(volume, Segment(label, (0, 0, 0)))[1].length_mm
