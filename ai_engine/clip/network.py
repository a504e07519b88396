"""The network: cubes of lung and a sentence, each to a vector; their likeness says whether the sentence is true.

Similarity, temperature and bias as in SigLIP (Zhai 2023, arXiv:2303.15343): every pair is a question of its own, so
that many sentences may be true of one place. Unlike there, vectors of images have a length of their own.
"""

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ai_engine.clip.patches import CLOSE, COARSE, FINE
from ai_engine.clip.vocabulary import LONGEST, PADDING

# Around the middle of the fine cube, and which shares of a shell's points lie below what is told of it.
SHELLS_MM = (0.0, 1.7, 2.7, 3.7, 5.0, 6.5, 8.5, 11.0, 14.0)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.98)
# So many points of a shell tell its percentiles; the outer ones have thousands.
_MOST_POINTS = 400
# Ways in which a tower learns to weigh its last map by place: how near the middle each begins, as a share of the side.
_BEGIN_WITHIN = (0.15, 0.3)
# softplus of it is 1: vectors of images begin with length 1, as in SigLIP. Were they to keep it, all that is certain
# would have one score, since no likeness exceeds that of a cosine of 1: nodules would not be ranked among themselves.
_BEGIN_CERTAIN = math.log(math.e - 1)


@dataclass(frozen=True)
class Config:
    """Sizes of a network.

    Attributes
    ----------
    n_words : int
        Of the vocabulary, without padding.
    widths : tuple of int
        Channels of the three stages of each of the two image towers.
    close_widths : tuple of int or None
        The same of the close look; None: there is none.
    dimension : int
        Of the space that both sides share.
    """

    n_words: int
    widths: tuple[int, int, int] = (24, 48, 96)
    close_widths: tuple[int, int, int] | None = (16, 32, 64)
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
        # networks of before know no close look
        widths = {name: values.get(name) for name in ("widths", "close_widths")}
        return cls(**{**values, **{name: value and tuple(value) for name, value in widths.items()}})


class Residual(nn.Module):
    """Add two convolutions to what comes in."""

    def __init__(self, channels: int, kernels: tuple[tuple[int, int, int], tuple[int, int, int]]) -> None:
        super().__init__()
        self.first, self.second = (_conv(channels, channels, kernel) for kernel in kernels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, k, r, c) to the same."""
        added: Tensor = x + self.second(functional.relu(self.first(x)))
        return functional.relu(added)


class Weighed(nn.Module):
    """Weigh a map by place, each channel in ways of its own: (n, channels, p, p, p) to (n, ways * channels).

    Mean and maximum do not tell a nodule in the middle from one, or a vessel, beside it. The weights begin as bells
    around the middle.
    """

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        along = (torch.arange(points) - (points - 1) / 2) / points
        far_squared = along[:, None, None] ** 2 + along[None, :, None] ** 2 + along[None, None, :] ** 2
        bells = [functional.softmax(-far_squared.flatten() / (2 * within**2), dim=0) for within in _BEGIN_WITHIN]
        self.weights = nn.Parameter(torch.stack(bells)[:, None].repeat(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        weighed: Tensor = torch.einsum("ncp,wcp->nwc", x.flatten(2).float(), self.weights)
        return weighed.flatten(1)


class Tower(nn.Module):
    """One scale: cubes (n, 3, k, r, c) to (n, 4 * last width): mean, maximum, and weighed by place."""

    def __init__(self, widths: tuple[int, int, int], points: int) -> None:
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
        self.weighed = Weighed(third, math.ceil(points / 8))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        seen = self.layers(x)
        return torch.cat((seen.mean((2, 3, 4)), seen.amax((2, 3, 4)), self.weighed(seen)), dim=1)


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
            few = inside[torch.linspace(0, len(inside) - 1, min(len(inside), _MOST_POINTS)).round().long()]
            self.register_buffer(f"inside_{number}", few, persistent=False)
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


class Looking(nn.Module):
    """Makes a vector of what two towers and a profile saw: its length says how certain its direction is."""

    def __init__(self, width: int, n_joined: int, config: Config) -> None:
        super().__init__()
        n_seen = (1 + 2 * (2 + len(_BEGIN_WITHIN))) * width
        self.joined = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(n_seen, n_joined), nn.ReLU())
        self.image_out = nn.Linear(n_joined, config.dimension)
        self.certainty = nn.Linear(n_joined, 1)
        nn.init.zeros_(self.certainty.weight)
        nn.init.constant_(self.certainty.bias, _BEGIN_CERTAIN)

    def vectors(self, joined: Tensor) -> Tensor:
        """(n, n_joined) to (n, dimension)."""
        length = functional.softplus(self.certainty(joined))
        return length * functional.normalize(self.image_out(joined), dim=1)


class CloseLook(Looking):
    """Vectors of places from near, for what prompts select by; nothing of it is shared with what ranks.

    What ranks soon knows the nodules it learns from by heart: what was added to its vectors learnt little.
    """

    def __init__(self, widths: tuple[int, int, int], config: Config) -> None:
        super().__init__(widths[2], 2 * widths[2], config)
        self.near, self.fine = Tower(widths, CLOSE.points), Tower(widths, FINE.points)
        self.profile = Profile(widths[2])

    def forward(self, fine: Tensor, close: Tensor) -> Tensor:
        """Look at cubes (n, 3, k, r, c): (n, dimension)."""
        return self.vectors(self.joined(torch.cat((self.near(close), self.fine(fine), self.profile(fine)), dim=1)))


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


class Encoder(Looking):
    """Both sides, and a head that answers nodule or not without any text."""

    def __init__(self, config: Config) -> None:
        width = config.widths[2]
        super().__init__(width, 3 * width, config)
        self.config = config
        self.fine, self.coarse = Tower(config.widths, FINE.points), Tower(config.widths, COARSE.points)
        self.profile = Profile(width)
        self.close = None if config.close_widths is None else CloseLook(config.close_widths, config)
        self.head = nn.Linear(3 * width, 1)
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
            Vectors, whose length says how certain their direction is; logits of the head.
        """
        seen = self.joined(torch.cat((self.fine(fine), self.coarse(coarse), self.profile(fine)), dim=1))
        return self.vectors(seen), self.head(seen)[:, 0]

    def closely(self, fine: Tensor, coarse: Tensor, close: Tensor) -> Tensor:
        """Look at places from near: vectors that prompts select by, (n, dimension)."""
        return self.images(fine, coarse)[0] if self.close is None else self.close(fine, close)

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
