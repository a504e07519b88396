"""The network: two cubes of lung and a sentence, each to a vector; their likeness says whether the sentence is true.

Similarity, temperature and bias as in SigLIP (Zhai 2023, arXiv:2303.15343): every pair is a question of its own, so
that many sentences may be true of one place.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ai_engine.clip.patches import FINE
from ai_engine.clip.vocabulary import LONGEST, PADDING

# Around the middle of the fine cube, and which shares of a shell's points lie below what is told of it.
SHELLS_MM = (0.0, 1.7, 2.7, 3.7, 5.0, 6.5, 8.5, 11.0, 14.0)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.98)


@dataclass(frozen=True)
class Config:
    """Sizes of a network.

    Attributes
    ----------
    n_words : int
        Of the vocabulary, without padding.
    widths : tuple of int
        Channels of the three stages of each of the two image towers.
    dimension : int
        Of the space that both sides share.
    """

    n_words: int
    widths: tuple[int, int, int] = (24, 48, 96)
    dimension: int = 128
    text_width: int = 96
    text_layers: int = 2
    text_heads: int = 4
    dropout: float = 0.1

    def as_json(self) -> dict[str, Any]:
        """Say the sizes as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Config":
        """Read what ``as_json`` said."""
        first, second, third = values["widths"]
        return cls(**{**values, "widths": (first, second, third)})


class Residual(nn.Module):
    """Add two convolutions to what comes in."""

    def __init__(self, channels: int, kernels: tuple[tuple[int, int, int], tuple[int, int, int]]) -> None:
        super().__init__()
        self.first, self.second = (_conv(channels, channels, kernel) for kernel in kernels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, k, r, c) to the same."""
        added: Tensor = x + self.second(functional.relu(self.first(x)))
        return functional.relu(added)


class Tower(nn.Module):
    """One scale: cubes (n, 3, k, r, c) to (n, 2 * last width): mean and maximum over the cube."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = widths
        whole = ((3, 3, 3), (3, 3, 3))
        self.layers = nn.Sequential(
            _conv(3, first, (3, 3, 3), stride=2),
            nn.ReLU(),
            Residual(first, ((1, 3, 3), (3, 1, 1))),
            _conv(first, second, (3, 3, 3), stride=2),
            nn.ReLU(),
            Residual(second, whole),
            _conv(second, third, (3, 3, 3), stride=2),
            nn.ReLU(),
            Residual(third, whole),
        )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        seen = self.layers(x).flatten(2)
        return torch.cat((seen.mean(2), seen.amax(2)), dim=1)


class Profile(nn.Module):
    """What lies how far from the middle: percentiles of each window in shells around it, (n, 3, k, r, c) to (n, width).

    Type and calcium are told by HU at the middle and around it. Convolutions find this in the end; from percentiles
    it is seen at once, and mirrors and turns change nothing in it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        along = (torch.arange(FINE.points) - (FINE.points - 1) / 2) * FINE.step_mm
        far = (along[:, None, None] ** 2 + along[None, :, None] ** 2 + along[None, None, :] ** 2).sqrt().flatten()
        for number, (low, high) in enumerate(pairwise(SHELLS_MM)):
            inside = torch.nonzero((far >= low) & (far < high))[:, 0]
            self.register_buffer(f"inside_{number}", inside, persistent=False)
        n_seen = 3 * len(SHARES) * (len(SHELLS_MM) - 1)
        self.layers = nn.Sequential(
            nn.BatchNorm1d(n_seen), nn.Linear(n_seen, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        points = x.detach().flatten(2).float()
        seen: Tensor = self.layers(torch.cat([self._of(points, i) for i in range(len(SHELLS_MM) - 1)], dim=1))
        return seen

    def _of(self, points: Tensor, number: int) -> Tensor:
        inside = self.get_buffer(f"inside_{number}")
        ranked = points[..., inside].sort(dim=2).values
        at = [round(share * (len(inside) - 1)) for share in SHARES]
        return ranked[..., at].flatten(1)


class TextTower(nn.Module):
    """Numbers of words (n, LONGEST) to (n, dimension)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.text_width
        self.words = nn.Embedding(config.n_words + 1, width, padding_idx=PADDING)
        self.places = nn.Parameter(0.02 * torch.randn(LONGEST, width))
        layer = nn.TransformerEncoderLayer(
            width, config.text_heads, 2 * width, config.dropout, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.text_layers, enable_nested_tensor=False)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.dimension))

    def forward(self, words: Tensor) -> Tensor:
        """See the class."""
        nothing = words == PADDING
        seen = self.layers(self.words(words) + self.places, src_key_padding_mask=nothing)
        kept = seen.masked_fill(nothing[..., None], 0).sum(1) / (~nothing).sum(1, keepdim=True)
        vectors: Tensor = self.out(kept)
        return vectors


class Encoder(nn.Module):
    """Both sides, and a head that answers nodule or not without any text."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.fine, self.coarse = Tower(config.widths), Tower(config.widths)
        self.profile = Profile(config.widths[2])
        n_seen = 5 * config.widths[2]
        self.joined = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(n_seen, n_seen // 2), nn.ReLU())
        self.image_out = nn.Linear(n_seen // 2, config.dimension)
        self.head = nn.Linear(n_seen // 2, 1)
        self.text = TextTower(config)
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.bias = nn.Parameter(torch.tensor(0.0))

    def images(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Look at places.

        Parameters
        ----------
        fine, coarse : (n, 3, k, r, c) float
            ``patches.windowed``.

        Returns
        -------
        (n, dimension) float, (n,) float
            Vectors of length 1; logits of the head.
        """
        seen = self.joined(torch.cat((self.fine(fine), self.coarse(coarse), self.profile(fine)), dim=1))
        return functional.normalize(self.image_out(seen), dim=1), self.head(seen)[:, 0]

    def sentences(self, words: Tensor) -> Tensor:
        """Read sentences, ``Vocabulary.encode``: (n, LONGEST) to vectors of length 1, (n, dimension)."""
        return functional.normalize(self.text(words), dim=1)

    def likeness(self, images: Tensor, sentences: Tensor) -> Tensor:
        """Logits (n, m) that each of m sentences is true of each of n places."""
        return self.log_scale.exp() * images @ sentences.T + self.bias


def build(config: Config, seed: int) -> Encoder:
    """Make a network with random weights; the seed says which, and chance elsewhere is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(config)


def _conv(n_in: int, n_out: int, kernel: tuple[int, int, int], stride: int = 1) -> nn.Sequential:
    a, b, c = (size // 2 for size in kernel)
    return nn.Sequential(nn.Conv3d(n_in, n_out, kernel, stride, (a, b, c), bias=False), nn.BatchNorm3d(n_out))
