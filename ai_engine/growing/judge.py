"""Nodule or not, by shape alone.

A nodule fills its ellipsoid, is not much longer than wide, borders on air, and stands out from the lung. A piece of
vessel is long and goes on at both ends; a tangle of vessels is hollow; a bulge of the wall is mostly wall.
"""

from dataclasses import dataclass

from ai_engine.domain import BoolArray
from ai_engine.growing.cube import Cube
from ai_engine.growing.region import Region, detached, grow
from ai_engine.growing.shape import Shape, shape_of
from ai_engine.scene import TISSUE_HU


@dataclass(frozen=True, eq=False)
class Judged:
    """A mask that was accepted, in its cube.

    Attributes
    ----------
    score : float
        See ``Judge``.
    """

    region: Region
    mask: BoolArray
    shape: Shape
    score: float


@dataclass(frozen=True)
class Judge:
    """Limits of what is taken for a nodule.

    Each property is graded 0.5 at its limit and 1 where it is as good as that of a ball in open lung; the score of a
    mask is its worst grade. So 0.5 is a nodule that just passes in its weakest respect. Not a probability.

    Attributes
    ----------
    height, brightest_hu : float
        See ``grow``.
    shares : tuple of float
        Strengths of detachment, mildest first; the first whose mask passes is taken.
    as_large : float
        A mask smaller than the expected diameter times this, or larger than it by this squared, is something else, to
        be found in its own right.
    large_mm : float
        From here on a nodule is thicker than any vessel outside of the hilum, so that more of its surface may hang on
        vessels.
    """

    height: float = 0.5
    brightest_hu: float = TISSUE_HU
    shares: tuple[float, ...] = (0.35, 0.5, 0.65)
    as_large: float = 0.7
    minimum_mm: float = 4.0
    large_mm: float = 20.0
    minimum_compactness: float = 0.7
    minimum_elongation: float = 0.4
    minimum_thickness: float = 0.45
    maximum_vessel_share: float = 0.07
    maximum_vessel_share_large: float = 0.2
    minimum_air_share: float = 0.55
    minimum_contrast_hu: float = 350.0
    ideal_contrast_hu: float = 600.0

    def judge(self, cube: Cube, diameter_mm: float) -> Judged | None:
        """Grow at the cube's seed and judge; None for what is no nodule.

        Parameters
        ----------
        cube : Cube
            Around the candidate.
        diameter_mm : float
            Expected.

        Raises
        ------
        EmptySegment
            Nothing stands out from the lung at the seed.
        """
        region = grow(cube, self.height, self.brightest_hu)
        smallest_mm, largest_mm = self.as_large * diameter_mm, diameter_mm / self.as_large**2
        if 2 * region.inner_radius * cube.grid.step_mm < self.minimum_thickness * smallest_mm:
            return None  # too thin to pass, however it is detached
        for share in self.shares:
            mask = detached(region, share)
            shape = shape_of(cube, region, mask)
            score = self.score(shape)
            if score >= 0.5 and smallest_mm <= shape.diameter_mm <= largest_mm:
                return Judged(region, mask, shape, score)
        return None

    def score(self, shape: Shape) -> float:
        """Grade a shape by its weakest respect, 0 to 1."""
        large = min(max((shape.diameter_mm - self.large_mm / 2) / (self.large_mm / 2), 0.0), 1.0)
        vessel_limit = self.maximum_vessel_share + large * (self.maximum_vessel_share_large - self.maximum_vessel_share)
        if shape.cut or shape.diameter_mm < self.minimum_mm:
            return 0.0
        return min(
            _grade(shape.compactness, self.minimum_compactness, 1.0),
            _grade(shape.elongation, self.minimum_elongation, 1.0),
            _grade(shape.thickness, self.minimum_thickness, 0.8),
            _grade(shape.air_share, self.minimum_air_share, 1.0),
            _grade(-shape.vessel_share, -vessel_limit, 0.0),
            _grade(shape.contrast_hu, self.minimum_contrast_hu, self.ideal_contrast_hu),
        )


def _grade(value: float, limit: float, ideal: float) -> float:
    """0.5 at the limit, 1 at the ideal, in a straight line, and not beyond 0 and 1."""
    return min(max(0.5 + 0.5 * (value - limit) / (ideal - limit), 0.0), 1.0)
