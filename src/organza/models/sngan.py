"""The residual networks of SNGAN (Miyato et al., 2018, arXiv:1802.05957, appendix B.4) and of its successors.

With labels, each class has its own gains and biases in the generator's batch norms, and the discriminator adds the
product of its features with a class embedding (Miyato & Koyama, 2018, arXiv:1802.05637). With `attention` they are the
networks of SAGAN (Zhang et al., 2018, arXiv:1805.08318). Their blocks are those of BigGAN as well.

`widths` counts channels in the order in which a picture passes: the generator's base first, the discriminator's block
on the image first. Shapes: B batch, C channels, h and w height and width of a feature map, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.layers.attention import attention_after
from organza.layers.geometry import image, pyramid
from organza.layers.minibatch import Minibatch, WithBatch
from organza.layers.norm import ClassBatchNorm2d
from organza.layers.upsample import UpsampleConv2d


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images [B, C, H, W] in [-1, 1].

    `widths` has the base and then one number for each block, which doubles the size; `attention` is the side of the map
    with self-attention, or of the nearest to it that there is; 0: none. Raises ConfigError for images that cannot be
    halved so often.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int = 0,
        *,
        z_dim: int = 128,
        widths: tuple[int, ...] = (256, 256, 256, 256),
        attention: int = 0,
    ) -> None:
        super().__init__()
        channels, height, width = image(shape)
        maps = maps_of(height, width, len(widths) - 1)[::-1]
        self.classes, self.z_dim = classes, z_dim
        self.base = (widths[0], *maps[0])
        self.project = nn.Linear(z_dim, math.prod(self.base))
        self.blocks = nn.ModuleList(UpBlock(a, b, lambda c: ClassBatchNorm2d(c, classes)) for a, b in pairwise(widths))
        self.attention = attention_after(maps[1:], widths[1:], attention)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1)
        self.apply(_initialise)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        x = self.project(z).view(-1, *self.base).contiguous(memory_format=torch.channels_last)
        for block, attention in zip(self.blocks, self.attention, strict=True):
            x = attention(block(x, labels))  # [B, C, h, w]
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
        widths: tuple[int, ...] = (128, 128, 128, 128),
        downs: int = 2,
        attention: int = 0,
        minibatch: Minibatch = "none",
    ) -> None:
        super().__init__()
        channels, height, width = image(shape)
        self.classes, self.batch = classes, WithBatch(widths[-1], minibatch)
        self.feature_size = self.batch.outputs
        self.blocks = down_blocks(channels, widths, downs)
        self.attention = attention_after(maps_after(height, width, widths, downs), widths, attention)
        self.linear = nn.Linear(self.feature_size, 1)
        self.embed = nn.Embedding(classes, self.feature_size) if classes else None
        self.apply(_initialise)

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


class UpBlock(nn.Module):
    """[B, before, h, w] -> [B, after, 2h, 2w]: shortcut(x) + f(x), both enlarged to the nearest neighbour.

    `norm` makes a batch norm of so many channels, which is called with the block's condition.
    """

    def __init__(self, before: int, after: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.bn1, self.bn2 = norm(before), norm(after)
        self.conv1 = UpsampleConv2d(before, after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Add what the block has learnt; the shortcut's 1x1 convolution runs before the enlargement, for the same."""
        y = self.conv1(F.relu(self.bn1(x, condition)))
        y = self.conv2(F.relu(self.bn2(y, condition)))
        return y + F.interpolate(self.shortcut(x), scale_factor=2.0, mode="nearest")


class DownBlock(nn.Module):
    """[B, before, h, w] -> [B, after, h/2, w/2] by means of 2x2 pixels, or h x w without `halve`: shortcut(x) + f(x).

    On the image itself (`first`) no ReLU comes first, which would cut its negative values. `hidden` channels lie
    between the two convolutions.
    """

    def __init__(self, before: int, hidden: int, after: int, *, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.conv1 = nn.Conv2d(before, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if halve or before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block has learnt; a 1x1 convolution of means is the mean of 1x1 convolutions, and cheaper."""
        y = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if not self.halve:
            return self.shortcut(x) + y
        return self.shortcut(F.avg_pool2d(x, 2)) + F.avg_pool2d(y, 2)


def down_blocks(channels: int, widths: tuple[int, ...], downs: int, *, wide: bool = False) -> nn.ModuleList:
    """The blocks of a discriminator. Between its convolutions a block has as many channels as come in, or go out."""
    pairs = enumerate(pairwise((channels, *widths)))
    return nn.ModuleList(
        DownBlock(before, after if wide or i == 0 else before, after, halve=i < downs, first=i == 0)
        for i, (before, after) in pairs
    )


def projection(linear: nn.Module, embed: nn.Module | None, features: Tensor, labels: Tensor | None) -> Tensor:
    """Logits [B] of features [B, F]: linear(f) + <embed(y), f> (arXiv:1802.05637, eq. 3)."""
    logits = linear(features).squeeze(1)
    if embed is None:
        return logits
    assert labels is not None
    return logits + (embed(labels) * features).sum(1)


def maps_of(height: int, width: int, halvings: int) -> list[tuple[int, int]]:
    """Sizes of the feature maps from the image down. Raises ConfigError if both sides cannot be halved so often."""
    _, _, most = pyramid(height, width, smallest=1)
    if not 1 <= halvings <= most:
        raise ConfigError(
            f"images of {height}x{width} can be halved 1 to {most} times, and these widths (or downs) ask for "
            f"{halvings}; change their number, or type --data.resolution 32"
        )
    return [(height >> i, width >> i) for i in range(halvings + 1)]


def maps_after(height: int, width: int, widths: tuple[int, ...], downs: int) -> list[tuple[int, int]]:
    """Size of the feature map after each block of a discriminator. Raises ConfigError where `downs` does not fit."""
    if downs > len(widths):
        raise ConfigError(f"downs is {downs}, but widths has only {len(widths)} blocks; give one width to each block")
    maps = maps_of(height, width, downs)
    return [maps[min(i + 1, downs)] for i in range(len(widths))]


def _initialise(module: nn.Module) -> None:
    """Glorot & Bengio (2010): uniform with deviation sqrt(2 / (inputs + outputs)); biases zero."""
    if isinstance(module, (nn.Conv2d, nn.Linear, nn.Embedding)):
        nn.init.xavier_uniform_(module.weight)
    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
        nn.init.zeros_(module.bias)
