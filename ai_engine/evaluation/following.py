"""Does the segmenter listen to its prompt? A box moved onto another nodule, and a box on empty lung."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ai_engine.domain import Segment
from ai_engine.evaluation.contestants import Contestant
from ai_engine.evaluation.domain import Material, Subject
from ai_engine.evaluation.prompts import BoxPrompt, box_of
from ai_engine.evaluation.scores import dice, together
from ai_engine.evaluation.segmentation import answer
from ai_engine.scene import FINE_MM, Scene

# "Segments the distractor": at least this Dice with it.
ENOUGH = 0.5
EMPTY_SIDE_MM = 10.0
# A box is empty where nothing is denser than this once things thinner than 3 mm, small vessels, are taken away.
EMPTY_BELOW_HU = -700.0
_VESSEL_POINTS = 3


@dataclass
class Followed:
    """How often a contestant did as the prompt said; counted up subject by subject.

    Attributes
    ----------
    most : int
        Prompts of either kind that are tried at most.
    n_distractors, n_empty : int
        Prompts of either kind.
    on_distractor : int
        Answers with a Dice of at least ``ENOUGH`` with the distractor under the box.
    on_target : int
        Answers that fit the target, which is elsewhere, better than the distractor.
    empty : int
        Boxes on empty lung that gave no mask.
    """

    contestant: str
    material: Material
    most: int = 100
    n_distractors: int = 0
    on_distractor: int = 0
    on_target: int = 0
    n_empty: int = 0
    empty: int = 0

    def watch(self, subject: Subject, contestant: Contestant, rng: np.random.Generator) -> None:
        """Try both kinds of prompt on one subject, where it has a distractor and where it has empty lung."""
        if subject.distractors and self.n_distractors < self.most:
            fits, target = on_distractor(subject, contestant, rng)
            self.n_distractors += 1
            self.on_distractor += fits
            self.on_target += target
        if self.n_empty < self.most:
            empty = on_empty_lung(subject, contestant, rng)
            self.n_empty += empty is not None
            self.empty += bool(empty)


def on_distractor(subject: Subject, contestant: Contestant, rng: np.random.Generator) -> tuple[bool, bool]:
    """Prompt with the box of the subject's first distractor; tell whether it, and whether the target, was segmented."""
    distractor = subject.distractors[0]
    found = answer(subject, contestant, box_of(distractor, rng))
    if found is None:
        return False, False
    fits, target = (_dice(truth, found) for truth in (distractor, subject.lesion.truths[0].segment))
    return fits >= ENOUGH, target > fits


def _dice(truth: Segment, found: Segment) -> float:
    return dice(*together(truth, found))


def on_empty_lung(subject: Subject, contestant: Contestant, rng: np.random.Generator) -> bool | None:
    """Prompt with a box on lung that holds nothing; tell whether the answer was empty, None where there is no room."""
    prompt = empty_box(subject.scene, rng)
    return None if prompt is None else answer(subject, contestant, prompt) is None


def empty_box(scene: Scene, rng: np.random.Generator, side_mm: float = EMPTY_SIDE_MM) -> BoxPrompt | None:
    """Draw a box on lung without anything denser or thicker than a small vessel in its cube; None without room."""
    fine = scene.fine
    thick = ndimage.grey_opening(fine.hu, size=(_VESSEL_POINTS,) * 3)
    clear = (thick < EMPTY_BELOW_HU) & fine.hull
    half = int(np.ceil(side_mm / 2 / FINE_MM)) + 1
    room = ndimage.minimum_filter(clear, size=2 * half + 1, mode="constant", cval=0)
    places = np.argwhere(room)
    if not len(places):
        return None
    centre = fine.grid.to_volume(places[rng.integers(len(places))])
    half_rc = side_mm / 2 / np.array(scene.volume.spacing_krc_mm[1:])
    (r0, c0), (r1, c1) = centre[1:] - half_rc, centre[1:] + half_rc
    return BoxPrompt(round(float(centre[0])), (float(r0), float(c0)), (float(r1), float(c1)))
