"""Everything that is asked of composites, one after the other, so that memory holds one of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ai_engine.composites.domain import Composite
from ai_engine.evaluation.contestants import Contestant
from ai_engine.evaluation.crops import CHANGES, Crop, crop_of, subject_of
from ai_engine.evaluation.domain import Material, Row
from ai_engine.evaluation.following import Followed
from ai_engine.evaluation.segmentation import box_rows, detections, rng_of, rows_of
from ai_engine.lungs import Lungs


@dataclass
class Composed:
    """Gathers rows over composites.

    Attributes
    ----------
    n_degraded : int
        So many composites of each renderer are also made worse.
    follows : bool
        Whether prompts are moved off the target.
    """

    contestants: Sequence[Contestant]
    seed: int
    n_degraded: int = 0
    follows: bool = True
    rows: list[Row] = field(default_factory=list)
    degraded: dict[str, list[Row]] = field(default_factory=dict)
    followed: dict[tuple[str, Material], Followed] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)

    def add(self, composite: Composite, lungs: Lungs) -> None:
        """Judge all contestants on one composite with a target; ``lungs`` are those of its whole series."""
        crop = crop_of(composite, lungs)
        subject = subject_of(composite, crop)
        if subject is None:
            return
        found = detections(subject.scene, self.contestants)
        self.rows += rows_of(subject, self.contestants, found, self.seed)
        if self.follows:
            for contestant in self.contestants:
                key = contestant.name, subject.material
                tally = self.followed.setdefault(key, Followed(*key))
                tally.watch(subject, contestant, rng_of(subject, self.seed))
        seen = self._seen.get(composite.renderer, 0)
        if seen < self.n_degraded:
            self._make_worse(composite, crop)
        self._seen[composite.renderer] = seen + 1

    def _make_worse(self, composite: Composite, crop: Crop) -> None:
        for change, worsen in CHANGES.items():
            worse = subject_of(composite, worsen(crop, np.random.default_rng([self.seed, composite.seed])))
            if worse is None:
                continue
            for contestant in self.contestants:
                rows = box_rows(worse, contestant, rng_of(worse, self.seed))
                self.degraded.setdefault(change, []).extend(replace(row, picture=None) for row in rows)
