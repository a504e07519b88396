"""Put the phantom together: anatomy, vessels, nodules, blur, noise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ai_engine.domain import BoolArray, CtVolume
from ai_engine.errors import VolumeError
from ai_engine.phantom.anatomy import AIR_HU, Plane
from ai_engine.phantom.frame import NATURAL_LUNG_HEIGHT_MM, Frame, Towards
from ai_engine.phantom.nodules import Fine, Planted, PlantedNodule, centres, describe, draw, sample
from ai_engine.phantom.slices import paint
from ai_engine.phantom.vessels import Tube, TubePainter, airways, blood_vessels

#: Lung tissue without its visible vessels.
PARENCHYMA_HU = -868.0


@dataclass(frozen=True)
class Build:
    """How the thorax is built and scanned.

    Attributes
    ----------
    lung_height_mm : float
        Apex to base. Where the volume is shorter the lungs are cut at both ends.
    shift_mm : float
        Moves the lungs towards the head, so that they are cut at one end.
    k_towards : {"head", "feet"}
        Where k grows to.
    blur_mm : float
        Standard deviation of the in-plane point spread.
    noise_hu : float
        Standard deviation of the noise.
    ends_per_lung : int
        Vessel ends of one tree; 0 for lungs without vessels.
    """

    lung_height_mm: float = NATURAL_LUNG_HEIGHT_MM
    shift_mm: float = 0.0
    k_towards: Towards = "head"
    centre_lps_mm: tuple[float, float, float] = (0.0, -180.0, -140.0)
    contrast: bool = False
    blur_mm: float = 0.6
    noise_hu: float = 18.0
    ends_per_lung: int = 800


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic thorax and the truth about it.

    Attributes
    ----------
    labels : (k, r, c) uint8
        Number of the planted nodule whose shape fills at least half of the voxel, 0 elsewhere.
    lungs : (k, r, c) bool
        Within the pleura of either lung: parenchyma, vessels and nodules.
    planted : tuple of Planted
        In the order of the request; ``planted[0].number`` is 1.
    lungs_cut : tuple of str
        ``"top"`` and/or ``"bottom"`` where the volume ends inside the lungs.
    """

    volume: CtVolume
    labels: np.ndarray
    lungs: BoolArray
    planted: tuple[Planted, ...]
    lungs_cut: tuple[str, ...]


def thorax(
    shape: tuple[int, int, int],
    spacing_krc_mm: tuple[float, float, float],
    seed: int,
    nodules: Sequence[PlantedNodule] = (),
    build: Build | None = None,
) -> Phantom:
    """Build a synthetic chest CT.

    Parameters
    ----------
    shape : (k, r, c)
        At 512 x 512 x 0.7 mm the whole body is in the picture.
    spacing_krc_mm : tuple of float
        The slice thickness equals the slice spacing.
    seed : int
        The same arguments give the same voxels.
    nodules : sequence of Sphere or Outline
        At most 255.
    build : Build, optional
        Size, cut, orientation, contrast medium, noise.

    Raises
    ------
    VolumeError
        A nodule has no room where it is wanted, overlaps another, or lies outside the volume.
    """
    build = build or Build()
    if len(nodules) > np.iinfo(np.uint8).max:
        raise VolumeError("at most 255 nodules fit into the labels")
    frame = Frame(shape, spacing_krc_mm, build.lung_height_mm, build.shift_mm, build.k_towards, build.centre_lps_mm)
    rng = np.random.default_rng(seed)
    places = centres(frame, nodules)
    hu, lungs = _anatomy(frame, 165.0 if build.contrast else 42.0, rng)
    clear = [(at, n.reach_mm + n.clear_mm) for at, n in zip(places, nodules, strict=True) if n.clear_mm > 0]
    _vessels(hu, frame, build, rng, [(frame.xyh_mm(at) / (1, 1, frame.stretch), reach) for at, reach in clear])
    samples = [sample(frame, nodule, at) for nodule, at in zip(nodules, places, strict=True)]
    for nodule, fine in zip(nodules, samples, strict=True):
        draw(hu, nodule, fine, lungs)
    planted = tuple(
        describe(number, nodule, fine, frame, lungs)
        for number, (nodule, fine) in enumerate(zip(nodules, samples, strict=True), start=1)
    )
    volume = CtVolume(_scan(hu, frame, build, rng), frame.affine, build.contrast)
    return Phantom(volume, _labels(samples, lungs), lungs, planted, _cut(frame))


