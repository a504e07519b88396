"""What names a part of a nodule, for SAM2: a vector becomes tokens beside its sparse prompts. Needs torch.

SAM2 has no text input. Its own weights stay as they are; only this small network is trained, so that without a part
named nothing changes.
"""

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ai_engine.errors import WeightsError


class Adapter(nn.Module):
    """Vectors (n, dimension) that name parts, to tokens (n, n_tokens, channels).

    In between lies a short code, and what it tells of the part is learnt beside the outlines: from these alone the
    words of a part are hardly learnt, since a text encoder has them in small differences.

    Parameters
    ----------
    dimension : int
        Of the vectors.
    channels : int
        Of SAM2's prompts (``channels_of``).
    n_parts : int

    Attributes
    ----------
    centre : (dimension,) Tensor
        Mean of the vectors that it learns from: what all of them say names no part.
    """

    def __init__(self, dimension: int, channels: int, n_parts: int, n_tokens: int = 8) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(dimension))
        self.read = nn.Sequential(nn.Linear(dimension, 128), nn.GELU(), nn.Dropout(0.1), nn.Linear(128, 16), nn.Tanh())
        self.name = nn.Linear(16, n_parts)
        self.write = nn.Linear(16, n_tokens * channels, bias=False)
        # as long as SAM2's own prompts are: shorter ones learn to be heard for a long time
        self.tokens = nn.Parameter(torch.randn(n_tokens, channels))

    def forward(self, vectors: Tensor) -> Tensor:
        """See the class."""
        tokens: Tensor = self.tokens + self.write(self._code(vectors)).unflatten(1, self.tokens.shape)
        return tokens

    def named(self, vectors: Tensor) -> Tensor:
        """Tell which part is named: logits (n, n_parts)."""
        logits: Tensor = self.name(self._code(vectors))
        return logits

    def _code(self, vectors: Tensor) -> Tensor:
        code: Tensor = self.read((vectors - self.get_buffer("centre")) * vectors.shape[1] ** 0.5)  # of length 1
        return code


def build(vectors: Sequence[Tensor], channels: int, seed: int) -> Adapter:
    """Make an adapter with random weights for parts that these vectors (n, dimension), each its own, name.

    The seed says which weights, and chance elsewhere is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapter = Adapter(vectors[0].shape[1], channels, len(vectors))
    adapter.get_buffer("centre").copy_(torch.stack([each.mean(dim=0) for each in vectors]).mean(dim=0))
    return adapter


def channels_of(network: nn.Module) -> int:
    """Return how many channels the prompts of a SAM2 have."""
    return int(network.sam_prompt_embed_dim)  # type: ignore[arg-type]


def load(path: Path) -> Adapter:
    """Read an adapter from its file.

    Raises
    ------
    WeightsError
        The file cannot be read, or holds something else.
    """
    try:
        weights = safetensors.torch.load_file(path)
        n_tokens, channels = weights["tokens"].shape
        adapter = Adapter(len(weights["centre"]), channels, len(weights["name.bias"]), n_tokens)
        adapter.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} does not hold the weights of an adapter: {str(error).splitlines()[0]}") from error
    return adapter.eval().requires_grad_(False)
