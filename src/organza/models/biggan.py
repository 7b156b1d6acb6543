"""The networks of BigGAN (Brock et al., 2018, arXiv:1809.11096, appendix B).

They are the residual networks of SNGAN with two changes. The noise is cut into as many parts as the generator has
stages: the first makes the base, each other one, beside an embedding of the class that all blocks share, gives a block
the gains and biases of its batch norms. And a block of the discriminator widens in its first convolution.

`widths` counts channels in the order in which a picture passes: the generator's base first, the discriminator's block
on the image first. At 128x128 with 1000 classes they have 70,433,988 and 87,982,370 parameters.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.layers.attention import attention_after
from organza.layers.geometry import image
from organza.layers.minibatch import Minibatch, WithBatch
from organza.layers.norm import ConditionalBatchNorm2d
from organza.models.sngan import UpBlock, down_blocks, maps_after, maps_of, projection


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images [B, C, H, W] in [-1, 1].

    `widths` has the base and then one number for each block, which doubles the size; `z_dim` is shared out among them
    as evenly as can be. `attention` is the side of the map with self-attention, or of the nearest to it that there is;
    0: none. Raises ConfigError for images that cannot be halved so often, and for too little noise.
    """

    plain = ("shared",)  # no spectral norm, no orthogonal penalty

    def __init__(
        self,
        shape: Shape,
        classes: int = 0,
        *,
        z_dim: int = 120,
        embed_dim: int = 128,
        widths: tuple[int, ...] = (1536, 1536, 768, 384, 192, 96),
        attention: int = 64,
    ) -> None:
        super().__init__()
        channels, height, width = image(shape)
        maps = maps_of(height, width, len(widths) - 1)[::-1]
        parts = _parts(z_dim, len(widths))
        self.classes, self.z_dim, self.parts = classes, z_dim, parts
        self.base = (widths[0], *maps[0])
        self.shared = nn.Embedding(classes, embed_dim) if classes else None
        self.linear = nn.Linear(parts[0], math.prod(self.base))
        self.blocks = nn.ModuleList(
            UpBlock(before, after, lambda c, size=part + embed_dim * bool(classes): ConditionalBatchNorm2d(c, size))
            for (before, after), part in zip(pairwise(widths), parts[1:], strict=True)
        )
        self.attention = attention_after(maps[1:], widths[1:], attention)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1)
        self.apply(orthogonal)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        first, *conditions = z.split(self.parts, 1)
        if self.shared is not None:
            assert labels is not None
            y = self.shared(labels)
            conditions = [torch.cat([part, y], 1) for part in conditions]
        x = self.linear(first).view(-1, *self.base).contiguous(memory_format=torch.channels_last)
        for block, condition, attention in zip(self.blocks, conditions, self.attention, strict=True):
            x = attention(block(x, condition))  # [B, C, h, w]
        return self.to_image(F.relu(self.norm(x))).tanh()


class Discriminator(nn.Module):
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B].

    `widths` has one number for each block; the first `downs` blocks halve the size. Features are summed over pixels.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int = 0,
        *,
        widths: tuple[int, ...] = (96, 192, 384, 768, 1536, 1536),
        downs: int = 5,
        attention: int = 64,
        minibatch: Minibatch = "none",
    ) -> None:
        super().__init__()
        channels, height, width = image(shape)
        self.classes, self.batch = classes, WithBatch(widths[-1], minibatch)
        self.feature_size = self.batch.outputs
        self.blocks = down_blocks(channels, widths, downs, wide=True)
        self.attention = attention_after(maps_after(height, width, widths, downs), widths, attention)
        self.linear = nn.Linear(self.feature_size, 1)
        self.embed = nn.Embedding(classes, self.feature_size) if classes else None
        self.apply(orthogonal)

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images [B, C, H, W] -> what `logits` judges, [B, F]."""
        for block, attention in zip(self.blocks, self.attention, strict=True):
            x = attention(block(x))  # [B, C, h, w]
        return self.batch(F.relu(x).sum((2, 3)))

    def logits(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features [B, F] -> logits [B]: linear, and their product with the embedding of their class."""
        return projection(self.linear, self.embed, features, labels)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)


def orthogonal(module: nn.Module) -> None:
    """Orthogonal weights (Saxe et al., 2013, arXiv:1312.6120), seen as [outputs, all inputs of one]; biases zero."""
    if isinstance(module, (nn.Conv2d, nn.Linear, nn.Embedding)):
        nn.init.orthogonal_(module.weight)
    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
        nn.init.zeros_(module.bias)


def _parts(z_dim: int, stages: int) -> list[int]:
    """Sizes that differ by one at most, the larger ones first."""
    if z_dim < stages:
        raise ConfigError(f"z_dim is {z_dim}, but each of {stages} stages takes a part of it; type z_dim {20 * stages}")
    return [z_dim // stages + (i < z_dim % stages) for i in range(stages)]
