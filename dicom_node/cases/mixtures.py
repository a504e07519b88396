"""Planted mixtures: as many nodules that show solid, part-solid, ground-glass and calcified, 5 to 30 mm.

In real lungs four of five nodules are solid: a prompt that selects everything would look right there. Not every outline
that a reader called part-solid becomes a nodule that looks so: the kind that fewest have shown so far is planted next.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import MappingProxyType

from ai_engine.clip import facts as clip_facts
from ai_engine.clip.facts import NO, YES, Attribute, Facts
from ai_engine.composites import NoduleShape, PlantedNodule, PlantedScan, shows_calcium, visible_type
from ai_engine.describe import locate
from ai_engine.domain import NoduleType
from ai_engine.evaluation.language import Planted
from ai_engine.evaluation.language_prompts import CALCIFIED
from ai_engine.evaluation.scores import diameter_mm, segment_of
from ai_engine.lungs import Lungs
from dicom_node.cases.detection_exams import name_of
from dicom_node.cases.lidc_database import Annotation, LidcDatabase, Split
from dicom_node.cases.shapes import nodule_shapes

DIAMETER_MM = (5.0, 30.0)
#: Tried in each copy of a lung.
PER_SCAN = 8

_ABSENT = 6
# What is painted follows the reader's texture by chance: these make a kind likely; what the picture shows is the truth.
_KINDS: dict[str, Callable[[Annotation], bool]] = {
    str(NoduleType.SOLID): lambda each: each.ratings.texture == 5 and each.ratings.calcification == _ABSENT,
    str(NoduleType.PART_SOLID): lambda each: each.ratings.texture == 3 and each.ratings.calcification == _ABSENT,
    str(NoduleType.GROUND_GLASS): lambda each: each.ratings.texture == 1 and each.ratings.calcification == _ABSENT,
    CALCIFIED: lambda each: each.ratings.texture >= 4 and each.ratings.calcification < _ABSENT,
}


@dataclass
class Mixture:
    """Outlines of one split; a kind that runs out begins again, in other places.

    Attributes
    ----------
    shown : Counter
        Kind -> nodules planted so far that show it.
    drawn : Counter
        Kind -> outlines drawn of which it is not known yet what they show.
    calcified : set of int
        Annotations drawn so far to which their reader gave a pattern of calcium.
    """

    database: LidcDatabase
    split: Split
    seed: int
    shown: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    calcified: set[int] = field(default_factory=set)

    def shapes(self) -> Iterator[NoduleShape]:
        """Yield outlines without end, unless a kind has none at all; counts anew what is shown."""
        self.shown.clear()
        self.drawn.clear()
        outlines = {kind: self._again_and_again(wanted) for kind, wanted in _KINDS.items()}
        while True:
            kind = min(outlines, key=lambda each: self.shown[each] + self.drawn[each])
            shape = next(outlines[kind], None)
            if shape is None:
                return
            self.drawn[kind] += 1
            if shape.calcification < _ABSENT:
                self.calcified.add(shape.annotation_id)
            yield shape

    def planted(self, scan: PlantedScan, lungs: Lungs) -> dict[str, Planted]:
        """Say what is true of the nodules of a copy, by ``name_of``, as in the exam of the copy; counts what they show.

        A nodule that does not show what was painted is left out: nobody knows what a prompt should make of it.
        """
        found = {
            name_of(nodule): planted
            for nodule in scan.nodules
            if (planted := self._planted(scan, nodule, lungs)) is not None
        }
        self.drawn.clear()
        self.shown.update(each.kind for each in found.values())
        return found

    def _planted(self, scan: PlantedScan, nodule: PlantedNodule, lungs: Lungs) -> Planted | None:
        target = scan.labels == nodule.number
        outline = segment_of(target)
        if outline is None:
            return None
        painted, spacing = nodule.nodule_type, scan.volume.spacing_krc_mm
        diameter = diameter_mm(outline.mask, spacing)
        shown = visible_type(scan.volume.hu, target, spacing, diameter, painted)
        is_calcified = nodule.annotation_id in self.calcified and shown is not NoduleType.GROUND_GLASS
        if shown is None or (is_calcified and not shows_calcium(scan.volume.hu, target, spacing)):
            return None
        return Planted(
            name=f"{name_of(nodule)} in {scan.lung}",
            lung=scan.lung.split("/")[0],
            renderer=str(scan.renderer),
            kind=CALCIFIED if is_calcified else str(shown),
            facts=_facts(shown, diameter, is_calcified),
            diameter_mm=diameter,
            location=locate(lungs, outline),
        )

    def _again_and_again(self, wanted: Callable[[Annotation], bool]) -> Iterator[NoduleShape]:
        found = True
        while found:
            found = False
            for shape in nodule_shapes(self.database, self.split, seed=self.seed, wanted=wanted):
                low, high = DIAMETER_MM
                if low <= diameter_mm(shape.mask, shape.spacing_krc_mm) <= high:
                    found = True
                    yield shape


def _facts(kind: NoduleType, diameter: float, is_calcified: bool) -> Facts:
    known = dict(clip_facts.of_nodule(kind, diameter, None).values)
    known[Attribute.CALCIFICATION] = YES if is_calcified else NO
    return Facts(MappingProxyType(known))
