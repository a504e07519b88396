"""Published CLIP and BiomedCLIP beside ours: the same question, put to networks that saw photographs and figures.

Their weights are read from a folder that the site has (``transformers``: a ``CLIPModel``, or a vision-text dual encoder
such as BiomedCLIP converted); nothing is fetched. They are shown only: the score is not computed from them.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.clip import wordings
from ai_engine.domain import Candidate, CtVolume, FloatArray
from ai_engine.errors import WeightsError, WeightsMissing
from ai_engine.grid import Float32Array, Grid
from ai_engine.scene import Scene

# What is shown: the candidate with its surroundings, not less than this (ai.md 2.4), in the lung window.
_TIMES_DIAMETER, _LEAST_MM, _MOST_MM = 2.5, 32.0, 90.0
_POINTS = 64
_WINDOW_HU = (-1350.0, 150.0)
_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Published:
    """A network of ``transformers`` with its image processor and tokenizer."""

    model: Any
    processor: Any
    tokenizer: Any

    def images(self, pictures: Sequence[Float32Array]) -> FloatArray:
        """Look at grey pictures (r, c), 0 to 1: (n, dimension) float64 of length 1."""
        import torch  # noqa: PLC0415 - takes seconds to import
        from PIL import Image  # noqa: PLC0415

        rgb = [Image.fromarray((picture * 255).astype(np.uint8)).convert("RGB") for picture in pictures]
        with torch.inference_mode():
            seen = self.model.get_image_features(**self.processor(images=rgb, return_tensors="pt"))
        return _unit(seen)

    def texts(self, texts: Sequence[str]) -> FloatArray:
        """Read texts: (n, dimension) float64 of length 1."""
        import torch  # noqa: PLC0415

        words = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            return _unit(self.model.get_text_features(**words))

    @property
    def scale(self) -> float:
        """What likeness is multiplied by: CLIP's temperature."""
        return float(self.model.logit_scale.detach().exp())


@dataclass(frozen=True)
class PublishedScorer:
    """Scores candidates as ``TextScorer`` does, by a published network.

    Attributes
    ----------
    load : callable
        Gives the network; called once, when the first scene comes.
    """

    load: Callable[[], Published] = field(compare=False)

    @cached_property
    def network(self) -> Published:
        """The network."""
        return self.load()

    def score(self, scene: Scene, candidates: Sequence[Candidate]) -> FloatArray:
        """Score the candidates of a scene, (n,) float64: softmax mass on the words for a nodule."""
        if not candidates:
            return np.empty(0)
        positive, negative = self._texts
        likeness = self._seen(scene.volume, candidates) @ np.vstack([positive, negative]).T * self.network.scale
        mass = np.exp(likeness - likeness.max(axis=1, keepdims=True))
        return np.asarray(mass[:, : len(positive)].sum(axis=1) / mass.sum(axis=1))

    @cached_property
    def _texts(self) -> tuple[FloatArray, FloatArray]:
        said = "a CT image of a {}"
        others = [phrase for phrases in wordings.STRUCTURES.values() for phrase in phrases[:3]]
        read = self.network.texts
        return read([said.format(each) for each in wordings.NODULE]), read([said.format(each) for each in others])

    def _seen(self, volume: CtVolume, candidates: Sequence[Candidate]) -> FloatArray:
        """Mean vector of the three planes through each candidate, (n, dimension)."""
        pictures = [plane for candidate in candidates for plane in planes(volume, candidate)]
        parts = [self.network.images(pictures[i : i + _AT_ONCE]) for i in range(0, len(pictures), _AT_ONCE)]
        mean = np.concatenate(parts).reshape(len(candidates), 3, -1).mean(axis=1)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))


def planes(volume: CtVolume, candidate: Candidate) -> list[Float32Array]:
    """Cut the axial, the coronal and the sagittal picture through a candidate, each (64, 64) float32, 0 to 1."""
    side = float(np.clip(_TIMES_DIAMETER * candidate.diameter_mm, _LEAST_MM, _MOST_MM))
    low, high = _WINDOW_HU
    pictures = []
    for axis in range(3):
        shape = [_POINTS] * 3
        shape[axis] = 1
        step = side / _POINTS
        off = (np.array(shape) - 1) / 2 * step / np.array(volume.spacing_krc_mm)
        k, r, c = (float(v) for v in np.array(candidate.centre_krc) - off)
        grid = Grid(step, (k, r, c), volume.spacing_krc_mm, (shape[0], shape[1], shape[2]))
        hu = grid.sample(volume.hu).squeeze(axis)
        grey = np.clip((hu - low) / (high - low), 0, 1)
        pictures.append(np.asarray(grey if axis == 0 else grey[::-1], dtype=np.float32))  # the head is up
    return pictures


def revision_of(folder: Path) -> str:
    """Hash the weights, settings and words in a folder: SHA-256, the same wherever the folder lies.

    Raises
    ------
    WeightsError
        They cannot be read.
    """
    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    digest = hashlib.sha256()
    try:
        for path in (*weights, *sorted(folder.glob("*.json")), *sorted(folder.glob("*.txt"))):
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise WeightsError(f"{folder} cannot be read: {error}") from error
    return digest.hexdigest()


def load(folder: Path) -> Published:
    """Read a network from a folder as ``transformers`` writes it.

    Raises
    ------
    WeightsMissing
        There is no such folder.
    WeightsError
        What is in it is no image-text network.
    """
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer  # noqa: PLC0415 - takes seconds to import

    if not (folder / "config.json").is_file():
        raise WeightsMissing(f"there is no network at {folder}")
    try:
        model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{folder} holds no network that can be read: {str(error).splitlines()[0]}") from error
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise WeightsError(f"{folder} holds {type(model).__name__}, which reads no text")
    return Published(model, processor, tokenizer)


def _unit(vectors: Any) -> FloatArray:
    """Vectors of length 1; newer versions of transformers wrap them."""
    values = getattr(vectors, "pooler_output", vectors).double().numpy()
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))
