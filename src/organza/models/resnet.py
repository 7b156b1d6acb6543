"""The residual networks of WGAN-GP (Gulrajani et al., 2017, arXiv:1704.00028, appendix on the CIFAR-10 ResNet).

Blocks are pre-activated pairs of 3x3 convolutions; a generator's block doubles its input before the second one, a
critic's averages 2x2 pixels after it. Any image size that `pyramid` can halve takes the place of the paper's 32x32.

Shapes: B batch, C channels, h and w height and width of a feature map.
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import Shape
from organza.layers.geometry import image, pyramid
from organza.layers.minibatch import Minibatch, WithBatch

Norm = Literal["batch", "layer", "none"]
Resample = Literal["up", "down", "none"]
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images [B, C, H, W] in [-1, 1].

    Not of the paper: labels come in as an embedding of `embed_dim` numbers beside the noise.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int = 0,
        *,
        z_dim: int = 128,
        embed_dim: int = 128,
        width: int = 128,
        norm: Literal["batch", "none"] = "batch",
    ) -> None:
        super().__init__()
        channels, height, width_px = image(shape)
        base_h, base_w, doublings = pyramid(height, width_px)
        self.shape, self.classes, self.z_dim = shape, classes, z_dim
        self.base = (width, base_h, base_w)
        self.embed = nn.Embedding(classes, embed_dim) if classes else None
        self.project = _he(nn.Linear(z_dim + (embed_dim if classes else 0), math.prod(self.base)), gain=1)
        self.blocks = nn.Sequential(*(Block(width, "up", norm) for _ in range(doublings)))
        self.norm = _norm(norm, width)
        self.to_image = _he(nn.Conv2d(width, channels, 3, padding=1), gain=1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        if self.embed is not None:
            assert labels is not None
            z = torch.cat([z, self.embed(labels)], 1)
        x = self.blocks(self.project(z).view(-1, *self.base))  # [B, width, H, W]
        return self.to_image(F.relu(self.norm(x))).tanh()


class Discriminator(nn.Module):
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B]: the critic, not bounded.

    Down blocks stop where a side is 8 or less (32 -> 8, 28 -> 7), two plain blocks and the mean over pixels follow.
    The paper has no norm here, since batch norm would tie the samples together, of which each has its own penalty; it
    recommends layer norm where one is needed (section 4). Not of the paper: labels add the projection of Miyato &
    Koyama (2018, arXiv:1802.05637, eq. 3), the product of features and class embedding.
    """

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 128, norm: Literal["none", "layer"] = "none",
        minibatch: Minibatch = "none",
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, width_px = image(shape)
        base_h, base_w, doublings = pyramid(height, width_px)
        downs = doublings - 1 if doublings > 1 and min(base_h, base_w) == 4 else doublings
        self.shape, self.classes = shape, classes
        self.blocks = nn.Sequential(
            FirstBlock(channels, width),
            *(Block(width, "down", norm) for _ in range(downs - 1)),
            *(Block(width, "none", norm) for _ in range(2)),
        )
        self.batch = WithBatch(width, minibatch)
        self.feature_size = self.batch.outputs
        self.head = _he(nn.Linear(self.feature_size, 1), gain=1)
        self.embed = nn.Embedding(classes, self.feature_size) if classes else None
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, std=1 / math.sqrt(width))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the last layer judges, [B, feature_size]."""
        return self.batch(F.relu(self.blocks(x)).mean((2, 3)))

    def logits(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features, and labels where there are any -> logits [B]."""
        logits = self.head(features).squeeze(1)
        if self.embed is None:
            return logits
        assert labels is not None
        return logits + (features * self.embed(labels)).sum(1)


class Block(nn.Module):
    """[B, C, h, w] -> [B, C, 2h, 2w], [B, C, h/2, w/2] or the same size: shortcut(x) + f(x), norm and ReLU first."""

    def __init__(self, width: int, resample: Resample, norm: Norm) -> None:
        super().__init__()
        self.resample: Resample = resample
        self.norm1, self.norm2 = _norm(norm, width), _norm(norm, width)
        self.conv1 = _he(nn.Conv2d(width, width, 3, padding=1))
        self.conv2 = _he(nn.Conv2d(width, width, 3, padding=1))
        self.shortcut = nn.Identity() if resample == "none" else _he(nn.Conv2d(width, width, 1), gain=1)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block has learnt to a resampled copy of its input."""
        y = F.relu(self.norm2(self.conv1(F.relu(self.norm1(x)))))
        if self.resample == "up":  # a 1x1 convolution commutes with both resamplings: it runs on the smaller map
            return _double(self.shortcut(x)) + self.conv2(_double(y))
        if self.resample == "down":
            return self.shortcut(_halve(x)) + _halve(self.conv2(y))
        return x + self.conv2(y)


class FirstBlock(nn.Module):
    """Images [B, C, H, W] -> [B, width, H/2, W/2]; no activation comes first, which would cut the image's negatives."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = _he(nn.Conv2d(channels, width, 3, padding=1), gain=1)
        self.conv2 = _he(nn.Conv2d(width, width, 3, padding=1))
        self.shortcut = _he(nn.Conv2d(channels, width, 1), gain=1)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block has learnt to a halved copy of the image."""
        return self.shortcut(_halve(x)) + _halve(self.conv2(F.relu(self.conv1(x))))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _halve(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2)


def _norm(name: Norm, channels: int) -> nn.Module:
    if name == "none":
        return nn.Identity()
    return nn.BatchNorm2d(channels) if name == "batch" else nn.GroupNorm(1, channels)  # one group: layer norm


def _he(layer: Layer, gain: float = math.sqrt(2)) -> Layer:
    """He et al. (2015, arXiv:1502.01852, eq. 10): deviation gain / sqrt(inputs of one output); 2 is for the ReLU."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
