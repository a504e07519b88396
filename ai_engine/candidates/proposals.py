"""A generous list of suspicious places, for a scorer to judge: what the encoder sees and is trained on.

Four searches, each with a quota of its own, since their scores do not compare: round places, masses, faint patches, and
faint places so small that less must be opened away. Nothing is grown here and no shape is refused.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

from ai_engine.candidates.blobs import filled_outside
from ai_engine.candidates.exits import weighed
from ai_engine.candidates.faint import FaintSearch
from ai_engine.candidates.peaks import Peak, apart, peaks
from ai_engine.domain import Candidate, Channel
from ai_engine.grid import Float32Array, Grid
from ai_engine.scene import SMOOTHING_MM, Scene

# So many times the quota of round places is looked at more closely.
LOOKED_AT = 4


FAINT = FaintSearch(is_fine=False, vessel_mm=6.0, smoothing_mm=0.8, denser_by_hu=100.0, below_hu=-100.0)
SMALL_FAINT = FaintSearch(is_fine=True, vessel_mm=3.0, smoothing_mm=1.0, denser_by_hu=60.0, below_hu=-300.0)


@dataclass(frozen=True)
class Proposer:
    """Proposes candidates.

    Attributes
    ----------
    solid, ground_glass, small_ground_glass, mass : int
        At most so many of each search; the two for ground glass share a channel.
    diameters_mm : tuple of float
        Range searched in HU.
    minimum_hu : float
        Contrast of an ideal ball that answers as strongly.
    mass_from_mm : float
        Round places of this size and more are masses.
    """

    solid: int = 400
    ground_glass: int = 150
    small_ground_glass: int = 200
    mass: int = 40
    diameters_mm: tuple[float, float] = (4.0, 60.0)
    minimum_hu: float = 150.0
    mass_from_mm: float = 20.0
    faint: FaintSearch = FAINT
    small_faint: FaintSearch = SMALL_FAINT

    def propose(self, scene: Scene) -> list[Candidate]:
        """Propose candidates, channel by channel, best first within each.

        Returns
        -------
        list of Candidate
            With channel, centre on the turned grid (``centre_krc``), diameter, and the search's own score, which
            compares within one channel only.
        """
        with ThreadPoolExecutor(1) as beside:
            faint = beside.submit(self._faint, scene)
            round_ones, masses = self._round(scene)
        return [
            *_candidates(round_ones, scene.fine.grid, Channel.SOLID),
            *_candidates(faint.result(), scene.coarse.grid, Channel.GROUND_GLASS),
            *_candidates(masses, scene.fine.grid, Channel.MASS),
        ]

    def detect(self, scene: Scene) -> list[Candidate]:
        """Propose, under the name that a stage of the engine has."""
        return self.propose(scene)

    def _round(self, scene: Scene) -> tuple[list[Peak], list[Peak]]:
        """Find round places, and masses apart from them."""
        fine, step = scene.fine, scene.fine.grid.step_mm
        image = filled_outside(fine.hu, fine.hull, scene.parenchyma_hu)
        found = peaks(image, fine.hull, (step, SMOOTHING_MM), self.diameters_mm, self.minimum_hu)
        small = [peak for peak in found if peak.diameter_mm < self.mass_from_mm]
        large = [peak for peak in found if peak.diameter_mm >= self.mass_from_mm]
        return self._ending(scene, image, small), apart(large, step, self.mass)

    def _ending(self, scene: Scene, image: Float32Array, found: list[Peak]) -> list[Peak]:
        """Take those that end on most sides, of several times as many."""
        step = scene.fine.grid.step_mm
        return weighed(apart(found, step, LOOKED_AT * self.solid), image, step, scene.parenchyma_hu)[: self.solid]

    def _faint(self, scene: Scene) -> list[Peak]:
        """Find patches in both searches; what both find is one."""
        large = self.faint.search(scene, self.ground_glass)
        small = self.small_faint.search(scene, self.small_ground_glass)
        both = sorted([*large, *small], key=lambda peak: -peak.score)
        return apart(both, scene.coarse.grid.step_mm, len(both))


def own_scores(candidates: list[Candidate]) -> list[float]:
    """Put candidates of all channels in one order where nothing else scores them: 1 over the rank in the channel."""
    ranks = {channel: count() for channel in Channel}
    return [1 / (1 + next(ranks[candidate.channel])) for candidate in candidates]


def _candidates(found: list[Peak], grid: Grid, channel: Channel) -> list[Candidate]:
    candidates = []
    for peak in found:
        k, r, c = (float(value) for value in grid.to_volume(peak.at))
        candidates.append(Candidate((k, r, c), peak.diameter_mm, peak.score, channel))
    return candidates
