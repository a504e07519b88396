"""Where in a lung a nodule is put: free, on the pleura, on a vessel, on a fissure, or beside another one."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ai_engine.composites.background import Background
from ai_engine.composites.body import Body
from ai_engine.domain import FloatArray
from ai_engine.errors import NoRoom

MOST_TRIES = 60
# Share of a nodule that must lie in the lung and the share that may lie over dense lung (vessels), by site.
FREE_AROUND_MM = 2.0
PLEURA_DEPTH = (0.1, 0.95)
# Distance from a vessel or a fissure to the nodule's centre, in radii.
ATTACHED_AT = (0.2, 1.0)
# Between the surfaces of two neighbours.
GAP_MM = (1.0, 14.0)
# Neighbours lie rather beside than above each other, so that both are seen on a slice.
FLATTENED = 0.4


class Site(StrEnum):
    """What a nodule lies on."""

    FREE = "free"
    PLEURA = "pleura"
    VESSEL = "vessel"
    FISSURE = "fissure"


@dataclass(frozen=True)
class Fit:
    """What a site asks for: least and greatest share in the lung, greatest share over dense lung."""

    least: float
    most: float
    dense: float


FITS = {
    Site.FREE: Fit(0.995, 1.0, 0.25),
    Site.PLEURA: Fit(0.6, 0.98, 0.5),
    Site.VESSEL: Fit(0.85, 1.0, 0.5),
    Site.FISSURE: Fit(0.9, 1.0, 0.35),
}
BESIDE = Fit(0.7, 1.0, 0.5)
SHARES = {Site.FREE: 0.35, Site.PLEURA: 0.3, Site.VESSEL: 0.25, Site.FISSURE: 0.1}


@dataclass(frozen=True, eq=False)
class Taken:
    """A place that is taken: centre in mm along k, r, c from voxel (0, 0, 0), and half the extent along each."""

    centre_mm: FloatArray
    half_krc_mm: FloatArray


def any_site(rng: np.random.Generator) -> Site:
    """Draw a site."""
    return Site(str(rng.choice([str(site) for site in SHARES], p=list(SHARES.values()))))


def place(
    background: Background, body: Body, site: Site, rng: np.random.Generator, taken: tuple[Taken, ...] = ()
) -> FloatArray:
    """Find a place for a body.

    Returns
    -------
    (3,) float64
        Its centre in mm along k, r, c from voxel (0, 0, 0).

    Raises
    ------
    NoRoom
        None was found in a number of tries.
    """
    for _ in range(MOST_TRIES):
        centre = _proposed(background, body, site, rng)
        if centre is not None and _fits(background, body, centre, FITS[site]) and _free(body, centre, taken):
            return centre
    raise NoRoom(f"no room for a nodule of radius {body.radius_mm:.0f} mm on {site} in {background.name}")


def place_beside(
    background: Background, body: Body, neighbour: Taken, rng: np.random.Generator, taken: tuple[Taken, ...]
) -> FloatArray:
    """Find a place near a planted nodule; as ``place``."""
    for _ in range(MOST_TRIES):
        towards = rng.standard_normal(3) * (FLATTENED, 1, 1)
        towards /= np.linalg.norm(towards)
        reach = _reach(neighbour.half_krc_mm, towards) + _reach(body.half_krc_mm, towards)
        centre = neighbour.centre_mm + towards * (reach + rng.uniform(*GAP_MM))
        if _fits(background, body, centre, BESIDE) and _free(body, centre, taken):
            return centre
    raise NoRoom(f"no room for a second nodule of radius {body.radius_mm:.0f} mm in {background.name}")


def _proposed(background: Background, body: Body, site: Site, rng: np.random.Generator) -> FloatArray | None:
    radius = body.radius_mm
    depth, at = background.by_depth
    if site is Site.FREE:
        first = int(np.searchsorted(depth, radius + FREE_AROUND_MM))
        return _jittered(background, at[rng.integers(first, len(at))], rng) if first < len(at) else None
    if site is Site.PLEURA:
        wanted = radius * rng.uniform(*PLEURA_DEPTH)
        step = background.lungs.grid.step_mm
        first, last = (int(n) for n in np.searchsorted(depth, (wanted, wanted + step)))
        return _jittered(background, at[rng.integers(first, last)], rng) if first < last else None
    distance = radius * rng.uniform(*ATTACHED_AT)
    if site is Site.VESSEL:
        if not len(background.vessels):
            return None
        towards = rng.standard_normal(3)
        return background.mm(rng.choice(background.vessels)) + towards / np.linalg.norm(towards) * distance
    sheets = background.fissures
    if not len(sheets.at):
        return None
    i = int(rng.integers(len(sheets.at)))
    return background.mm(sheets.at[i]) + sheets.normal[i] * distance * rng.choice((-1, 1))


def _jittered(background: Background, at: NDArray[np.int32], rng: np.random.Generator) -> FloatArray:
    return background.mm(at) + rng.uniform(-0.5, 0.5, 3) * background.lungs.grid.step_mm


def _fits(background: Background, body: Body, centre_mm: FloatArray, fit: Fit) -> bool:
    spacing = np.array(background.volume.spacing_krc_mm)
    last = (np.array(background.volume.hu.shape) - 1) * spacing
    points = centre_mm + body.points_mm
    if np.any(centre_mm - body.half_krc_mm * (1, 0, 0) < 0) or np.any(centre_mm + body.half_krc_mm * (1, 0, 0) > last):
        return False
    kinds = background.inside[tuple(background.grid_mm(points).T)]
    lung = float(np.mean(kinds > 0))
    dense = float(np.mean(kinds == 2))
    return not (kinds == 3).any() and fit.least <= lung <= fit.most and dense <= fit.dense


def _free(body: Body, centre_mm: FloatArray, taken: tuple[Taken, ...]) -> bool:
    """Whether the ellipsoids around the body and those already there keep apart."""
    for other in taken:
        apart = centre_mm - other.centre_mm
        distance = float(np.linalg.norm(apart))
        towards = apart / max(distance, 1e-6)
        if distance < _reach(other.half_krc_mm, towards) + _reach(body.half_krc_mm, towards):
            return False
    return True


def _reach(half_krc_mm: FloatArray, towards: FloatArray) -> float:
    """Distance from the centre to the surface of an ellipsoid in one direction."""
    return float(1 / np.sqrt(np.sum((towards / half_krc_mm) ** 2)))
