"""Boxes: from a candidate, from a mask, jittered; and the slices that what they hold can reach. numpy only."""

from dataclasses import dataclass

import numpy as np

from ai_engine.domain import BoolArray, BoxPrompt, Candidate, Channel, FloatArray


@dataclass(frozen=True)
class Boxes:
    """How boxes are drawn.

    Attributes
    ----------
    widened, widened_ground_glass : float
        Side of a candidate's box over its diameter.
    least_mm : float
        Least side of a box.
    reach, reach_mm : float
        Along k the nodule can go on for this share of the box's longer side, and so much further, either way.
    shift, stretch : float
        Jitter: each box moves and stretches by up to this share of its sides.
    """

    widened: float = 1.25
    widened_ground_glass: float = 1.4
    least_mm: float = 4.0
    reach: float = 0.75
    reach_mm: float = 3.0
    shift: float = 0.1
    stretch: float = 0.12

    def of_candidate(
        self, candidate: Candidate, spacing_krc_mm: tuple[float, float, float], n_slices: int
    ) -> BoxPrompt:
        """Draw a square around a candidate on the slice through its centre."""
        factor = self.widened_ground_glass if candidate.channel is Channel.GROUND_GLASS else self.widened
        half = max(factor * candidate.diameter_mm, self.least_mm) / 2 / np.array(spacing_krc_mm[1:])
        k, r, c = candidate.centre_krc
        key = int(np.clip(round(k), 0, n_slices - 1))
        return BoxPrompt(key, (r - half[0], c - half[1]), (r + half[0], c + half[1]))

    def slices(self, box: BoxPrompt, spacing_krc_mm: tuple[float, float, float], n_slices: int) -> range:
        """Return the slices that what a box holds can reach."""
        side_mm = float((np.subtract(box.high_rc, box.low_rc) * spacing_krc_mm[1:]).max())
        far = int(np.ceil((self.reach * side_mm + self.reach_mm) / spacing_krc_mm[0]))
        return range(max(0, box.k - far), min(n_slices, box.k + far + 1))

    def jittered(self, box_rc: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
        """Return a box (2, 2) and n jittered ones: (1 + n, 2, 2) float64."""
        sides = box_rc[1] - box_rc[0]
        middle = box_rc.mean(axis=0) + rng.uniform(-self.shift, self.shift, (n, 2)) * sides
        half = sides * rng.uniform(1 - self.stretch, 1 + self.stretch, (n, 2)) / 2
        return np.concatenate([box_rc[None], np.stack([middle - half, middle + half], axis=1)])


def edges(box: BoxPrompt) -> FloatArray:
    """Return a box as (2, 2) float64: low and high edges as (r, c)."""
    return np.array([box.low_rc, box.high_rc], dtype=np.float64)


def box_of_largest(mask: BoolArray, origin_krc: tuple[int, int, int], margin_voxels: float = 0.0) -> BoxPrompt:
    """Draw the box around a mask (k, r, c), which is not empty, on the slice of its largest area."""
    areas = mask.sum(axis=(1, 2))
    k = int(areas.argmax())
    rows, columns = np.flatnonzero(mask[k].any(axis=1)), np.flatnonzero(mask[k].any(axis=0))
    (_, r, c), outer = origin_krc, 0.5 + margin_voxels
    low, high = (r + rows[0] - outer, c + columns[0] - outer), (r + rows[-1] + outer, c + columns[-1] + outer)
    return BoxPrompt(origin_krc[0] + k, (float(low[0]), float(low[1])), (float(high[0]), float(high[1])))
