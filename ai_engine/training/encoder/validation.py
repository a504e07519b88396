"""How good an encoder is in the middle of a run: patients and lungs kept for this, at the search's own places."""

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from ai_engine.clip import sentences
from ai_engine.clip.ensembles import By, ensembles_of, scores
from ai_engine.clip.facts import YES, Attribute, Claim
from ai_engine.clip.loading import Loaded, Seen, shown
from ai_engine.domain import FloatArray, NoduleType
from ai_engine.training.encoder.augment import plain
from ai_engine.training.encoder.places import Places

FALSE_POSITIVES = (1.0, 2.0, 4.0, 8.0)
_LARGER_MM = 6.0
_TYPES = tuple(str(kind) for kind in NoduleType)
_ASKED = {
    **{name: Claim(Attribute.TYPE, name) for name in _TYPES},
    "calcified": Claim(Attribute.CALCIFICATION, YES),
}
_AT_ONCE = 32


@dataclass(frozen=True)
class Validation:
    """Figures over the validation places.

    Attributes
    ----------
    auc, auc_head : float
        Nodules against the search's other places: by text, and by the head alone.
    sensitivity : dict
        False positives per scan -> share of nodules above the threshold that gives them, by text.
    thresholds : dict
        The same -> that threshold.
    sensitivity_from_6_mm : dict
        The same of nodules of 6 mm and more, at the same thresholds.
    sensitivity_head : float
        Mean over the same numbers of false positives, by the head.
    told_apart : dict
        What prompts choose by (solid, ..., calcified) -> how well held-out paraphrases tell it, among nodules, from
        near.
    """

    auc: float
    auc_head: float
    sensitivity: dict[str, float]
    sensitivity_from_6_mm: dict[str, float]
    thresholds: dict[str, float]
    sensitivity_head: float
    told_apart: "dict[str, ToldApart]"

    @property
    def types(self) -> float:
        """Mean over solid, part-solid and ground-glass of how often they are judged rightly."""
        rates = [each.rightly for name, each in self.told_apart.items() if name in _TYPES]
        return float(np.mean(rates)) if rates else float("nan")

    @property
    def worth(self) -> float:
        """What the best weights are chosen by: nodules of 6 mm and more that are found, and types that are told."""
        found = float(np.mean(list(self.sensitivity_from_6_mm.values())))
        return found if np.isnan(self.types) else (found + self.types) / 2

    @property
    def mean_sensitivity(self) -> float:
        """Mean over the numbers of false positives, by text."""
        return float(np.mean(list(self.sensitivity.values())))

    def as_json(self) -> dict[str, object]:
        """Say the figures."""
        told: dict[str, object] = {
            name: round(getattr(self, name), 4) for name in ("auc", "auc_head", "types", "worth")
        }
        told["sensitivity_head"] = round(self.sensitivity_head, 4)
        told["mean_sensitivity"] = round(self.mean_sensitivity, 4)
        told["told_apart"] = {name: asdict(each) for name, each in self.told_apart.items()}
        names = ("sensitivity", "sensitivity_from_6_mm", "thresholds")
        return {**told, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class ToldApart:
    """How well the held-out paraphrases of a claim tell nodules apart.

    Attributes
    ----------
    rightly : float
        Mean of the shares of true and of false cases judged rightly at a likeness of 0, over the paraphrases.
    auc : float
        True against false cases, over the paraphrases.
    n : int
        True cases.
    """

    rightly: float
    auc: float
    n: int


class Judged:
    """The validation places, read once."""

    def __init__(self, places: Places) -> None:
        self._places = [series.place(i) for series in places.series for i in range(len(series.values))]
        self._n_scans = len(places.series)

    @cached_property
    def _kinds(self) -> np.ndarray:
        return np.array([place.told["kind"] for place in self._places])

    @cached_property
    def _diameters_mm(self) -> FloatArray:
        return np.array([float(place.told.get("diameter_mm", 0.0)) for place in self._places])

    def validate(self, loaded: Loaded) -> Validation:
        """Judge an encoder."""
        seen, closely = self._seen(loaded)
        ensembles = ensembles_of(loaded)
        nodule, other = self._kinds == "nodule", self._kinds == "candidate"
        by_text, by_head = (scores(loaded, ensembles, seen, by) for by in (By.TEXT, By.HEAD))
        thresholds = self._thresholds(by_text[other])
        larger = nodule & (self._diameters_mm >= _LARGER_MM)
        by_head_at = self._thresholds(by_head[other]).values()
        return Validation(
            auc=auc(by_text[nodule], by_text[other]),
            auc_head=auc(by_head[nodule], by_head[other]),
            sensitivity=_above(by_text[nodule], thresholds),
            sensitivity_from_6_mm=_above(by_text[larger], thresholds),
            thresholds=thresholds,
            sensitivity_head=float(np.mean([np.mean(by_head[nodule] > at) for at in by_head_at])),
            told_apart=self._told_apart(loaded, closely[nodule], nodule),
        )

    def _seen(self, loaded: Loaded) -> tuple[Seen, FloatArray]:
        """Look at all places: what is seen of them, and their vectors from near."""
        import torch  # noqa: PLC0415

        looks = []
        for i in range(0, len(self._places), _AT_ONCE):
            cubes = zip(*(plain(place) for place in self._places[i : i + _AT_ONCE]), strict=True)
            with torch.no_grad():
                fine, coarse, close = (shown(np.stack(scale)) for scale in cubes)
                look = *loaded.network.images(fine, coarse), loaded.network.closely(fine, coarse, close)
            looks.append([each.double().numpy() for each in look])
        vectors, head, closely = (np.concatenate(each) for each in zip(*looks, strict=True))
        return Seen(vectors, head), closely

    def _thresholds(self, others: FloatArray) -> dict[str, float]:
        """Score above which so many of the others lie for each scan."""
        falling = np.sort(others)[::-1]
        at = {f"{n:g}": min(round(n * self._n_scans), len(falling) - 1) for n in FALSE_POSITIVES}
        return {name: float(falling[i]) for name, i in at.items()}

    def _told_apart(self, loaded: Loaded, vectors: FloatArray, nodule: np.ndarray) -> dict[str, ToldApart]:
        nodules = [place for place, is_one in zip(self._places, nodule, strict=True) if is_one]
        found = {}
        for name, claim in _ASKED.items():
            truth = np.array([place.facts.verdict([claim]) for place in nodules])
            if (truth == 1).any() and (truth == -1).any():
                found[name] = _apart(loaded, vectors, truth, claim)
        return found


def _above(scored: FloatArray, thresholds: dict[str, float]) -> dict[str, float]:
    return {name: round(float(np.mean(scored > at)), 4) if len(scored) else 0.0 for name, at in thresholds.items()}


def _apart(loaded: Loaded, vectors: FloatArray, truth: np.ndarray, claim: Claim) -> ToldApart:
    texts = [sentence.text for sentence in sentences.paraphrases(claim)]
    likeness = loaded.likeness(vectors, loaded.read(texts))
    true, false = likeness[truth == 1], likeness[truth == -1]
    rightly = (np.mean(true > 0) + np.mean(false <= 0)) / 2
    areas = [auc(true[:, i], false[:, i]) for i in range(len(texts))]
    return ToldApart(round(float(rightly), 4), round(float(np.mean(areas)), 4), len(true))


def auc(positives: FloatArray, negatives: FloatArray) -> float:
    """Area under the ROC curve; ties count half."""
    if not len(positives) or not len(negatives):
        return float("nan")
    falling = np.sort(negatives)
    below, upto = np.searchsorted(falling, positives, "left"), np.searchsorted(falling, positives, "right")
    return float(((below + upto) / 2).mean() / len(negatives))
