"""The encoder from its file, and what it sees and reads. Needs torch."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import ArrayLike
from safetensors import SafetensorError, safe_open

from ai_engine.clip import network as clip
from ai_engine.clip import patches
from ai_engine.clip.vocabulary import Vocabulary
from ai_engine.domain import FloatArray
from ai_engine.errors import WeightsError
from ai_engine.grid import Float32Array

# So many places at once: more does not go faster.
_AT_ONCE = 32
# Along k, r, c: half turns about each axis. The other four mirrorings added nothing on validation lungs.
_TURNS = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
# So far beside the place each look of a thorough one is, as far as the search misses nodules: what is a nodule from the
# one point alone is none. On validation lungs that removes false positives, most of the highest scores. From near each
# looks at the middle of an outline: from beside a small solid nodule's blurred edge is taken for glass.
_BESIDE_MM = 1.5


@dataclass(frozen=True, eq=False)
class Seen:
    """What the encoder says of places before it was asked anything.

    Attributes
    ----------
    vectors : (n, dimension) float64
        The longer, the more certain; a mean of several looks.
    head : (n,) float64
        Logits of nodule against not, without any text.
    """

    vectors: FloatArray
    head: FloatArray


@dataclass(frozen=True, eq=False)
class Loaded:
    """An encoder that is ready to be asked, with the words it knows."""

    network: clip.Encoder
    vocabulary: Vocabulary

    def look(
        self, views: patches.Views, centres_krc: ArrayLike, *, is_thorough: bool = False, is_close: bool = False
    ) -> Seen:
        """Look at places.

        Parameters
        ----------
        centres_krc : (n, 3) float
            Voxel indices of the turned volume.
        is_thorough : bool
            Four times, turned; for what is ranked each time a little beside the place.
        is_close : bool
            From near, too: for what a prompt selects. The vectors of one kind of look are not those of another.
        """
        places = np.asarray(centres_krc, dtype=np.float64).reshape(-1, 3)
        beside_mm = 0.0 if is_close else _BESIDE_MM
        corner_krc = beside_mm / np.sqrt(3) / np.array(views.volume.spacing_krc_mm)
        looks = [(places + turn * corner_krc, turn) for turn in _TURNS] if is_thorough else [(places, _TURNS[0])]
        seen = self._seen(views, looks, is_close=is_close)
        return Seen(np.mean([look.vectors for look in seen], axis=0), np.mean([look.head for look in seen], axis=0))

    def read(self, texts: Sequence[str]) -> FloatArray:
        """Read texts: (n, dimension) float64 of length 1; raises ``UnknownWords``."""
        with torch.no_grad():
            vectors = self.network.sentences(torch.from_numpy(self.vocabulary.encode(texts)))
        return vectors.double().numpy()

    def likeness(self, vectors: FloatArray, texts: FloatArray) -> FloatArray:
        """Logits (n, m) that texts are true of places, from the vectors of both."""
        scale, bias = float(self.network.log_scale.exp()), float(self.network.bias)
        return scale * vectors @ texts.T + bias

    def _seen(
        self, views: patches.Views, looks: Sequence[tuple[FloatArray, tuple[int, int, int]]], *, is_close: bool
    ) -> list[Seen]:
        """Look once at each place of each look, with the volume turned; some places on each core at a time."""
        with ThreadPoolExecutor(_cores()) as pool:
            waiting = [
                [pool.submit(self._images, views, some, turn, is_close=is_close) for some in _parted(places)]
                for places, turn in looks
            ]
        return [self._joined([part.result() for part in look]) for look in waiting]

    def _joined(self, seen: Sequence[tuple[FloatArray, FloatArray]]) -> Seen:
        nothing = np.empty((0, self.network.config.dimension)), np.empty(0)
        vectors, head = (np.concatenate(each) for each in zip(nothing, *seen, strict=True))
        return Seen(vectors, head)

    def _images(
        self, views: patches.Views, places: FloatArray, turn: tuple[int, int, int], *, is_close: bool
    ) -> tuple[FloatArray, FloatArray]:
        def turned(cubes: Sequence[Float32Array]) -> torch.Tensor:
            k, r, c = turn
            return shown(np.stack(cubes)[:, ::k, ::r, ::c])

        fine, coarse = (turned(cubes) for cubes in zip(*(views.cubes(place) for place in places), strict=True))
        with torch.no_grad():
            if is_close:
                _, head, vectors = self.network.looks(fine, coarse, turned([views.close(place) for place in places]))
            else:
                vectors, head = self.network.images(fine, coarse)
        return vectors.double().numpy(), head.double().numpy()


def _parted(places: FloatArray) -> list[FloatArray]:
    return [places[first : first + _AT_ONCE] for first in range(0, len(places), _AT_ONCE)]


def _cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shown(hu: Float32Array) -> torch.Tensor:
    """Turn cubes (n, k, r, c) in HU into what the network takes, laid out as it is fastest."""
    return torch.from_numpy(patches.windowed(hu)).contiguous(memory_format=torch.channels_last_3d)


def load(path: Path) -> Loaded:
    """Read an encoder from its file; sizes and words stand in the file's header.

    Raises
    ------
    WeightsError
        The file cannot be read, or holds something else.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
        config = clip.Config.from_json(json.loads(header["config"]))
        vocabulary = Vocabulary(tuple(json.loads(header["words"])))
        network = clip.build(config, seed=0)
        network.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} does not hold the weights of an encoder: {str(error).splitlines()[0]}") from error
    return placed(network, vocabulary)


def placed(network: clip.Encoder, vocabulary: Vocabulary) -> Loaded:
    """Make a network ready to be asked: each look on one thread of the CPU, since two get in each other's way."""
    torch.set_num_threads(1)
    network.eval().requires_grad_(False)
    return Loaded(network.to(memory_format=torch.channels_last_3d), vocabulary)


def save(network: clip.Encoder, vocabulary: Vocabulary, path: Path) -> None:
    """Write an encoder in 16 bits, with its sizes and words in the header."""
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    header = {"config": json.dumps(network.config.as_json()), "words": json.dumps(vocabulary.words)}
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(weights, str(path), metadata=header)
    path.chmod(0o644)  # the library lets nobody but the writer read it
