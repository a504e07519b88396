"""The encoder's weights: where they lie, what they are, and the threshold that was fixed with them. No torch here.

The bundled ones lie in ``weights/`` of this package: ``encoder.safetensors``, and beside it the ``encoder.json`` that
their training wrote. Putting both there switches the encoder on.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_engine.clip import wordings
from ai_engine.clip.ensembles import By
from ai_engine.clip.vocabulary import Vocabulary
from ai_engine.errors import WeightsError
from ai_engine.sam2.weights import Model, Weights

NAME = "encoder"
FILE = "encoder.safetensors"

_HERE = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class OperatingPoint:
    """From which score on a candidate is a finding.

    Attributes
    ----------
    threshold : float
    false_positives_per_scan : float
        Above it, on the validation lungs.
    n_scans : int or None
        How many those are, where it is known.
    zero : float
        The logit whose score is 0.5. Networks differ in how high they score what is none: with the zero at a number of
        false positives per scan, one threshold means the same for all of them.
    """

    threshold: float
    false_positives_per_scan: float
    n_scans: int | None = None
    zero: float = 0.0


def bundled() -> Model:
    """Return the encoder in the package; its size and sha256 stand in the metadata beside the weights."""
    told = _read((_HERE / FILE).with_suffix(".json"))
    return Model(NAME, NAME, 0, FILE, told.get("size", 0), told.get("sha256", ""), "Apache-2.0")


def weights_of(path: Path | None = None, sha256: str = "") -> Weights:
    """Say where the encoder's weights are, and what they must be.

    Parameters
    ----------
    path, sha256 : Path or None, str
        The site's own file and its sha256, instead of those in the package.
    """
    model = bundled()
    return Weights(model, path or _HERE / FILE, sha256.lower() or model.sha256)


def are_bundled() -> bool:
    """Tell whether this version comes with an encoder; a part of one counts, so that it is not overlooked."""
    weights = weights_of()
    return weights.path.is_file() or bool(weights.sha256)


def version_of(weights: Weights) -> str:
    """Return the version of the software that trained them."""
    return str(weights.metadata.get("version", "unknown"))


def operating_point(weights: Weights) -> OperatingPoint:
    """Return the threshold that was fixed on validation lungs.

    It stands under ``detection`` in the metadata (``threshold``, ``false_positives_per_scan``, ``scans``, ``zeros``).
    The curve of the training is no substitute: its false positives are not those of the node's own search.

    Raises
    ------
    WeightsError
        The metadata say nothing of a threshold.
    """
    try:
        fixed = weights.metadata["detection"]
        zero = zeros_of(weights.metadata).get(By.TEXT, 0.0)
        return OperatingPoint(fixed["threshold"], fixed["false_positives_per_scan"], fixed.get("scans"), zero)
    except (KeyError, TypeError, AttributeError) as error:
        beside = weights.path.with_suffix(".json")
        raise WeightsError(
            f"{beside} does not say at which threshold {weights.path.name} detects: run `emerald train threshold`"
        ) from error


def zeros_of(metadata: Mapping[str, Any]) -> dict[str, float]:
    """Return the logit whose score is 0.5, by what ranks (``ensembles.By``); empty where none was fixed."""
    return dict((metadata.get("detection") or {}).get("zeros", {}))


def vocabulary_of(weights: Weights) -> Vocabulary:
    """Read the words that the encoder knows from the header of its file.

    Raises
    ------
    WeightsError
        It holds none, or lacks some that this version scores candidates by.
    """
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - not for every process

    try:
        with safe_open(str(weights.path), framework="numpy") as file:
            words = json.loads((file.metadata() or {})["words"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"{weights.path} does not hold the words of an encoder") from error
    vocabulary = Vocabulary(tuple(words))
    if strange := vocabulary.unknown(" ".join(_scored_by())):
        raise WeightsError(
            f"{weights.path} was trained without words that this version scores by: {', '.join(strange)}"
        )
    return vocabulary


def _scored_by() -> Iterator[str]:
    """Yield what the ensembles of wordings are made of."""
    yield from (*wordings.NODULE, *wordings.OPACITY, *wordings.NOT_A_NODULE)
    yield from (phrase for phrases in wordings.STRUCTURES.values() for phrase in phrases)
    yield from (pattern.format("") for pattern in wordings.PATTERNS)


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
