"""The residual translator of Johnson et al. (2016, arXiv:1603.08155), which CycleGAN, CUT and pix2pixHD share.

A wide first convolution, some halvings that double the channels, residual blocks, as many doublings, a wide last
convolution. Edges are mirrored, where zeros would leave a frame. Layers are given as lists, for one flat `Sequential`
whose numbers are the keys of official weights.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from organza.config import ConfigError
from organza.layers.antialias import BlurDown, BlurUp
from organza.layers.norm import norms
from organza.layers.upsample import UpsampleConv2d

Norm = Literal["batch", "instance"]
Upsample = Literal["transposed", "resize"]


class ReflectedBlock(nn.Module):
    """[B, C, h, w] -> the same shape: x + conv(relu(conv(x))), 3x3 each, with no activation after the sum."""

    def __init__(self, channels: int, norm: Norm, bias: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), *norms(norm, channels), nn.ReLU(),
            *([nn.Dropout(dropout)] if dropout else []),
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), *norms(norm, channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Add."""
        return x + self.conv_block(x)


def first(before: int, after: int, norm: Norm, bias: bool) -> list[nn.Module]:
    """The 7x7 convolution at the start."""
    return [nn.ReflectionPad2d(3), nn.Conv2d(before, after, 7, bias=bias), *norms(norm, after), nn.ReLU()]


def halving(channels: int, norm: Norm, bias: bool, antialias: bool = False) -> list[nn.Module]:
    """[B, C, h, w] -> [B, 2C, h/2, w/2]."""
    layer = nn.Conv2d(channels, 2 * channels, 3, 1 if antialias else 2, 1, bias=bias)
    blur = [BlurDown(2 * channels)] if antialias else []
    return [layer, *norms(norm, 2 * channels), nn.ReLU(), *blur]


def doubling(
    channels: int, norm: Norm, bias: bool, upsample: Upsample = "transposed", antialias: bool = False
) -> list[nn.Module]:
    """[B, C, h, w] -> [B, C/2, 2h, 2w]."""
    after = channels // 2
    if antialias:
        layers: list[nn.Module] = [BlurUp(channels), nn.Conv2d(channels, after, 3, 1, 1, bias=bias)]
    elif upsample == "resize":
        layers = [UpsampleConv2d(channels, after, bias)]
    else:
        layers = [nn.ConvTranspose2d(channels, after, 3, 2, 1, output_padding=1, bias=bias)]
    return [*layers, *norms(norm, after), nn.ReLU()]


def last(before: int, after: int) -> list[nn.Module]:
    """The 7x7 convolution at the end, to [-1, 1]."""
    return [nn.ReflectionPad2d(3), nn.Conv2d(before, after, 7), nn.Tanh()]


def residual_layers(
    channels: int, width: int, downs: int, blocks: int, *, norm: Norm, bias: bool, dropout: float = 0.0,
    antialias: bool = False, upsample: Upsample = "transposed",
) -> list[nn.Module]:  # fmt: skip
    """From [B, channels, H, W] to [B, width, H, W], sides multiples of 2^downs: all but the `last` layers."""
    layers = first(channels, width, norm, bias)
    for depth in range(downs):
        layers += halving(width * 2**depth, norm, bias, antialias)
    layers += [ReflectedBlock(width * 2**downs, norm, bias, dropout) for _ in range(blocks)]
    for depth in range(downs, 0, -1):
        layers += doubling(width * 2**depth, norm, bias, upsample, antialias)
    return layers


def must_mirror(height: int, width: int, downs: int) -> None:
    """Refuse images that are too small: 3 pixels are mirrored at the start, and one within. Raises ConfigError."""
    least = max(2 ** (downs + 1), 4)
    if min(height, width) < least:
        raise ConfigError(
            f"images of {height}x{width} are too small to be halved {downs} times: both sides must have at least "
            f"{least} pixels; type --data.resolution {max(least, 64)}"
        )


def must_hear(classes: int, norm: Norm) -> None:
    """Refuse labels that would change nothing. Raises ConfigError.

    Behind mirrored edges a plane of ones adds the same number everywhere, and instance norm takes that away.
    """
    if classes and norm == "instance":
        raise ConfigError(
            f"this network does not hear labels, of which there are {classes}: they come in as constant planes, which "
            "its instance norm takes away; train without labels, or type --generator.model.norm batch"
        )
