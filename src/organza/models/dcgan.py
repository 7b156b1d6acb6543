"""DCGAN (Radford et al., 2015, arXiv:1511.06434): strided convolutions and batch norm, for any size from 16 to 256.

Sizes are halved, rounding up, down to about 4 (64 -> 32 -> 16 -> 8 -> 4; 28 -> 14 -> 7 -> 4). `width` counts the
channels of the largest feature map, and each halving doubles them up to `max_width`. The paper has 128 and 1024.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import Shape
from organza.layers.geometry import halvings, image
from organza.layers.minibatch import Minibatch, WithBatch
from organza.layers.upsample import UpsampleConv2d

Norm = Literal["batch", "instance", "none"]
Upsample = Literal["transposed", "resize"]


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images [B, C, H, W] in [-1, 1].

    `upsample` is `transposed` (4x4 stride 2, the paper's) or `resize` (nearest x2, then 3x3), which leaves no
    checkerboard (Odena et al., 2016, doi:10.23915/distill.00003).
    """

    def __init__(
        self, shape: Shape, classes: int = 0, *, z_dim: int = 100, width: int = 64, max_width: int = 1024,
        upsample: Upsample = "transposed", norm: Norm = "batch", slope: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes, self.z_dim = classes, z_dim
        channels, height, width_px = image(shape)
        self.sizes = halvings(height, width_px)[::-1]
        widths = _widths(width, max_width, len(self.sizes) - 1)[::-1]
        self.base = (widths[0], *self.sizes[0])
        self.project = nn.Linear(z_dim + classes, widths[0] * self.sizes[0][0] * self.sizes[0][1], bias=norm == "none")
        self.first = nn.Sequential(*_norm(norm, widths[0]), _act(slope))
        self.stages = nn.ModuleList(
            nn.Sequential(_up(before, after, upsample, size, bias=norm == "none"), *_norm(norm, after), _act(slope))
            for (before, after), size in zip(itertools.pairwise(widths), self.sizes[1:], strict=False)
        )
        self.last = _up(widths[-1], channels, upsample, self.sizes[-1], bias=True)
        self.apply(_initialise)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        if self.classes:
            assert labels is not None
            z = torch.cat([z, F.one_hot(labels, self.classes).to(z.dtype)], 1)
        x = self.first(self.project(z).view(-1, *self.base).contiguous(memory_format=torch.channels_last))
        for stage in self.stages:
            x = stage(x)
        return self.last(x).tanh()


class Discriminator(nn.Module):
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B]; labels come in as one plane for each class."""

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 64, max_width: int = 1024, norm: Norm = "batch",
        dropout: float = 0.0, minibatch: Minibatch = "none",
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes = classes
        channels, height, width_px = image(shape)
        sizes = halvings(height, width_px)
        widths = _widths(width, max_width, len(sizes) - 1)
        layers: list[nn.Module] = []
        for i, ((before, after), (h, w)) in enumerate(
            zip(itertools.pairwise([channels + classes, *widths]), sizes, strict=False)
        ):
            bare = i == 0 or norm == "none"  # the paper leaves D's input layer without norm
            layers += [nn.Conv2d(before, after, _kernel(h, w), 2, 1, bias=bare), *([] if bare else _norm(norm, after))]
            layers += [nn.LeakyReLU(0.2), *([nn.Dropout2d(dropout)] if dropout else [])]
        self.layers = nn.Sequential(*layers)
        self.batch = WithBatch(widths[-1] * sizes[-1][0] * sizes[-1][1], minibatch)
        self.feature_size = self.batch.outputs
        self.head = nn.Linear(self.feature_size, 1)
        self.apply(_initialise)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the last layer judges, [B, feature_size]."""
        if self.classes:
            assert labels is not None
            planes = F.one_hot(labels, self.classes).to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, planes], 1).contiguous(memory_format=torch.channels_last)
        return self.batch(self.layers(x).flatten(1))

    def logits(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features -> logits [B]; they know the labels already."""
        return self.head(features).squeeze(1)


def _widths(width: int, limit: int, doublings: int) -> list[int]:
    return [min(width * 2**i, limit) for i in range(doublings)]


def _act(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


def _norm(name: Norm, channels: int) -> list[nn.Module]:
    if name == "none":
        return []
    return [nn.BatchNorm2d(channels) if name == "batch" else nn.InstanceNorm2d(channels, affine=True)]


def _up(before: int, after: int, how: Upsample, size: tuple[int, int], bias: bool) -> nn.Module:
    """To the given size, which is twice the one before or one less."""
    if how == "transposed":
        return nn.ConvTranspose2d(before, after, _kernel(*size), 2, 1, bias=bias)
    return UpsampleConv2d(before, after, bias, size)


def _kernel(height: int, width: int) -> tuple[int, int]:
    """4 where the larger size is even, as in the paper; 3 where it is odd, which makes 7 of 4 and 4 of 7."""
    return 4 - height % 2, 4 - width % 2


def _initialise(module: nn.Module) -> None:
    """Normal with deviation 0.02 (section 4 of the paper)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)):
        nn.init.normal_(module.weight, 1.0, 0.02)
