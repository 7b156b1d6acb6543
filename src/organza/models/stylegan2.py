"""StyleGAN2 (Karras et al., 2020, "Analyzing and Improving the Image Quality of StyleGAN", arXiv:1912.04958), and with
augmentation StyleGAN2-ADA (Karras et al., 2020, arXiv:2006.06676), whose networks are the same.

A mapping turns noise into a style w, and every convolution of the synthesis is modulated by an affine map of it
(`organza.layers.style`). The picture is the sum of what every resolution adds to it (`skip`), the last layer's alone
(`orig`), or that of residual blocks (`resnet`): section 4.1, figure 7. The paper's best (config F) is a generator of
skips and a discriminator of residual blocks.

Parameters and buffers have the names and shapes of the official PyTorch files, so that their weights fit. Not of the
paper: any size that can be halved; a block is called after its longer side, as 4, 8, 16 are in theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from organza.config import ConfigError, Shape
from organza.draws import Draws, keys_of
from organza.layers.equalized import EqualizedLinear
from organza.layers.geometry import image, pyramid
from organza.layers.minibatch import minibatch_deviation
from organza.layers.resample import TAPS, smooth
from organza.layers.style import ROOT2, Conv, Mapping, Noise, StyledConv, ToImage, training_codes
from organza.training.precision import without_autocast

Arch = Literal["skip", "resnet", "orig"]
HALF = math.sqrt(0.5)  # of each branch of a residual block, so that the sum is no larger than either


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images float32 [B, C, H, W], about [-1, 1], not bounded.

    `width` counts the channels at full size; each halving doubles them, up to `max_width`. In training mode the noise
    of the pixels is random and a share `mixing` of the samples has the styles of two w; both are functions of z.
    Raises ConfigError for sizes that cannot be halved and for a `mixing` outside 0 to 1.
    """

    equalized = has_noise = True

    def __init__(
        self, shape: Shape, classes: int = 0, *, z_dim: int = 512, w_dim: int = 512, mapping_layers: int = 8,
        width: int = 32, max_width: int = 512, arch: Arch = "skip", mixing: float = 0.9, clamp: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if not 0 <= mixing <= 1:
            raise ConfigError(f"mixing is {mixing}; it takes a share of the samples from 0 to 1, such as 0.9")
        self.z_dim, self.w_dim, self.mixing = z_dim, w_dim, mixing
        self.mapping = Mapping(z_dim, classes, w_dim, mapping_layers)
        self.synthesis = Synthesis(shape, w_dim, width, max_width, arch, clamp)
        self.num_ws = self.synthesis.num_ws

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        if not self.training:
            return self.synthesis(self.broadcast(self.mapping(z, labels)))
        return self.synthesis(self.styles(z, labels), "random", Draws(keys_of(z)))

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noise [B, z_dim] -> codes [B, num_ws, w_dim] as in training: some of them mixed, their mean remembered."""
        return training_codes(self.mapping, z, labels, self.num_ws, self.mixing)

    def broadcast(self, w: Tensor) -> Tensor:
        """w [B, w_dim] -> the same for every layer, [B, num_ws, w_dim]."""
        return w[:, None].expand(-1, self.num_ws, -1)


class Synthesis(nn.Module):
    """Codes [B, num_ws, w_dim], or [B, w_dim] for all layers -> images float32 [B, C, H, W]."""

    def __init__(self, shape: Shape, w_dim: int, width: int, max_width: int, arch: Arch, clamp: float | None) -> None:
        super().__init__()
        channels, *_ = image(shape)
        sizes, widths = _levels(shape, width, max_width)
        self.names = [f"b{max(size)}" for size in sizes]
        for number, (name, size) in enumerate(zip(self.names, sizes, strict=True)):
            inputs = widths[number - 1] if number else 0
            last = number == len(sizes) - 1
            block = SynthesisBlock(inputs, widths[number], w_dim, size, channels, arch, last, clamp)
            setattr(self, name, block)
        self.num_ws = 2 * len(sizes)

    def forward(self, ws: Tensor, noise: Noise | Sequence[Tensor] = "const", draws: Draws | None = None) -> Tensor:
        """Draw; `noise` may be the pictures themselves, one [B or 1, 1, h, w] for each noisy layer, the first first.

        Random noise belongs to the draws of the samples, or to the bits of their codes.
        """
        if noise == "random" and draws is None:
            draws = Draws(keys_of(ws.flatten(1)))
        ws = ws[:, None].expand(-1, self.num_ws, -1) if ws.dim() == 2 else ws
        pictures = iter([] if isinstance(noise, str) else noise)
        x, picture, at = None, None, 0
        for name in self.names:
            block: SynthesisBlock = getattr(self, name)
            own = [noise if isinstance(noise, str) else next(pictures) for _ in range(block.layers)]
            x, picture = block(x, picture, ws[:, at:], own, draws and draws.other(name))
            at += block.layers
        assert picture is not None
        return picture


class SynthesisBlock(nn.Module):
    """A resolution: features [B, I, h/2, w/2] and the picture so far -> those of [B, O, h, w]; the first has neither.

    It takes the w of its convolutions and, after them, that of its picture, which is the next block's first too.
    """

    resample_filter: Tensor

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, size: tuple[int, int], channels: int, arch: Arch, last: bool,
        clamp: float | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers = 2 if inputs else 1
        self.register_buffer("resample_filter", TAPS.clone())
        if inputs:
            self.conv0 = StyledConv(inputs, outputs, w_dim, size, up=True, clamp=clamp)
        else:
            self.const = nn.Parameter(torch.randn(outputs, *size))
        self.conv1 = StyledConv(outputs, outputs, w_dim, size, clamp=clamp)
        self.torgb = ToImage(outputs, channels, w_dim, clamp=clamp) if last or arch == "skip" else None
        residual = arch == "resnet" and inputs
        self.skip = Conv(inputs, outputs, 1, bias=False, active=False, up=True) if residual else None

    def forward(
        self, x: Tensor | None, picture: Tensor | None, ws: Tensor, noise: list, draws: Draws | None
    ) -> tuple[Tensor, Tensor | None]:
        """Draw a resolution."""
        parts = [draws and draws.other(name) for name in ("conv0", "conv1")]
        if x is None:
            constant = self.const.expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
            x = self.conv1(constant, ws[:, 0], noise[0], parts[1])
        elif self.skip is None:
            x = self.conv1(self.conv0(x, ws[:, 0], noise[0], parts[0]), ws[:, 1], noise[1], parts[1])
        else:
            after = self.conv0(x, ws[:, 0], noise[0], parts[0])
            x = self.skip(x, HALF) + self.conv1(after, ws[:, 1], noise[1], parts[1], HALF)
        assert x is not None
        with without_autocast(x.device.type):  # the picture is kept in float32
            if picture is not None:
                picture = smooth(picture, self.resample_filter, up=2, padding=1, gain=4.0)
        if self.torgb is not None:
            own = self.torgb(x, ws[:, self.layers])
            picture = own if picture is None else picture + own
        return x, picture


class Discriminator(nn.Module):
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B], not bounded.

    `width` and `max_width` as in `Generator`. Its last resolution sees how much the samples of groups of `group`
    differ, so that logits depend on the batch. Labels are mapped to a direction of the features (their inner product,
    Miyato & Koyama, arXiv:1802.05637). Raises ConfigError for sizes that cannot be halved.
    """

    equalized = True

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 32, max_width: int = 512, arch: Arch = "resnet",
        group: int = 4, mapping_layers: int = 8, clamp: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, *_ = image(shape)
        sizes, widths = _levels(shape, width, max_width)
        self.names, self.feature_size, self.classes = [f"b{max(size)}" for size in sizes[:0:-1]], widths[0], classes
        for name, (after, before) in zip(self.names, list(pairwise(widths))[::-1], strict=True):
            seen = channels if name == self.names[0] or arch == "skip" else 0
            setattr(self, name, DiscriminatorBlock(before, after, seen, arch, name == self.names[0], clamp))
        self.last = f"b{max(sizes[0])}"
        seen = channels if arch == "skip" else 0
        setattr(self, self.last, Epilogue(widths[0], sizes[0], seen, group, widths[0] if classes else 1, clamp))
        if classes:
            self.mapping = Mapping(0, classes, widths[0], mapping_layers, decay=None)

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images [B, C, H, W] -> what the last layer judges, [B, feature_size]."""
        features, picture = None, x
        for name in self.names:
            features, picture = getattr(self, name)(features, picture)
        return getattr(self, self.last).features(features, picture)

    def logits(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features [B, feature_size], labels [B] when `classes` > 0 -> logits [B]."""
        told = getattr(self, self.last).out(features)
        if not self.classes:
            return told.squeeze(1)
        return (told * self.mapping(None, labels)).sum(1) / math.sqrt(self.feature_size)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)


