"""What outlines a nodule in a lung to test in: the bundled SAM2, but nothing that was trained in that lung."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ai_engine.sam2 import weights as sam2_weights
from ai_engine.sam2.weights import Weights
from ai_engine.stages import Segmenter, weight_free, with_sam2
from dicom_node.cases.splits import check_unseen
from dicom_node.cli.trained_lungs import SEGMENTER, trained_in
from dicom_node.errors import SplitViolation

SAM2, GROWING = "the bundled SAM2", "region growing"


def _bundled() -> Weights:
    return sam2_weights.weights_of(sam2_weights.bundled(), Path())


@dataclass
class NoduleOutlines:
    """Segmenters, each made once; region growing has no weights and so saw no lung.

    Attributes
    ----------
    used : Counter
        Name of a segmenter -> nodules that it outlined.
    """

    weights: Weights = field(default_factory=_bundled)
    used: Counter[str] = field(default_factory=Counter)

    def name_for(self, patient: str) -> str:
        """Name what outlines in the lung of a patient.

        Raises
        ------
        CaseDataMissing
            Nothing says where the weights were trained.
        """
        try:
            check_unseen(patient, self._trained_in)
        except SplitViolation:
            return GROWING
        return SAM2

    def segmenter(self, name: str) -> Segmenter:
        """Return the segmenter of a name; raises ``WeightsMissing`` and ``WeightsCorrupt``."""
        return self._sam2 if name == SAM2 else self._growing

    def told(self) -> str:
        """Say which was used for how many."""
        return ", ".join(f"{n} by {name}" for name, n in sorted(self.used.items())) or "none"

    @cached_property
    def _trained_in(self) -> frozenset[str]:
        return trained_in(self.weights.path, SEGMENTER)

    @cached_property
    def _sam2(self) -> Segmenter:
        return with_sam2(self.weights).segmenter

    @cached_property
    def _growing(self) -> Segmenter:
        return weight_free().segmenter
