"""Which places a step sees: kinds by shares, lungs evenly, and of what is no nodule the hardest most often."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ai_engine.clip.facts import YES, Attribute, Facts
from ai_engine.domain import NoduleType
from ai_engine.errors import TrainingError
from ai_engine.training.encoder.places import Place, Places
from ai_engine.training.encoder.plan import Plan

# Four of five nodules in lungs are solid: drawn as they come, the others would hardly be learnt.
_CALCIFIED = "calcified"
_SHARES = {NoduleType.SOLID: 0.4, NoduleType.PART_SOLID: 0.25, NoduleType.GROUND_GLASS: 0.2, _CALCIFIED: 0.15}

# How hard a candidate is: at first, and between what limits afterwards. No more, since a few may be nodules after all.
_UNSEEN, _EASIEST, _HARDEST = 1.0, 0.03, 3.0

_Index = tuple[int, int]


@dataclass(frozen=True)
class Spot:
    """A candidate that is no nodule, in all its cuts: its patient, and its number among the patient's."""

    patient: str
    number: int


class Pool:
    """Draws places: nodules and what is none as planned, kinds by ``_SHARES``, each lung as often as another.

    Most of what a search proposes is soon told from nodules and teaches nothing more; what decides at a few false
    positives per scan is the hardest hundredth. So candidates are drawn by how wrong the network was when it saw them
    last.

    Parameters
    ----------
    places : Places
    hardness : dict
        Patient -> how hard each of the patient's spots was, (n,) float32; what is missing is added, all unseen.
    """

    def __init__(self, places: Places, hardness: dict[str, Tensor] | None = None) -> None:
        self._places = places
        self._spots = _by_spot(places)
        self._hardness = {} if hardness is None else hardness
        for patient, spots in self._spots.items():
            self._hardness.setdefault(patient, torch.full((len(spots),), _UNSEEN))
        self._groups = {group: self._by_patient(index) for group, index in self._grouped().items()}
        kinds = [kind for kind in _SHARES if kind in self._groups]
        for group, is_there in (("nodule", kinds), ("candidate", self._spots)):
            if not is_there:
                raise TrainingError(f"there is no place of the kind {group} to learn from")
        shares = np.array([_SHARES[kind] for kind in kinds])
        self._kinds, self._shares = kinds, shares / shares.sum()

    def draw(self, plan: Plan, index: int, rng: np.random.Generator) -> tuple[Place, Spot | None]:
        """Draw the place with this index of a batch; its spot where it is a candidate."""
        if index < round(plan.nodule_share * plan.batch):
            group = str(self._kinds[int(rng.choice(len(self._kinds), p=self._shares))])
        elif "sham" in self._groups and rng.random() < plan.sham_share:
            group = "sham"
        else:
            return self._candidate(rng)
        patients = self._groups[group]
        some = patients[int(rng.integers(len(patients)))]
        return self._places.at(some[int(rng.integers(len(some)))]), None

    def learn(self, spots: Sequence[Spot | None], costs: Tensor) -> None:
        """Keep how hard places were, (n,) float: what each added to the loss."""
        for spot, cost in zip(spots, costs.tolist(), strict=True):
            if spot is not None:
                self._hardness[spot.patient][spot.number] = min(_EASIEST + cost, _HARDEST)

    def _candidate(self, rng: np.random.Generator) -> tuple[Place, Spot]:
        patients = list(self._spots)
        patient = patients[int(rng.integers(len(patients)))]
        up_to = np.cumsum(self._hardness[patient].numpy(), dtype=np.float64)
        number = min(int(np.searchsorted(up_to, rng.random() * up_to[-1], "right")), len(up_to) - 1)
        cuts = self._spots[patient][number]
        return self._places.at(cuts[int(rng.integers(len(cuts)))]), Spot(patient, number)

    def _grouped(self) -> dict[str, list[_Index]]:
        groups: dict[str, list[_Index]] = {}
        for kind in ("nodule", "sham"):
            for index in self._places.where(kind):
                groups.setdefault(_group(kind, self._places.facts(index)), []).append(index)
        return groups

    def _by_patient(self, group: list[_Index]) -> list[list[_Index]]:
        patients: dict[str, list[_Index]] = {}
        for index in group:
            patients.setdefault(self._places.series[index[0]].patient, []).append(index)
        return list(patients.values())


def _by_spot(places: Places) -> dict[str, list[list[_Index]]]:
    """Patient -> candidates, each with all its cuts."""
    spots: dict[str, dict[object, list[_Index]]] = {}
    for series, i in places.where("candidate"):
        each = places.series[series]
        spot = (series, *each.values[i]["centre_krc"], each.values[i]["diameter_mm"])
        spots.setdefault(each.patient, {}).setdefault(spot, []).append((series, i))
    return {patient: list(found.values()) for patient, found in spots.items()}


def _group(kind: str, facts: Facts) -> str:
    """Name what a place is drawn as: shams by their kind, nodules by calcium and type."""
    if kind != "nodule":
        return kind
    if facts.values.get(Attribute.CALCIFICATION) == YES:
        return _CALCIFIED
    return facts.values.get(Attribute.TYPE, str(NoduleType.SOLID))
