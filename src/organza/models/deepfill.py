"""DeepFill v2 (Yu et al., 2019, arXiv:1806.03589): gated convolutions fill holes in two stages.

The first stage draws a coarse picture, which is put into the hole; the second refines it, in one branch with dilated
convolutions and in one that copies patches from outside the hole (`organza.layers.contextual`). The discriminator is
a spectrally normed one whose every feature of every patch is a logit (SN-PatchGAN, section 3.3). Layers have the names
of the official TensorFlow variables, as remembered, and pad as TensorFlow's "SAME" does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from organza.config import ConfigError, Shape
from organza.layers.contextual import coarser, contextual_attention, gated
from organza.layers.geometry import image
from organza.layers.holes import must_have_mask, parted, pasted
from organza.layers.pictures import without_labels
from organza.layers.source import ends, prepared

DILATIONS = (2, 4, 8, 16)
GAIN = 2.3
"""1 / sqrt(E[elu(a)^2] E[sigmoid(b)^2]) of standard normal a and b: what a gate and an ELU take away.

With TensorFlow's own weights, as published, nothing of the source reaches the result at first. On pictures with much
white, L1 then drives the tanh into saturation everywhere, from which no gradient comes back.
"""
WIDTHS = (1, 2, 4, 4, 4, 4)  # of the discriminator


class Generator(nn.Module):
    """Picture with a hole and its mask [B, C + 1, H, W] in [-1, 1] -> [B, C, H, W] in [-1, 1], pasted.

    Outside the hole the source stays. `both` gives what the two stages draw everywhere. `width` counts the channels of
    the first layer before its gate takes half of them. Both sides must be multiples of 8. Raises ConfigError for
    sources without a mask, for other sizes, for a width that 4 does not divide, and for labels.
    """

    z_dim = 0

    def __init__(self, source: Shape, shape: Shape, classes: int = 0, *, width: int = 48) -> None:
        super().__init__()
        self.classes, self.multiple = without_labels(classes, "deepfill"), 8
        channels = must_have_mask(source, shape, "deepfill")
        ends(source, shape, self.multiple)
        if width % 4 or width < 4:
            raise ConfigError(f"width is {width}; it takes a multiple of 4, such as 48")
        self.stage1 = nn.ModuleDict(_coarse(channels + 2, channels, width))
        self.stage2 = nn.ModuleDict(_fine(channels, width))
        self.last: tuple[Tensor, Tensor, Tensor] | None = None  # a source and both drawings, with their gradients

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Fill in."""
        first, fine = self.both(source)
        self.last = (source, first, fine) if self.training and torch.is_grad_enabled() else None
        return pasted(source, fine)

    def drawn(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """`both` of what was filled in last, without drawing it again; once, as a backward pass frees its gradients."""
        last, self.last = self.last, None
        return last[1:] if last is not None and last[0] is source else self.both(source)

    def both(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """What the first and the second stage draw, [B, C, H, W] each, nothing pasted."""
        picture, mask = parted(prepared(source, None, 0, self.multiple))
        beside = torch.cat([picture * (1 - mask), torch.ones_like(mask), mask], 1)
        first = self._through(self.stage1, beside).tanh()
        seen = torch.where(mask > 0, first, picture)
        dilated = self._through(self.stage2, seen, "xconv")
        copied = self._through(self.stage2, seen, "pmconv", stop="pmconv9")
        copied = contextual_attention(copied, coarser(mask, 4))
        copied = self._through(self.stage2, copied, "pmconv", start="pmconv9")
        return first, self._through(self.stage2, torch.cat([dilated, copied], 1), "allconv").tanh()

    def _through(self, stage: nn.ModuleDict, x: Tensor, part: str = "", start: str = "", stop: str = "") -> Tensor:
        """Through the layers of one part, from `start` on and before `stop`."""
        names = [name for name in stage if name.startswith(part)]
        first = names.index(start) if start else 0
        for name in names[first : names.index(stop) if stop else len(names)]:
            x = stage[name](x)
        return x


class Gated(nn.Module):
    """[B, before, h, w] -> [B, after / 2, ...]: a convolution of `after` channels, of which half are gates.

    `up` doubles the sides by repetition first. `plain` leaves all channels as they come out, for pictures.
    """

    def __init__(
        self, before: int, after: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1, up: bool = False,
        activation: str = "elu", plain: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, dilation=dilation)
        self.up, self.activation, self.without_gate = up, activation, plain
        variance_kept(self.conv.weight, 1.0 if plain else GAIN)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and gate."""
        x = same(F.interpolate(x, scale_factor=2, mode="nearest") if self.up else x, self.conv)
        x = self.conv(x)
        return x if self.without_gate else gated(x, self.activation)


class Discriminator(nn.Module):
    """Pictures with their mask [B, C, H, W] -> logits [B, K], one for each of the last 4 x `width` maps at each place.

    The first `skip` channels of what it is shown are not looked at: in a game that shows it the source beside the
    result these are the holed picture, which leaves mask and result, as published. Raises ConfigError for pictures
    smaller than 8 pixels, for a `skip` that leaves nothing and for labels.
    """

    feature_size = 0

    def __init__(self, shape: Shape, classes: int = 0, *, width: int = 64, skip: int = 0) -> None:
        super().__init__()
        self.classes, self.skip = without_labels(classes, "deepfill"), skip
        channels, height, wide = image(shape)
        if not 0 <= skip < channels:
            raise ConfigError(f"skip is {skip} of {channels} channels; type --discriminator.model.skip 0")
        if min(height, wide) < 8:
            raise ConfigError(f"pictures of {height}x{wide} are too small to be judged; type --data.resolution 64")
        before = channels - skip
        for number, factor in enumerate(WIDTHS, 1):
            conv = nn.Conv2d(before, factor * width, 5, 2)
            nn.init.xavier_uniform_(conv.weight)
            self.add_module(f"conv{number}", spectral_norm(conv))
            before = factor * width

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge pictures."""
        return self.logits(self.features(x, labels), labels)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """What all layers but the last make."""
        x, found = x[:, self.skip :], []
        for number in range(1, len(WIDTHS)):
            x = self._layer(number, x)
            found.append(x)
        return tuple(found)

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """Features -> logits [B, K]; the leaky ReLU before them is official, as remembered."""
        return self._layer(len(WIDTHS), features[-1]).flatten(1)

    def _layer(self, number: int, x: Tensor) -> Tensor:
        conv = self.get_submodule(f"conv{number}")
        assert isinstance(conv, nn.Conv2d)
        return F.leaky_relu(conv(same(x, conv)), 0.2)


def same(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """With zeros around it, as TensorFlow's "SAME" has them: one more below and to the right where they are odd."""
    pads: list[int] = []
    for axis in (3, 2):
        kernel, stride, dilation = (values[axis - 2] for values in (conv.kernel_size, conv.stride, conv.dilation))
        side, reach = x.shape[axis], (kernel - 1) * dilation + 1
        total = max((-(-side // stride) - 1) * stride + reach - side, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def _coarse(before: int, after: int, width: int) -> dict[str, nn.Module]:
    """Stage 1: 17 layers."""
    half, middle = width // 2, 2 * width
    layers = [Gated(before, width, 5), Gated(half, middle, stride=2), Gated(width, middle)]
    layers += [Gated(width, 4 * width, stride=2), *(Gated(middle, 4 * width) for _ in range(2))]
    layers += [Gated(middle, 4 * width, dilation=dilation) for dilation in DILATIONS]
    layers += [Gated(middle, 4 * width) for _ in range(2)]
    layers += _doubling(width, after)
    return {f"conv{number}": layer for number, layer in enumerate(layers, 1)}


def _fine(channels: int, width: int) -> dict[str, nn.Module]:
    """Stage 2: two branches, and what joins them."""
    half, middle = width // 2, 2 * width
    start = [
        lambda: Gated(channels, width, 5), lambda: Gated(half, width, stride=2), lambda: Gated(half, middle),
    ]  # fmt: skip
    dilated = [*(make() for make in start), Gated(width, middle, stride=2), Gated(width, 4 * width)]
    dilated += [Gated(middle, 4 * width), *(Gated(middle, 4 * width, dilation=dilation) for dilation in DILATIONS)]
    copying = [*(make() for make in start), Gated(width, 4 * width, stride=2), Gated(middle, 4 * width)]
    copying += [Gated(middle, 4 * width, activation="relu")]
    joined = [Gated(4 * width, 4 * width), Gated(middle, 4 * width), *_doubling(width, channels)]
    stages: dict[str, nn.Module] = {f"xconv{number}": layer for number, layer in enumerate(dilated, 1)}
    after = {f"pmconv{number}": Gated(middle, 4 * width) for number in (9, 10)}
    return (
        stages
        | {f"pmconv{number}": layer for number, layer in enumerate(copying, 1)}
        | after
        | {f"allconv{number}": layer for number, layer in enumerate(joined, 11)}
    )


def _doubling(width: int, channels: int) -> list[Gated]:
    """From a quarter of the sides to a picture."""
    half = width // 2
    return [
        Gated(2 * width, 2 * width, up=True), Gated(width, 2 * width), Gated(width, width, up=True),
        Gated(half, half), Gated(width // 4, channels, plain=True),
    ]  # fmt: skip


@torch.no_grad()
def variance_kept(weight: Tensor, gain: float) -> None:
    """Normal numbers by the fan in, with which sizes neither grow nor shrink (He et al., arXiv:1502.01852)."""
    if not weight.is_meta:
        weight.normal_(0, gain / math.sqrt(weight[0].numel()))
