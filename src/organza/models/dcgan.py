"""DCGAN (Radford et al., 2015, arXiv:1511.06434): strided convolutions and batch norm, for any size from 16 to 256.

The picture is halved until its shorter side is odd or 4 (64 -> 4, 28 -> 7); `width` counts the channels of the largest
stage, and each halving doubles them up to `max_width`. The paper has width 128 at 64x64.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import Shape
from organza.layers.geometry import image, pyramid

Norm = Literal["batch", "instance", "none"]


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images [B, C, H, W] in [-1, 1].

    `upsample` is `transposed` (4x4 stride 2, the paper's) or `resize` (nearest x2, then 3x3), which leaves no
    checkerboard (Odena et al., 2016, doi:10.23915/distill.00003).
    """

    def __init__(
        self, shape: Shape, classes: int = 0, *, z_dim: int = 100, width: int = 64, max_width: int = 1024,
        upsample: Literal["transposed", "resize"] = "transposed", norm: Norm = "batch", slope: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes, self.z_dim = classes, z_dim
        channels, height, width_px = image(shape)
        base_h, base_w, doublings = pyramid(height, width_px)
        widths = _widths(width, max_width, doublings)[::-1]
        self.base = (widths[0], base_h, base_w)
        self.project = nn.Linear(z_dim + classes, widths[0] * base_h * base_w, bias=norm == "none")
        layers: list[nn.Module] = [*_norm(norm, widths[0]), _act(slope)]
        for before, after in itertools.pairwise(widths):
            layers += [*_up(before, after, upsample, norm == "none"), *_norm(norm, after), _act(slope)]
        self.layers = nn.Sequential(*layers, *_up(widths[-1], channels, upsample, bias=True))
        self.apply(_initialise)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        if self.classes:
            assert labels is not None
            z = torch.cat([z, F.one_hot(labels, self.classes).to(z.dtype)], 1)
        x = self.project(z).view(-1, *self.base).contiguous(memory_format=torch.channels_last)
        return self.layers(x).tanh()


class Discriminator(nn.Module):
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B]; labels come in as one plane for each class."""

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 64, max_width: int = 1024, norm: Norm = "batch",
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes = classes
        channels, height, width_px = image(shape)
        base_h, base_w, doublings = pyramid(height, width_px)
        widths = _widths(width, max_width, doublings)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(zip([channels + classes, *widths], widths, strict=False)):
            bare = i == 0 or norm == "none"  # the paper leaves D's input layer without norm
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=bare), *([] if bare else _norm(norm, after))]
            layers += [nn.LeakyReLU(0.2), *([nn.Dropout2d(dropout)] if dropout else [])]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1] * base_h * base_w, 1)
        self.apply(_initialise)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        if self.classes:
            assert labels is not None
            planes = F.one_hot(labels, self.classes).to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, planes], 1).contiguous(memory_format=torch.channels_last)
        return self.head(self.layers(x).flatten(1)).squeeze(1)


def _widths(width: int, limit: int, doublings: int) -> list[int]:
    return [min(width * 2**i, limit) for i in range(doublings)]


def _act(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


def _norm(name: Norm, channels: int) -> list[nn.Module]:
    if name == "none":
        return []
    return [nn.BatchNorm2d(channels) if name == "batch" else nn.InstanceNorm2d(channels, affine=True)]


def _up(before: int, after: int, how: str, bias: bool) -> list[nn.Module]:
    if how == "transposed":
        return [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)]
    return [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1, bias=bias)]


def _initialise(module: nn.Module) -> None:
    """Normal with deviation 0.02 (section 4 of the paper)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)):
        nn.init.normal_(module.weight, 1.0, 0.02)
