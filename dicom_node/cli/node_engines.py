"""The node as it would search a lung to test in: with weights that never saw it, at the one threshold."""

from dataclasses import dataclass, field, replace

from ai_engine.clip import weights as encoder_weights
from ai_engine.engine import Engine
from ai_engine.errors import NoLungs, WeightsError
from ai_engine.evaluation.domain import Case
from ai_engine.evaluation.reported import Reported, reported
from ai_engine.sam2.weights import sha256_of
from ai_engine.stages import weight_free, with_encoder
from dicom_node.cli.detection_scorers import Weights
from dicom_node.cli.nodule_outlines import NoduleOutlines


@dataclass
class NodeEngines:
    """Makes the engine for one lung after the other.

    Attributes
    ----------
    weights : Weights
        The threshold of those for all lungs holds for the folds, too, each with its own zero.
    left_out : dict
        Series -> why it was not searched.
    """

    weights: Weights
    outlines: NoduleOutlines = field(default_factory=NoduleOutlines)
    left_out: dict[str, str] = field(default_factory=dict)

    def report(self, case: Case) -> list[Reported]:
        """Search a case as the node does; nothing where no lung is found, or nothing fixed a threshold."""
        try:
            engine, by = self._engine_for(case.name.split("/")[0])
            return [reported(case, engine, by)]
        except (NoLungs, WeightsError) as error:
            self.left_out[case.name] = str(error)
            return []

    def facts(self) -> dict[str, str]:
        """Say what was left out, and why."""
        told = [f"{name} ({why})" for name, why in self.left_out.items()]
        return {"not searched as the node does": ", ".join(told)} if told else {}

    def _engine_for(self, patient: str) -> tuple[Engine, str]:
        path, name = self.weights.path_for(patient), self.outlines.name_for(patient)
        tier = replace(weight_free(), segmenter=self.outlines.segmenter(name))
        if path is None:
            return Engine(tier=tier), f"the search without weights, {name}"
        own = encoder_weights.weights_of(path, sha256_of(path))
        shipped, point = (
            encoder_weights.operating_point(each)
            for each in (encoder_weights.weights_of(self.weights.file or path), own)
        )
        point = replace(point, threshold=shipped.threshold)
        return Engine(tier=with_encoder(tier, own, point)), f"{path.name} at {point.threshold:g}, {name}"
