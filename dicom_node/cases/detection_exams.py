"""Scans to judge a detector on: copies of lungs with planted nodules, and the real cases with their lesions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ai_engine.composites import Background, PlantedNodule, PlantedScan
from ai_engine.domain import CtVolume, UInt8Array
from ai_engine.evaluation.crops import CHANGES, Crop
from ai_engine.evaluation.detection import Exam, Standing, Truth, truth_of
from ai_engine.evaluation.domain import Case
from ai_engine.evaluation.scores import segment_of
from ai_engine.geometry import affine_from
from ai_engine.lungs import ThresholdLungs
from dicom_node.cases import chest_case


@dataclass(frozen=True, eq=False)
class Copy:
    """A planted copy of a lung.

    Attributes
    ----------
    known : tuple of Truth
        Lesions that the lung had before: in a copy they are ignored.
    smallest_mm : float
        Smaller nodules are ignored, too.
    number : int
        Of the copy.
    """

    scan: PlantedScan
    known: tuple[Truth, ...]
    smallest_mm: float
    number: int

    def exam(self) -> Exam:
        """Make an exam of it."""
        return self._exam(self.scan.volume, self.scan.labels, self.known)

    def worsened(self, change: str, seed: int) -> Exam:
        """Make an exam of it after one of ``crops.CHANGES``; nodules lost between thick slices are no truth."""
        volume = self.scan.volume
        whole = Crop(volume.hu, self.scan.labels, volume.spacing_krc_mm, ThresholdLungs().find(volume))
        changed = CHANGES[change](whole, np.random.default_rng([seed, self.number]))
        k, r, c = changed.spacing_krc_mm
        after = CtVolume(changed.hu, affine_from((0, 0, 0), (0, 0, k), (0, r, 0), (c, 0, 0)), volume.contrast)
        # the first slab begins where the first slice did, so that their middles differ
        down_mm = (k - volume.spacing_krc_mm[0]) / 2
        known = [replace(truth, centre_mm=(truth.centre_mm[0] - down_mm, *truth.centre_mm[1:])) for truth in self.known]
        return self._exam(after, changed.labels, known)

    def _exam(self, volume: CtVolume, labels: UInt8Array, known: Sequence[Truth]) -> Exam:
        name = f"{self.scan.lung}, copy {self.scan.renderer}{self.number}"
        truths = [*self._planted(volume, labels), *(replace(truth, standing=Standing.IGNORED) for truth in known)]
        return Exam(self.scan.lung.split("/")[0], name, volume, tuple(truths))

    def _planted(self, volume: CtVolume, labels: UInt8Array) -> Iterator[Truth]:
        for nodule in self.scan.nodules:
            outline = segment_of(labels == nodule.number)
            if outline is None:
                continue
            truth = truth_of(name_of(nodule), outline, volume, nodule.nodule_type)
            counts = truth.diameter_mm >= self.smallest_mm
            yield replace(truth, standing=Standing.TARGET if counts else Standing.IGNORED)


def name_of(nodule: PlantedNodule) -> str:
    """Name a planted nodule within its copy: by this its truth and what became of it are put together."""
    return f"{nodule.patient_id} annotation {nodule.annotation_id}"


def real_exam(case: Case) -> Exam:
    """Make an exam of a real case: its lesions are to be found."""
    truths = [
        truth_of(lesion.name, lesion.truths[0].segment, case.volume, lesion.nodule_type) for lesion in case.lesions
    ]
    return Exam(case.name.split("/")[0], case.name, case.volume, tuple(truths))


def known_lesions(data_dir: Path, background: Background) -> tuple[Truth, ...]:
    """Return the outlined lesions of a lung; none for a crop, whose lesions nobody outlined."""
    folder = data_dir / "ct-chest" / background.patient
    if not folder.is_dir():
        return ()
    exams = [real_exam(case) for case in chest_case.read_each(folder)]
    return next((exam.truths for exam in exams if exam.scan == background.name), ())
