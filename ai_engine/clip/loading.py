"""The encoder from its file, and what it sees and reads. Needs torch."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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

# Along k, r, c: 1, or -1 where it runs the other way.
_Signs = tuple[int, int, int]

# So many places at once: more does not go faster.
_AT_ONCE = 32
# Along k, r, c: half turns about each axis. The other four mirrorings added nothing on validation lungs.
_TURNS = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
# So far beside the place each look of a thorough one is, as far as the search misses nodules: what is a nodule from the
# one point alone is none. On validation lungs that removes false positives, most of the highest scores.
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

    def look(self, views: patches.Views, centres_krc: ArrayLike, *, is_thorough: bool = False) -> Seen:
        """Look at places, for what ranks.

        Parameters
        ----------
        centres_krc : (n, 3) float
            Voxel indices of the turned volume.
        is_thorough : bool
            Four times, turned, from all around.
        """
        places = _places(centres_krc)
        corner_krc = _BESIDE_MM / np.sqrt(3) / np.array(views.volume.spacing_krc_mm)
        looks = [(places + turn * corner_krc, turn) for turn in _TURNS] if is_thorough else [(places, _TURNS[0])]
        seen = self._looked(partial(self._images, views), looks, self.network.config.dimension + 1)
        return Seen(seen[:, :-1], seen[:, -1])

    def closely(self, views: patches.Views, centres_krc: ArrayLike) -> FloatArray:
        """Look at places from near, for what a prompt selects: four times, turned, each time at the place itself.

        Returns
        -------
        (n, dimension) float64
            Vectors; not to be mixed with those of ``look``. From beside, as ``look`` looks, the blurred edge of a small
            solid nodule is taken for glass.
        """
        looks = [(_places(centres_krc), turn) for turn in _TURNS]
        return self._looked(partial(self._near, views), looks, self.network.config.dimension)

    def read(self, texts: Sequence[str]) -> FloatArray:
        """Read texts: (n, dimension) float64 of length 1; raises ``UnknownWords``."""
        with torch.no_grad():
            vectors = self.network.sentences(torch.from_numpy(self.vocabulary.encode(texts)))
        return vectors.double().numpy()

    def likeness(self, vectors: FloatArray, texts: FloatArray) -> FloatArray:
        """Logits (n, m) that texts are true of places, from the vectors of both."""
        scale, bias = float(self.network.log_scale.exp()), float(self.network.bias)
        return scale * vectors @ texts.T + bias

    def _looked(
        self, see: Callable[[FloatArray, _Signs], FloatArray], looks: Sequence[tuple[FloatArray, _Signs]], width: int
    ) -> FloatArray:
        """Look once at each place of each look, some on each core at a time: the mean of the looks, (n, width)."""
        with ThreadPoolExecutor(_cores()) as pool:
            waiting = [[pool.submit(see, some, turn) for some in _parted(places)] for places, turn in looks]
        nothing = np.empty((0, width))
        return np.mean([np.concatenate([nothing, *(part.result() for part in look)]) for look in waiting], axis=0)

    def _images(self, views: patches.Views, places: FloatArray, turn: _Signs) -> FloatArray:
        """See of some places what ranks: vectors, and in the last column the head."""
        with torch.no_grad():
            vectors, head = self.network.images(*_cubes(views, places, turn))
        return torch.column_stack((vectors, head)).double().numpy()

    def _near(self, views: patches.Views, places: FloatArray, turn: _Signs) -> FloatArray:
        """See of some places what prompts select by: vectors."""
        close = _turned([views.close(place) for place in places], turn)
        with torch.no_grad():
            return self.network.closely(*_cubes(views, places, turn), close).double().numpy()


def _places(centres_krc: ArrayLike) -> FloatArray:
    return np.asarray(centres_krc, dtype=np.float64).reshape(-1, 3)


def _cubes(views: patches.Views, places: FloatArray, turn: _Signs) -> tuple[torch.Tensor, torch.Tensor]:
    """Fine and coarse cubes of some places, with the volume turned."""
    fine, coarse = zip(*(views.cubes(place) for place in places), strict=True)
    return _turned(fine, turn), _turned(coarse, turn)


def _turned(cubes: Sequence[Float32Array], turn: _Signs) -> torch.Tensor:
    k, r, c = turn
    return shown(np.stack(cubes)[:, ::k, ::r, ::c])


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
