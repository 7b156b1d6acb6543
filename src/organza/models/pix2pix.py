"""pix2pix (Isola et al., 2017, arXiv:1611.07004): a U-Net that translates, and a discriminator of patches.

The generator halves images down to one pixel where it can and back, and hands what it saw at every size over to the
way back (section 3.2.1 and appendix 6.1.1). Its only noise is dropout, which the paper keeps at use. The
discriminator sees source and target as one picture of more channels. Keys and shapes are those of official weights.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from organza.config import ConfigError, Shape
from organza.layers.antialias import BlurDown
from organza.layers.geometry import image
from organza.layers.init import normal_layers, xavier_layers
from organza.layers.norm import norms
from organza.layers.patchgan import logit_side, plan
from organza.layers.source import ends, prepared, with_planes
from organza.layers.upsample import UpsampleConv2d

Norm = Literal["batch", "instance"]
AnyNorm = Literal["batch", "instance", "none"]
Upsample = Literal["transposed", "resize"]


class Generator(nn.Module):
    """Images [B, C, H, W] in [-1, 1], labels [B] when `classes` > 0 -> images [B, *shape] in [-1, 1].

    `downs` counts the halvings: 8 is the paper's network for 256x256, 7 that for 128x128, 0 takes as many as the
    sides allow, at most 8. Both sides must be multiples of 2^downs. `dropout` is that of the inner blocks, of which
    there are downs - 5. `upsample` is `transposed` (the paper's) or `resize`, which leaves no checkerboard.

    Raises ConfigError for sides that cannot be halved so often.
    """

    z_dim = 0

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, downs: int = 0, width: int = 64, norm: Norm = "batch",
        dropout: float = 0.5, upsample: Upsample = "transposed",
    ) -> None:  # fmt: skip
        super().__init__()
        downs = downs or _halvings(*image(shape)[1:])
        self.classes, self.multiple = classes, 2**downs
        before, after, *_ = ends(source, shape, self.multiple)
        widths = [width * min(2**depth, 8) for depth in range(downs)]
        level: Level | None = None
        for depth in range(downs - 1, -1, -1):
            outer = widths[depth - 1] if depth else before + classes
            rate = dropout if 4 <= depth < downs - 1 else 0.0
            level = Level(outer, widths[depth], level, 0 if depth else after, norm, rate, upsample)
        assert level is not None
        self.model = level
        self.apply(normal_layers)

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Translate."""
        return self.model(prepared(source, labels, self.classes, self.multiple))


class Level(nn.Module):
    """[B, outer, h, w] -> [B, 2 outer, h, w]: what came in, and what the halves, seen by the level within, make of it.

    The outermost level gives `image` channels and not what came in. The leaky ReLU of the skipped features, which
    official code applies to them in place, changes nothing: they meet a ReLU next.
    """

    def __init__(
        self, outer: int, inner: int, within: Level | None, image: int, norm: Norm, dropout: float, upsample: Upsample
    ) -> None:
        super().__init__()
        bias, self.outermost = norm == "instance", image > 0
        down = [nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
        if not self.outermost:
            down = [nn.LeakyReLU(0.2), *down, *(norms(norm, inner) if within else [])]
        up: list[nn.Module] = [nn.ReLU()]
        up += [_up(2 * inner if within else inner, image or outer, bias or self.outermost, upsample)]
        up += [nn.Tanh()] if self.outermost else norms(norm, outer)
        up += [nn.Dropout(dropout)] if dropout else []
        self.model = nn.Sequential(*down, *([within] if within else []), *up)

    def forward(self, x: Tensor) -> Tensor:
        """Down, through the level within, up."""
        made = self.model(x)
        return made if self.outermost else torch.cat([x, made], 1)


class Discriminator(nn.Module):
    """Images [B, C, H, W] in [-1, 1], labels [B] when `classes` > 0 -> logits [B, K], one for each place.

    `layers` 1 to 5 make each see a patch of 16, 34, 70, 142 or 286 pixels, 0 a single pixel. `antialias` halves behind
    a low-pass filter, as CUT does. CycleGAN takes instance norm. Raises ConfigError for images too small for `layers`.
    """

    feature_size = 0

    def __init__(
        self, shape: Shape, classes: int = 0, *, layers: int = 3, width: int = 64, norm: AnyNorm = "batch",
        antialias: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, width_px = image(shape)
        _must_fit(layers, min(height, width_px))
        self.classes = classes
        make = _patches if layers else _pixels
        stages, head = make(channels + classes, width, layers, norm, antialias)
        self.ends = [sum(map(len, stages[:number])) for number in range(1, len(stages) + 1)]
        self.body = "model" if layers else "net"  # the second name is remembered, not read again
        self.add_module(self.body, nn.Sequential(*(layer for stage in stages for layer in stage), head))
        self.parts = (logit_side(height, layers, 1) * logit_side(width_px, layers, 1),)
        if not layers:
            self.parts = (height * width_px,)
        self.apply(xavier_layers if antialias else normal_layers)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """What each stage makes, [B, *, h, w]; the last one is what the last convolution judges."""
        x, found = with_planes(x, labels, self.classes), []
        for number, layer in enumerate(list(self.layers)[:-1], 1):
            x = layer(x)
            if number in self.ends:
                found.append(x)
        return tuple(found)

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """Features -> logits [B, K], row by row; they know the labels already."""
        return self.layers[-1](features[-1]).flatten(1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)

    @property
    def layers(self) -> nn.Sequential:
        """All of it."""
        found = self.get_submodule(self.body)
        assert isinstance(found, nn.Sequential)
        return found


def _halvings(height: int, width: int) -> int:
    """How often both sides can be halved, at most 8 times. Raises ConfigError where they cannot."""
    found = 0
    while found < 8 and height % 2 == width % 2 == 0:
        height, width, found = height // 2, width // 2, found + 1
    if not found:
        raise ConfigError(
            f"images of {height}x{width} cannot be halved; type --data.resolution {height + height % 2} "
            f"{width + width % 2}, or better one with a high power of two, as 64"
        )
    return found


def _up(before: int, after: int, bias: bool, upsample: Upsample) -> nn.Module:
    if upsample == "resize":
        return UpsampleConv2d(before, after, bias)
    return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)


def _patches(
    channels: int, width: int, layers: int, norm: AnyNorm, antialias: bool
) -> tuple[list[list[nn.Module]], nn.Module]:
    """The stages and the last layer; the first has no norm, and the others no bias where batch norm follows."""
    stages, after = list[list[nn.Module]](), channels
    for number, (before, after, stride) in enumerate(plan(channels, width, layers)):
        bias = number == 0 or norm != "batch"
        layer = nn.Conv2d(before, after, 4, 1 if antialias else stride, 1, bias=bias)
        stage = [layer, *(norms(norm, after) if number else []), nn.LeakyReLU(0.2)]
        stages.append([*stage, BlurDown(after)] if antialias and stride == 2 else stage)
    return stages, nn.Conv2d(after, 1, 4, 1, 1)


def _pixels(
    channels: int, width: int, layers: int, norm: AnyNorm, antialias: bool
) -> tuple[list[list[nn.Module]], nn.Module]:
    """The same of 1x1 convolutions, with nothing to halve."""
    bias, after = norm != "batch", 2 * width
    second = nn.Conv2d(width, after, 1, bias=bias)
    stages = [[nn.Conv2d(channels, width, 1), nn.LeakyReLU(0.2)], [second, *norms(norm, after), nn.LeakyReLU(0.2)]]
    return stages, nn.Conv2d(after, 1, 1, bias=bias)


def _must_fit(layers: int, side: int) -> None:
    if not 0 <= layers <= 5:
        raise ConfigError(f"layers is {layers}; type a number from 0 (pixels) to 5 (patches of 286 pixels)")
    if layers and logit_side(side, layers, 1) < 1:
        fitting = max(number for number in range(6) if number == 0 or logit_side(side, number, 1) >= 1)
        raise ConfigError(
            f"{layers} layers leave nothing of a side of {side} pixels; type --discriminator.model.layers {fitting}"
        )
