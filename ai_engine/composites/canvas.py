"""A piece of a lung that is being painted."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.composites.background import Background
from ai_engine.composites.bed import Bed, bed_of
from ai_engine.composites.body import Body, body_of
from ai_engine.composites.domain import NoduleShape, Renderer
from ai_engine.composites.paint import Law, Painted
from ai_engine.composites.placing import Taken, place_beside
from ai_engine.composites.renderer_a import RendererA
from ai_engine.composites.renderer_b import RendererB
from ai_engine.domain import BoolArray, CtVolume, FloatArray, HuArray, NoduleType, Segment, UInt8Array
from ai_engine.errors import NoRoom
from ai_engine.grid import Float32Array
from ai_engine.measure import axes

# A nodule of fewer voxels, or of which less lies in the lung, is not what its reader outlined.
FEWEST_VOXELS, LEAST_SHARE = 8, 0.5
# What readers see: this much denser than what was there, and this many times the noise of as many pixels' mean (after
# Rose, J Opt Soc Am 1948;38:196, who found 5 in white noise; lung is not white).
LEAST_CHANGE_HU, LEAST_CONTRAST = 60.0, 15.0
# From this share of core on a voxel is one of the core.
HALF = 0.5
# What CT stores, and whole numbers.
LOWEST_HU, HIGHEST_HU = -1024, 3071


@dataclass(frozen=True, eq=False)
class Canvas:
    """A crop of a background; ``hu``, ``labels``, ``taken`` and ``cores`` change while it is painted.

    Attributes
    ----------
    origin_krc : (3,) int
        Index in the volume of the crop's first voxel.
    hu : (k, r, c) float32
    labels : (k, r, c) uint8
    taken : list of Taken
        Where something was planted.
    cores : dict of int to Segment
        Number of a part-solid nodule -> its solid core: voxels of its label that are core for a half and more.
    """

    background: Background
    renderer: Renderer
    rng: np.random.Generator
    origin_krc: NDArray[np.int_]
    hu: Float32Array
    labels: UInt8Array
    taken: list[Taken] = field(default_factory=list)
    cores: dict[int, Segment] = field(default_factory=dict)

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
        """Paint one nodule and label it; earlier labels stay.

        Raises
        ------
        NoRoom
            Too little of it lies in the lung, or no reader would see it there; nothing was painted.
        """
        bed = self.bed(body, centre_mm)
        label = _largest(bed.label)
        wanted_mm3 = shape.mask.sum() * np.prod(shape.spacing_krc_mm)
        if label.sum() < max(FEWEST_VOXELS, LEAST_SHARE * wanted_mm3 / bed.spacing_krc_mm.prod()):
            raise NoRoom(f"only a rim of the nodule lies in the lung of {self.background.name}")
        painted = self.law.paint(shape, bed, self.rng)
        if not _seen(bed, painted, label):
            raise NoRoom(f"the nodule cannot be seen in {self.background.name}")
        labels = self.put(bed, painted.hu)
        labels[label & (labels == 0)] = number
        if painted.core is not None:
            k, r, c = (a.start - int(o) for a, o in zip(bed.box, self.origin_krc, strict=True))
            self.cores[number] = Segment((painted.core >= HALF) & (labels == number), (k, r, c))
        self.taken.append(Taken(centre_mm, body.half_krc_mm))
        return painted.nodule_type

    def plant_beside(self, shape: NoduleShape, neighbour: Taken, number: int) -> bool:
        """Plant a nodule near another one; False where it finds no room."""
        body = body_of(shape, self.rng)
        try:
            centre = place_beside(self.background, body, neighbour, self.rng, (neighbour, *self.taken))
            self.plant(shape, body, centre, number)
        except NoRoom:
            return False
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


def _largest(label: BoolArray) -> BoolArray:
    """Keep the largest piece of a mask: vessels and the wall may cut rims off."""
    pieces, n = ndimage.label(label, np.ones((3, 3, 3)))
    return label if n < 2 else np.asarray(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1, dtype=bool)


def _seen(bed: Bed, painted: Painted, label: BoolArray) -> bool:
    change = float((painted.hu[label] - bed.hu[label]).mean())
    pixels = float(np.count_nonzero(label, axis=(1, 2)).max())
    return change >= LEAST_CHANGE_HU and change * np.sqrt(pixels) >= LEAST_CONTRAST * bed.parenchyma_sd_hu


def diameter_mm(label: BoolArray, volume: CtVolume) -> float:
    """Longest line across a mask on the axial slice of its largest area, in mm."""
    return axes(volume, Segment(label, (0, 0, 0)))[1].length_mm