def _anatomy(frame: Frame, blood_hu: float, rng: np.random.Generator) -> tuple[np.ndarray, BoolArray]:
    """Paint all slices without vessels: (k, r, c) float32 HU, and the lungs."""
    axes = frame.axes_xyh_mm()
    x, y = axes[0].astype(np.float32)[None, :], axes[1].astype(np.float32)[:, None]
    hu = np.empty(frame.shape, dtype=np.float32)
    lungs = np.empty(frame.shape, dtype=bool)
    coarse = _Texture(rng, frame, 14.0, 11.0)
    fine = _Texture(rng, frame, 5.0, 14.0)
    for k, h in enumerate(axes[2]):
        # the back of a lung that lies on it is denser
        tissue = PARENCHYMA_HU + 0.22 * y + coarse.at(k) + fine.at(k)
        hu[k], depth = paint(x, y, float(h), blood_hu, tissue)
        lungs[k] = depth > 0
    return hu, lungs


class _Texture:
    """Smooth random variation: a coarse random grid, interpolated."""

    def __init__(self, rng: np.random.Generator, frame: Frame, grain_mm: float, sd_hu: float) -> None:
        self.step_k = frame.spacing_krc_mm[0] / grain_mm
        self.steps = [step / grain_mm for step in frame.spacing_krc_mm[1:]]
        self.shape = frame.shape
        cells = [int(n * step / grain_mm) + 3 for n, step in zip(frame.shape, frame.spacing_krc_mm, strict=True)]
        self.grid = rng.standard_normal(cells, dtype=np.float32) * np.float32(1.6 * sd_hu)  # interpolation takes 40 %

    def at(self, k: int) -> Plane:
        """Variation of slice k, (r, c) HU."""
        below = int(k * self.step_k)
        part = np.float32(k * self.step_k - below)
        plane = (1 - part) * self.grid[below] + part * self.grid[below + 1]
        out = ndimage.affine_transform(plane, self.steps, output_shape=self.shape[1:], order=1, output=np.float32)
        return np.asarray(out)


def _vessels(
    hu: np.ndarray, frame: Frame, build: Build, rng: np.random.Generator, clear: list[tuple[np.ndarray, float]]
) -> None:
    """Draw vessels, then the airways; ``clear`` are balls to keep free: centre (x, y, h) in true mm, radius."""
    x, y, h = frame.axes_xyh_mm()
    painter = TubePainter(hu, (x, y, h / frame.stretch))
    vessels = _placed(blood_vessels(rng, build.ends_per_lung), frame, clear) if build.ends_per_lung else []
    for tube in vessels:
        painter.draw(tube, 160.0 if build.contrast else 40.0)
    bronchi = _placed(airways(rng), frame, clear)
    for tube in bronchi:
        painter.draw(tube, 20.0, grow_mm=1.2)
    for tube in bronchi:
        painter.draw(tube, AIR_HU, darken=True)


def _placed(tubes: Sequence[Tube], frame: Frame, clear: list[tuple[np.ndarray, float]]) -> list[Tube]:
    """Tubes in true mm, those left out that come too near to a nodule."""
    true = [
        replace(t, start_mm=t.start_mm / (1, 1, frame.stretch), end_mm=t.end_mm / (1, 1, frame.stretch)) for t in tubes
    ]
    return [tube for tube in true if not any(_touches(tube, at, reach) for at, reach in clear)]


def _touches(tube: Tube, at: np.ndarray, reach_mm: float) -> bool:
    along = tube.end_mm - tube.start_mm
    t = np.clip((at - tube.start_mm) @ along / (along @ along + 1e-9), 0, 1)
    return bool(np.linalg.norm(tube.start_mm + t * along - at) < reach_mm + tube.start_radius_mm)


def _scan(hu: np.ndarray, frame: Frame, build: Build, rng: np.random.Generator) -> np.ndarray:
    """Blur each slice by the point spread and add noise with the grain of a soft kernel; int16."""
    out = np.empty(frame.shape, dtype=np.int16)
    sigmas = [build.blur_mm / step for step in frame.spacing_krc_mm[1:]]
    for k in range(frame.shape[0]):
        blurred = ndimage.gaussian_filter(hu[k], sigmas)
        grain = ndimage.gaussian_filter(rng.standard_normal(frame.shape[1:], dtype=np.float32), 0.7)
        blurred += grain * np.float32(build.noise_hu / max(float(grain.std()), 1e-6))
        out[k] = np.clip(np.rint(blurred), -1024, 3071)
    return out


def _labels(samples: Sequence[Fine], lungs: BoolArray) -> np.ndarray:
    labels = np.zeros(lungs.shape, dtype=np.uint8)
    for number, fine in enumerate(samples, start=1):
        labels[fine.box][(fine.share(0) >= 0.5) & lungs[fine.box]] = number
    return labels


def _cut(frame: Frame) -> tuple[str, ...]:
    h = frame.axes_xyh_mm()[2]
    ends = (("top", h.min() > 0), ("bottom", h.max() < NATURAL_LUNG_HEIGHT_MM))
    return tuple(name for name, cut in ends if cut)
