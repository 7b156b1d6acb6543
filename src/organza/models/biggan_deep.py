"""The networks of BigGAN-deep (Brock et al., 2018, arXiv:1809.11096, appendix B, figure 16).

Twice as many blocks as BigGAN, each a bottleneck with a quarter of the channels, on an identity that is never
multiplied: where channels change, the generator drops the last ones, the discriminator adds new ones. The whole noise
and the class embedding go into every block. At 128x128 with 1000 classes they have 50.2 and 34.6 million parameters.

The generators that the authors released are told to have 50.4, 55.9 and 56.2 million at 128, 256 and 512: these have
144,125 fewer at each size. So many more has a last convolution that makes as many maps as it gets, 128, of which three
are the picture and the others are thrown away; here it makes the picture alone.

`widths` has one number for each feature map, in the order in which a picture passes: the generator's base first, the
discriminator's image first. Shapes: B batch, C channels, h and w height and width of a feature map, F features.
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
from organza.layers.upsample import UpsampleConv2d
from organza.models.biggan import orthogonal
from organza.models.sngan import maps_of, projection

BOTTLENECK = 4  # a block's 3x3 convolutions have so many times fewer channels than the block


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images [B, C, H, W] in [-1, 1].

    Each map has `depth` blocks, of which the last doubles it. `attention` is the side of the map with self-attention,
    or of the nearest to it that there is; 0: none. Raises ConfigError for images that cannot be halved so often, and
    for `widths` that grow.
    """

    plain = ("shared",)  # no spectral norm, no orthogonal penalty

    def __init__(
        self,
        shape: Shape,
        classes: int = 0,
        *,
        z_dim: int = 128,
        embed_dim: int = 128,
        widths: tuple[int, ...] = (2048, 2048, 1024, 512, 256, 128),
        depth: int = 2,
        attention: int = 64,
    ) -> None:
        super().__init__()
        channels, height, width = image(shape)
        maps = maps_of(height, width, len(widths) - 1)[::-1]
        _check_order(widths[::-1], "the generator drops channels from map to map: its widths fall")
        self.classes, self.z_dim = classes, z_dim
        self.base = (widths[0], *maps[0])
        self.shared = nn.Embedding(classes, embed_dim) if classes else None
        size = z_dim + embed_dim * bool(classes)
        self.linear = nn.Linear(size, math.prod(self.base))
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                UpBlock(before, after if last else before, size, enlarge=last)
                for last in (i == depth - 1 for i in range(depth))
            )
            for before, after in pairwise(widths)
        )
        self.attention = attention_after(maps[1:], widths[1:], attention)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1)
        self.apply(orthogonal)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        if self.shared is not None:
            assert labels is not None
            z = torch.cat([z, self.shared(labels)], 1)
        x = self.linear(z).view(-1, *self.base).contiguous(memory_format=torch.channels_last)
        for stage, attention in zip(self.blocks, self.attention, strict=True):
            for block in stage:  # type: ignore[union-attr]
                x = block(x, z)  # [B, C, h, w]
            x = attention(x)
        return self.to_image(F.relu(self.norm(x))).tanh()


class Discriminator(nn.Module):
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B].

    Each map but the image has `depth` blocks, of which the first halves the map before it. Features are summed over
    pixels. Raises ConfigError for `widths` that fall.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int = 0,
        *,
        widths: tuple[int, ...] = (128, 256, 512, 1024, 2048, 2048),
        depth: int = 2,
        attention: int = 64,
        minibatch: Minibatch = "none",
    ) -> None:
        super().__init__()
        channels, height, width = image(shape)
        maps = maps_of(height, width, len(widths) - 1)
        _check_order(widths, "the discriminator adds channels from map to map: its widths grow")
        self.classes, self.batch = classes, WithBatch(widths[-1], minibatch)
        self.feature_size = self.batch.outputs
        self.from_image = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(DownBlock(after if i else before, after, halve=i == 0) for i in range(depth)))
            for before, after in pairwise(widths)
        )
        self.attention = attention_after(maps[1:], widths[1:], attention)
        self.linear = nn.Linear(self.feature_size, 1)
        self.embed = nn.Embedding(classes, self.feature_size) if classes else None
        self.apply(orthogonal)

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images [B, C, H, W] -> what `logits` judges, [B, F]."""
        x = self.from_image(x)
        for stage, attention in zip(self.blocks, self.attention, strict=True):
            x = attention(stage(x))  # [B, C, h, w]
        return self.batch(F.relu(x).sum((2, 3)))

    def logits(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features [B, F] -> logits [B]: linear, and their product with the embedding of their class."""
        return projection(self.linear, self.embed, features, labels)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)


class UpBlock(nn.Module):
    """[B, before, h, w], condition [B, size] -> [B, after, 2h, 2w], or h x w without `enlarge`; after <= before."""

    def __init__(self, before: int, after: int, size: int, *, enlarge: bool) -> None:
        super().__init__()
        self.after, self.enlarge = after, enlarge
        inner = max(1, before // BOTTLENECK)
        self.bn1 = ConditionalBatchNorm2d(before, size)
        self.bn2, self.bn3, self.bn4 = (ConditionalBatchNorm2d(inner, size) for _ in range(3))
        self.conv1 = nn.Conv2d(before, inner, 1)
        self.conv2 = UpsampleConv2d(inner, inner) if enlarge else nn.Conv2d(inner, inner, 3, padding=1)
        self.conv3 = nn.Conv2d(inner, inner, 3, padding=1)
        self.conv4 = nn.Conv2d(inner, after, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Add what the block has learnt to the first channels of its input."""
        y = self.conv1(F.relu(self.bn1(x, condition)))
        y = self.conv2(F.relu(self.bn2(y, condition)))
        y = self.conv3(F.relu(self.bn3(y, condition)))
        y = self.conv4(F.relu(self.bn4(y, condition)))
        x = x[:, : self.after]
        return y + (F.interpolate(x, scale_factor=2.0, mode="nearest") if self.enlarge else x)


class DownBlock(nn.Module):
    """[B, before, h, w] -> [B, after, h/2, w/2], or h x w without `halve`; after >= before."""

    def __init__(self, before: int, after: int, *, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        inner = max(1, after // BOTTLENECK)
        self.conv1 = nn.Conv2d(before, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.conv3 = nn.Conv2d(inner, inner, 3, padding=1)
        self.conv4 = nn.Conv2d(inner, after, 1)
        self.extend = nn.Conv2d(before, after - before, 1) if after > before else None

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block has learnt to its input and, where there are more channels, to a projection of it."""
        y = self.conv1(F.relu(x))
        y = F.relu(self.conv3(F.relu(self.conv2(F.relu(y)))))
        if self.halve:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        if self.extend is not None:
            x = torch.cat([x, self.extend(x)], 1)
        return x + self.conv4(y)


def _check_order(widths: tuple[int, ...], rule: str) -> None:
    if list(widths) != sorted(widths):
        raise ConfigError(f"{rule}, or stay; type the widths in that order")
