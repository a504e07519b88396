"""Weights from their file into a network on a device. Needs torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from ai_engine.errors import WeightsError
from ai_engine.grid import Float32Array
from ai_engine.sam2 import network as sam2
from ai_engine.sam2 import roi

# Published networks saw photographs, normalised by the colours of ImageNet; on CT the window of MedSAM2's recipe is
# used (level -750, width 1500 HU), the same in all three channels.
_PUBLISHED_WINDOW_HU = (-1500.0, 0.0)
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)[:, None, None]
_IMAGENET_SD = np.array([0.229, 0.224, 0.225], dtype=np.float32)[:, None, None]

Look = Callable[[Float32Array], Float32Array]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network that is ready to be asked.

    Attributes
    ----------
    look : callable
        HU (n, size, size) -> channels (n, 3, size, size) float32, as this network knows them.
    """

    network: nn.Module
    device: torch.device
    look: Look


def load(path: Path, config: str, image_size: int, device: str = "auto") -> Loaded:
    """Read weights from a file, ours (safetensors) or published ones (``{"model": weights}`` by ``torch.save``).

    Nothing in the file is run: of a pickle only tensors and plain values are read.

    Raises
    ------
    WeightsError
        The file cannot be read, or its weights are not those of this network.
    """
    network = sam2.build(config, image_size=image_size)
    try:
        network.load_state_dict(_read(path))
    except (OSError, SafetensorError, UnpicklingError, KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path} does not hold the weights of {config}: {_first_line(error)}") from error
    return placed(network, config, device)


def placed(network: nn.Module, config: str, device: str = "auto") -> Loaded:
    """Bring a network to a device: ``"auto"`` is CUDA where there is one, else the CPU, on one thread.

    Raises
    ------
    WeightsError
        CUDA was asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise WeightsError("device is cuda, and torch sees no CUDA device here")
    chosen = torch.device("cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu")
    if chosen.type == "cpu":
        torch.set_num_threads(1)  # measured: with both cores busy, two threads of one worker are three times slower
    return Loaded(network.eval().requires_grad_(False).to(chosen), chosen, _look_of(config))


def _look_of(config: str) -> Look:
    return roi.windowed if config == sam2.OWN else published_look


def published_look(hu: Float32Array) -> Float32Array:
    """Turn HU (n, size, size) into the channels (n, 3, size, size) float32 that published networks know."""
    low, high = _PUBLISHED_WINDOW_HU
    grey = np.clip((hu - low) / (high - low), 0, 1, dtype=np.float32)
    return ((grey[:, None] - _IMAGENET_MEAN) / _IMAGENET_SD).astype(np.float32, copy=False)


def _read(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    weights: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)["model"]
    return weights


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
