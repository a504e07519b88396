"""Plants nodules into real lung and keeps the truth: READ FIRST in this folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ai_engine.composites import paint
from ai_engine.composites.background import Background
from ai_engine.composites.bed import Bed
from ai_engine.composites.body import Body, body_of
from ai_engine.composites.canvas import Canvas, canvas_of, diameter_mm
from ai_engine.composites.domain import Composite, NoduleShape, Renderer
from ai_engine.composites.placing import Site, Taken, any_site, place
from ai_engine.domain import CtVolume, FloatArray, NoduleType, UInt8Array
from ai_engine.errors import NoRoom
from ai_engine.grid import Float32Array

# The crop: so far around the target's centre in the plane, or beyond its surface, and so many slices beyond its ends.
HALF_MM, BEYOND_MM, BEYOND_SLICES = 45.0, 25.0, 6


def compose(
    shape: NoduleShape,
    distractors: Sequence[NoduleShape],
    background: Background,
    renderer: Renderer,
    rng: np.random.Generator,
) -> Composite:
    """Plant one nodule, and others near it, into a lung.

    Parameters
    ----------
    shape : NoduleShape
        The target; label 1.
    distractors : sequence of NoduleShape
        Labels 2 and on; those that find no room are left out.
    background : Background
    renderer : Renderer
    rng : numpy.random.Generator
        One number is drawn from it, the composite's own seed.

    Raises
    ------
    NoRoom
        The target found none, or cannot be seen where it was put.
    """
    seed = int(rng.integers(2**62))
    own = np.random.default_rng(seed)
    body = body_of(shape, own)
    centre = place(background, body, any_site(own), own)
    canvas = _around(background, renderer, body, centre, own)
    # what is beside is drawn first, so that its blurred edge never lies over the target
    for number, other in enumerate(distractors, start=2):
        canvas.plant_beside(other, Taken(centre, body.half_krc_mm), number)
    kind = canvas.plant(shape, body, centre, 1)
    composite = _composite(canvas, shape, seed, kind, diameter_mm(canvas.labels == 1, background.volume))
    core = canvas.cores.get(1)
    return composite if core is None else replace(composite, core=core.on(composite.labels.shape))


def sham(shape: NoduleShape, background: Background, renderer: Renderer, rng: np.random.Generator) -> Composite:
    """Blend lung or a vessel from elsewhere in the same lung in, through the edge of a nodule: a place without one.

    Raises
    ------
    NoRoom
        There is no place for it, or none to take it from.
    """
    seed = int(rng.integers(2**62))
    own = np.random.default_rng(seed)
    body = body_of(shape, own)
    centre = place(background, body, any_site(own), own)
    source = place(background, body, Site.VESSEL if own.random() < 0.5 else Site.FREE, own)
    canvas = _around(background, renderer, body, centre, own)
    bed = canvas.bed(body, centre)
    opacity = canvas.law.opacity(shape, bed, own)
    canvas.put(bed, paint.exchanged(bed, opacity, _elsewhere(background, bed, source), canvas.law.noise(bed, own)))
    composite = _composite(canvas, shape, seed, None, 2 * body.radius_mm)
    k, r, c = (float(v) for v in centre / np.array(background.volume.spacing_krc_mm) - canvas.origin_krc)
    return replace(composite, is_sham=True, sham_centre_krc=(k, r, c))


@dataclass(frozen=True)
class PlantedNodule:
    """One nodule in a ``PlantedScan``: its value in the labels, what it is, whose outline it has."""

    number: int
    nodule_type: NoduleType
    diameter_mm: float
    patient_id: str
    annotation_id: int


@dataclass(frozen=True, eq=False)
class PlantedScan:
    """A whole lung with nodules.

    Attributes
    ----------
    volume : CtVolume
        Turned.
    labels : (k, r, c) uint8
        0 background, else the nodule's number.
    """

    volume: CtVolume
    labels: UInt8Array
    nodules: tuple[PlantedNodule, ...]
    renderer: Renderer
    lung: str


def compose_scan(
    shapes: Sequence[NoduleShape],
    background: Background,
    renderer: Renderer,
    rng: np.random.Generator,
    apart_mm: float = 0.0,
) -> PlantedScan:
    """Plant several nodules into one whole lung; those that find no room are left out.

    Parameters
    ----------
    shapes : sequence of NoduleShape
    background : Background
    renderer : Renderer
    rng : numpy.random.Generator
    apart_mm : float
        Between the surfaces of any two; 0: they do not overlap.
    """
    canvas = canvas_of(background, renderer, rng)
    nodules: list[PlantedNodule] = []
    for shape in shapes:
        body, number = body_of(shape, rng), len(nodules) + 1
        taken = tuple(replace(other, half_krc_mm=other.half_krc_mm + apart_mm) for other in canvas.taken)
        try:
            centre = place(background, body, any_site(rng), rng, taken)
            kind = canvas.plant(shape, body, centre, number)
        except NoRoom:
            continue
        diameter = diameter_mm(canvas.labels == number, background.volume)
        nodules.append(PlantedNodule(number, kind, diameter, shape.patient_id, shape.annotation_id))
    volume = CtVolume(canvas.whole_hu(), background.volume.affine, background.volume.contrast)
    return PlantedScan(volume, canvas.labels, tuple(nodules), renderer, background.name)


def _around(
    background: Background, renderer: Renderer, body: Body, centre_mm: FloatArray, rng: np.random.Generator
) -> Canvas:
    """Cut the crop of a composite."""
    spacing = np.array(background.volume.spacing_krc_mm)
    half = np.maximum(body.half_krc_mm + BEYOND_MM, HALF_MM)
    half[0] = body.half_krc_mm[0] + BEYOND_SLICES * spacing[0]
    low: NDArray[np.int_] = np.floor((centre_mm - half) / spacing).astype(int)
    high: NDArray[np.int_] = np.ceil((centre_mm + half) / spacing).astype(int) + 1
    return canvas_of(background, renderer, rng, low, high)


def _elsewhere(background: Background, bed: Bed, source_mm: FloatArray) -> Float32Array:
    """Return the box of another place, as large as the bed; beyond the volume its border goes on."""
    shift = np.rint((source_mm - bed.centre_mm) / bed.spacing_krc_mm).astype(int)
    index = [
        np.clip(np.arange(axis.start, axis.stop) + int(by), 0, n - 1)
        for axis, by, n in zip(bed.box, shift, background.volume.hu.shape, strict=True)
    ]
    return background.volume.hu[np.ix_(*index)].astype(np.float32)


def _composite(canvas: Canvas, shape: NoduleShape, seed: int, kind: NoduleType | None, longest_mm: float) -> Composite:
    k, r, c = (int(v) for v in canvas.origin_krc)
    return Composite(
        hu=canvas.whole_hu(),
        labels=canvas.labels,
        spacing_krc_mm=canvas.background.volume.spacing_krc_mm,
        renderer=canvas.renderer,
        nodule_type=kind,
        diameter_mm=longest_mm,
        patient_id=shape.patient_id,
        annotation_id=shape.annotation_id,
        lung=canvas.background.name,
        seed=seed,
        origin_krc=(k, r, c),
    )
