"""A trained network as it is shipped: weights in 16 bits, and beside them what they were made of."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

from ai_engine.errors import TrainingError
from ai_engine.sam2 import network as sam2
from ai_engine.sam2.weights import sha256_of
from ai_engine.training import checkpoints


def network_of(folder: Path, name: str) -> nn.Module:
    """Load the moving average of a checkpoint, rounded as it is shipped."""
    network = sam2.build(sam2.OWN)
    network.load_state_dict(checkpoints.half(checkpoints.read(folder, name)["average"]))
    return network


def export(folder: Path, name: str, facts: dict[str, Any], to: Path) -> dict[str, Any]:
    """Write the moving average of a checkpoint as ``to`` (safetensors) and its metadata as ``to`` with ``.json``.

    Parameters
    ----------
    folder, name : Path, str
        Of the checkpoint.
    facts : dict
        What the run's folder does not know: the data and the code's version.

    Returns
    -------
    dict
        The metadata.
    """
    state = checkpoints.read(folder, name)
    weights = checkpoints.half(state["average"])
    to.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(weights, str(to))
    to.chmod(0o644)  # the library lets nobody but the writer read it
    metadata = {
        "size": to.stat().st_size,
        "sha256": sha256_of(to),
        **facts,
        "parameters": sum(value.numel() for value in weights.values()),
        "steps": state["step"],
        "seconds": round(state["seconds"]),
        "plan": state["plan"],
        "curve": state["curve"],
        "first_losses": state["first_losses"],
    }
    to.with_suffix(".json").write_text(json.dumps(metadata, indent=1), encoding="utf-8")
    return metadata


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata beside exported weights; raises ``TrainingError``."""
    if not path.is_file():
        raise TrainingError(f"no metadata at {path}")
    metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return metadata
