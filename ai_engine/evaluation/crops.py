"""Composites as subjects: the crop, its lungs cut out of those of the series, and the same crop made worse."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ai_engine.composites.domain import Composite, Renderer
from ai_engine.domain import CtVolume, FloatArray, HuArray, Segment, UInt8Array
from ai_engine.evaluation.domain import Lesion, Material, Subject, Truth
from ai_engine.evaluation.scores import segment_of
from ai_engine.geometry import affine_from
from ai_engine.grid import Float32Array, Grid
from ai_engine.lungs import Lungs
from ai_engine.scene import scene_of

# of the lungs' grid within a crop, as ``ThresholdLungs`` has it
_STEP_MM = 2.0
_MATERIALS = {Renderer.A: Material.COMPOSITES_A, Renderer.B: Material.COMPOSITES_B}


@dataclass(frozen=True, eq=False)
class Crop:
    """What can be made worse of a composite.

    Attributes
    ----------
    hu : (k, r, c) int16
    labels : (k, r, c) uint8
        As in ``Composite``.
    lungs : Lungs
        On a grid over the crop.
    """

    hu: HuArray
    labels: UInt8Array
    spacing_krc_mm: tuple[float, float, float]
    lungs: Lungs


def crop_of(composite: Composite, lungs: Lungs) -> Crop:
    """Cut the lungs of a series, as they were before anything was planted, to the crop of a composite.

    Raises
    ------
    ValueError
        The composite does not say where in its series it lies.
    """
    if composite.origin_krc is None:
        raise ValueError(f"the composite of seed {composite.seed} does not say where in {composite.lung} it lies")
    spacing = composite.spacing_krc_mm
    k, r, c = (int(n) for n in np.floor((np.array(composite.hu.shape) - 1) * spacing / np.float64(_STEP_MM)) + 1)
    whole = Grid(_STEP_MM, tuple(float(n) for n in composite.origin_krc), spacing, (k, r, c))  # type: ignore[arg-type]
    sides = whole.sample_grid(lungs.sides, lungs.grid, order=0).astype(np.uint8)
    air = whole.sample_grid(lungs.air, lungs.grid, order=0) > 0
    own = Lungs(replace(whole, origin_krc=(0.0, 0.0, 0.0)), sides, air, ())
    return Crop(composite.hu, composite.labels, spacing, own)


def subject_of(composite: Composite, crop: Crop) -> Subject | None:
    """Make a subject of a composite's crop, as composed or made worse.

    Returns
    -------
    Subject or None
        None where the target was lost on the way, as a small nodule can be between thick slices.
    """
    target = segment_of(crop.labels == 1)
    if target is None:
        return None
    k, r, c = crop.spacing_krc_mm
    volume = CtVolume(crop.hu, affine_from((0, 0, 0), (0, 0, k), (0, r, 0), (c, 0, 0)))
    truth = Truth("the planted reader's outline", target)
    name = f"{composite.patient_id} annotation {composite.annotation_id} in {composite.lung}, seed {composite.seed}"
    return Subject(
        name=name,
        material=_MATERIALS[composite.renderer],
        scene=scene_of(volume, crop.lungs),
        lesion=Lesion(name, composite.nodule_type, (truth,)),
        distractors=tuple(_whole_others(crop.labels)),
    )


def _whole_others(labels: UInt8Array) -> Iterator[Segment]:
    """Distractors that do not touch the border of the crop."""
    for number in range(2, int(labels.max()) + 1):
        segment = segment_of(labels == number)
        if segment is None:
            continue
        ends = np.add(segment.origin_krc, segment.mask.shape)
        if min(segment.origin_krc) > 0 and (ends < labels.shape).all():
            yield segment


def sliced(step_mm: float) -> Callable[[Crop, np.random.Generator], Crop]:
    """Return what makes slices of another thickness: averaged where thicker, interpolated where thinner.

    A voxel of the new truth belongs to it if most of it does.
    """

    def reslice(crop: Crop, rng: np.random.Generator) -> Crop:
        own_mm, *pixel_mm = crop.spacing_krc_mm
        n = int(np.floor(crop.hu.shape[0] * own_mm / step_mm))
        weights = _slab_weights(crop.hu.shape[0], own_mm, n, step_mm)
        hu = np.tensordot(weights, crop.hu.astype(np.float32), axes=1)
        spacing = (step_mm, pixel_mm[0], pixel_mm[1])
        first_mm = (step_mm - own_mm) / 2  # from the centre of the old first slice to that of the new one
        origin = (-first_mm / step_mm, 0.0, 0.0)
        lungs = replace(crop.lungs, grid=replace(crop.lungs.grid, origin_krc=origin, spacing_krc_mm=spacing))
        return Crop(np.round(hu).astype(np.int16), _resliced(crop.labels, weights), spacing, lungs)

    return reslice


def _slab_weights(n_old: int, old_mm: float, n_new: int, new_mm: float) -> FloatArray:
    """Return the share of each old slice in each new slice, (new, old) float64; rows sum to 1."""
    centres_old = (np.arange(n_old) + 0.5) * old_mm
    centres_new = (np.arange(n_new) + 0.5) * new_mm
    if new_mm >= old_mm:
        low = np.maximum(centres_new[:, None] - new_mm / 2, centres_old - old_mm / 2)
        high = np.minimum(centres_new[:, None] + new_mm / 2, centres_old + old_mm / 2)
        weights = np.clip(high - low, 0, None)
    else:
        weights = np.clip(1 - np.abs(centres_new[:, None] - centres_old) / old_mm, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def _resliced(labels: UInt8Array, weights: FloatArray) -> UInt8Array:
    # Where exactly half of a new voxel is nodule, its upper half decides: taking all of them would make nodules larger.
    olds = np.arange(weights.shape[1])
    upwards = olds - (weights @ olds)[:, None]
    weights = weights * (1 + 1e-4 * upwards)
    new = np.zeros((len(weights), *labels.shape[1:]), dtype=np.uint8)
    for number in range(1, int(labels.max()) + 1):
        new[np.tensordot(weights, (labels == number).astype(np.float32), axes=1) > 0.5] = number
    return new


def blurred(crop: Crop, rng: np.random.Generator) -> Crop:
    """Smooth every slice with a Gaussian of 1 mm: a very smooth kernel."""
    return _with(crop, _smoothed(crop, 1.0))


def sharpened(crop: Crop, rng: np.random.Generator) -> Crop:
    """Add what a Gaussian of 1 mm takes away, once: the edges and the noise of a sharp kernel."""
    hu = crop.hu.astype(np.float32)
    return _with(crop, 2 * hu - _smoothed(crop, 1.0))


def noisy(crop: Crop, rng: np.random.Generator) -> Crop:
    """Add noise of 60 HU, independent from voxel to voxel: a low dose."""
    return _with(crop, crop.hu.astype(np.float32) + rng.normal(0, 60, crop.hu.shape).astype(np.float32))


def _smoothed(crop: Crop, sigma_mm: float) -> Float32Array:
    sigma = (0.0, sigma_mm / crop.spacing_krc_mm[1], sigma_mm / crop.spacing_krc_mm[2])
    return np.asarray(ndimage.gaussian_filter(crop.hu.astype(np.float32), sigma), dtype=np.float32)


def _with(crop: Crop, hu: Float32Array) -> Crop:
    return replace(crop, hu=np.clip(np.round(hu), -1024, 3071).astype(np.int16))


#: What is done to a crop, by the name in the tables.
CHANGES: Mapping[str, Callable[[Crop, np.random.Generator], Crop]] = {
    "slices of 1 mm": sliced(1.0),
    "slices of 2.5 mm": sliced(2.5),
    "slices of 5 mm": sliced(5.0),
    "blurred (Gaussian, 1 mm)": blurred,
    "sharpened (unsharp, 1 mm)": sharpened,
    "noisy (60 HU)": noisy,
}