class DiscriminatorBlock(nn.Module):
    """A resolution: features [B, I, h, w] -> [B, O, h/2, w/2]; with `channels` it looks at the picture as well."""

    resample_filter: Tensor

    def __init__(self, inputs: int, outputs: int, channels: int, arch: Arch, first: bool, clamp: float | None) -> None:
        super().__init__()
        self.arch = arch
        self.register_buffer("resample_filter", TAPS.clone())
        self.fromrgb = Conv(channels, inputs, 1, clamp=clamp) if first or channels else None
        self.conv0 = Conv(inputs, inputs, 3, clamp=clamp)
        self.conv1 = Conv(inputs, outputs, 3, down=True, clamp=clamp)
        self.skip = Conv(inputs, outputs, 1, bias=False, active=False, down=True) if arch == "resnet" else None

    def forward(self, x: Tensor | None, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Summarise and halve; the picture is halved for the next block where `skip` needs it."""
        x = self.seen(x, picture)
        if self.arch == "skip":
            with torch.autocast(x.device.type, enabled=False):
                picture = smooth(picture, self.resample_filter, down=2, padding=1)
        if self.skip is None:
            return self.conv1(self.conv0(x)), picture
        return self.skip(x, HALF) + self.conv1(self.conv0(x), HALF), picture

    def seen(self, x: Tensor | None, picture: Tensor) -> Tensor:
        """The features with what this block sees of the picture."""
        own = None if self.fromrgb is None else self.fromrgb(picture)
        if x is None or own is None:
            assert own is not None or x is not None
            return x if own is None else own  # type: ignore[return-value]
        return x + own


class Epilogue(nn.Module):
    """Features [B, C, h, w] of the smallest resolution -> [B, C] -> logits or a direction, [B, outputs]."""

    def __init__(
        self, width: int, size: tuple[int, int], channels: int, group: int, outputs: int, clamp: float | None
    ) -> None:
        super().__init__()
        self.group = group
        self.fromrgb = Conv(channels, width, 1, clamp=clamp) if channels else None
        self.conv = Conv(width + 1, width, 3, clamp=clamp)
        self.fc = EqualizedLinear(width * math.prod(size), width, gain=ROOT2)
        self.out = EqualizedLinear(width, outputs)

    def features(self, x: Tensor, picture: Tensor) -> Tensor:
        """What `out` judges."""
        x = x if self.fromrgb is None else x + self.fromrgb(picture)
        x = self.conv(minibatch_deviation(x, self.group)).flatten(1)
        weight, bias = self.fc.weight * self.fc.scale, self.fc.bias
        assert bias is not None
        return nn.functional.leaky_relu(nn.functional.linear(x, weight, bias * ROOT2), 0.2)


def _levels(shape: Shape, width: int, max_width: int) -> tuple[list[tuple[int, int]], list[int]]:
    """(height, width) and channels of each resolution, the smallest first."""
    _, height, width_px = image(shape)
    base_h, base_w, top = pyramid(height, width_px)
    sizes = [(base_h << level, base_w << level) for level in range(top + 1)]
    return sizes, [min(width << (top - level), max_width) for level in range(top + 1)]
