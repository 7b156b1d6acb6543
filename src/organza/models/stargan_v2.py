"""StarGAN v2 (Choi et al., 2020, "Diverse Image Synthesis for Multiple Domains", arXiv:1912.01865).

A style is a vector of one domain: mapped from noise, s = F_y(z), or read from an image of that domain, s = E_y(x). The
generator draws its source in that style (section 2.1):

    x~ = G(x, s),   each normed channel of its decoder times 1 + gamma(s), plus beta(s)

Layers are those of the paper's appendix, with the published files' names. With `w_hpf`, as for faces, the decoder has
no shortcuts; instead, the edges of what masks keep of the encoder's maps are added to its own. The network that finds
such masks in faces is not part of this. Shapes: B batch, C channels, H and W of images, h and w of feature maps.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import Shape
from organza.layers.geometry import image
from organza.layers.sizes import must_divide, must_reach, some_classes

Masks = tuple[Tensor, Tensor]  # [B, 1, h, w] in [0, 1]: of maps 32 pixels wide, and of wider ones
MASKED = (32, 64, 128)  # pixels
SLOPE = 0.2


class Generator(nn.Module):
    """Images [B, C, H, W], z [B, 16], labels int64 [B] of the domains to go to -> images [B, *, H, W], about [-1, 1].

    `width` counts the channels at the image, 0: 2^14 over its longer side, as published; each halving doubles them up
    to `max_width`. `downs` 0 halves down to 16 pixels, once at least, and once more with `w_hpf`.

    Raises ConfigError without classes and for images below 8 pixels.
    """

    partly = True  # the style encoder learns from penalties alone
    styled = True

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, z_dim: int = 16, style_dim: int = 64, width: int = 0,
        max_width: int = 512, downs: int = 0, w_hpf: float = 0.0, mapping_width: int = 512,
    ) -> None:  # fmt: skip
        super().__init__()
        some_classes("StarGAN v2", classes)
        channels, height, side = image(source)
        must_reach(height, side, 8, "StarGAN v2", "type --data.resolution 32")
        width = width or published_width(height, side, max_width)
        downs = downs or max(_log2(height, side) - 4, 1) + (w_hpf > 0)
        self.classes, self.z_dim, self.multiple = classes, z_dim, 2**downs
        self.least = 2 * self.multiple
        self.generator = Translator(channels, image(shape)[0], style_dim, width, max_width, downs, w_hpf)
        self.mapping_network = Mapping(z_dim, style_dim, classes, mapping_width)
        self.style_encoder = StyleEncoder(image(shape), style_dim, classes, width, max_width)
        self.apply(initialise)

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Translate in a style of the labels' domains; without `z` in that of zero noise."""
        if labels is None:
            raise ValueError(f"labels are missing: give the domains to go to, int64 [B] below {self.classes}")
        z = source.new_zeros(len(source), self.z_dim) if z is None else z
        return self.translate(source, self.style_from(z, labels))

    def style_of(self, image: Tensor, domain: Tensor) -> Tensor:
        """Images [B, C, H, W] and their domains int64 [B] -> their styles [B, style_dim]."""
        return self.style_encoder(image, domain)

    def in_style(self, source: Tensor, style: Tensor, domain: Tensor | None = None) -> Tensor:
        """Images in these styles, which know their domain."""
        return self.translate(source, style)

    def style_from(self, z: Tensor, domain: Tensor) -> Tensor:
        """Noise [B, z_dim] and domains int64 [B] -> styles [B, style_dim]."""
        return self.mapping_network(z, domain)

    def translate(self, source: Tensor, style: Tensor, mask: Masks | None = None) -> Tensor:
        """Images in these styles; raises ValueError where their sides are no `multiple`."""
        must_divide(source, self.multiple)
        return self.generator(source, style, mask)


class Discriminator(nn.Module):
    """Images [B, C, H, W] and their domains int64 [B] -> logits [B, K] of their domains' heads; K is 1 for 2^n x 2^n.

    Raises ConfigError without classes and for images below 8 pixels.
    """

    feature_size = 0

    def __init__(
        self, shape: Shape, classes: int = 0, *, width: int = 0, max_width: int = 512
    ) -> None:  # fmt: skip
        super().__init__()
        some_classes("StarGAN v2", classes)
        channels, height, side = image(shape)
        must_reach(height, side, 8, "StarGAN v2", "type --data.resolution 32")
        layers, after = _halving(channels, height, side, width, max_width)
        self.classes, downs = classes, _log2(height, side) - 2
        self.parts = (((height >> downs) - 3) * ((side >> downs) - 3),)
        self.main = nn.Sequential(*layers, nn.Conv2d(after, classes, 1))
        self.apply(initialise)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """Every layer's activation [B, *, h, w] but the logits, the last of which all heads read."""
        found: list[Tensor] = []
        for layer in list(self.main)[:-1]:
            x = layer(x)
            found.append(x)
        return tuple(found)

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """Last features -> what the heads of these domains say, [B, K]."""
        assert labels is not None
        return _own(self.main[-1](features[-1]).flatten(2), labels)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)


class Translator(nn.Module):
    """Images [B, C, H, W] and styles [B, style_dim] -> images, by an encoder and a decoder of blocks."""

    def __init__(
        self, channels: int, outputs: int, style_dim: int, width: int, max_width: int, downs: int, w_hpf: float
    ) -> None:
        super().__init__()
        widths = [min(width * 2**i, max_width) for i in range(downs + 1)]
        pairs, middle = list(pairwise(widths)), widths[-1]
        self.from_rgb = nn.Conv2d(channels, width, 3, padding=1)
        self.encode = nn.ModuleList([*(ResBlock(a, b, norm=True, halves=True) for a, b in pairs),
                                     *(ResBlock(middle, middle, norm=True) for _ in range(2))])  # fmt: skip
        bare = w_hpf > 0
        self.decode = nn.ModuleList(
            [*(StyledBlock(middle, middle, style_dim, bare=bare) for _ in range(2)),
             *(StyledBlock(b, a, style_dim, bare=bare, enlarges=True) for a, b in reversed(pairs))])  # fmt: skip
        to_rgb = (nn.InstanceNorm2d(width, affine=True), nn.LeakyReLU(SLOPE), nn.Conv2d(width, outputs, 1))
        self.to_rgb = nn.Sequential(*to_rgb)
        self.hpf = HighPass(w_hpf) if bare else None
        self.register_load_state_dict_pre_hook(_without_filter)

    def forward(self, x: Tensor, style: Tensor, mask: Masks | None = None) -> Tensor:
        """Encode, then draw in the style; what `mask` keeps of the encoder's maps lends its edges."""
        if mask is not None and self.hpf is None:
            raise ValueError("masks need a generator with a high-pass filter; build it with w_hpf 1, or give no masks")
        x, kept = self.from_rgb(x), {}
        for block in self.encode:
            if mask is not None:
                kept[x.shape[3]] = x
            x = block(x)
        for block in self.decode:
            x = block(x, style)
            if mask is not None and self.hpf is not None and (side := x.shape[3]) in MASKED:
                own = F.interpolate(mask[0 if side == MASKED[0] else 1], x.shape[2:], mode="bilinear")
                x = x + self.hpf(own * kept[side])
        return self.to_rgb(x)


class ResBlock(nn.Module):
    """[B, before, h, w] -> [B, after, h, w], or h/2 x w/2 if it `halves`: (shortcut(x) + f(x)) / sqrt(2)."""

    def __init__(self, before: int, after: int, *, norm: bool = False, halves: bool = False) -> None:
        super().__init__()
        self.halves = halves
        self.conv1 = nn.Conv2d(before, before, 3, padding=1)
        self.conv2 = nn.Conv2d(before, after, 3, padding=1)
        self.norm1, self.norm2 = (nn.InstanceNorm2d(before, affine=True) if norm else None for _ in range(2))
        self.conv1x1 = nn.Conv2d(before, after, 1, bias=False) if before != after else None

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block has learnt."""
        y = x if self.norm1 is None else self.norm1(x)
        y = self._smaller(self.conv1(F.leaky_relu(y, SLOPE)))
        y = y if self.norm2 is None else self.norm2(y)
        y = self.conv2(F.leaky_relu(y, SLOPE))
        # A 1x1 convolution of means is the mean of 1x1 convolutions, and cheaper.
        x = self._smaller(x)
        return (y + (x if self.conv1x1 is None else self.conv1x1(x))) / math.sqrt(2)

    def _smaller(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2) if self.halves else x


class StyledBlock(nn.Module):
    """[B, before, h, w] and styles -> [B, after, h, w], or 2h x 2w if it `enlarges`: (shortcut(x) + f(x, s)) / sqrt(2).

    `bare`: f(x, s) alone, so that masks decide what comes through.
    """

    def __init__(self, before: int, after: int, style_dim: int, *, bare: bool, enlarges: bool = False) -> None:
        super().__init__()
        self.bare, self.enlarges = bare, enlarges
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.norm1, self.norm2 = AdaIN(style_dim, before), AdaIN(style_dim, after)
        self.conv1x1 = nn.Conv2d(before, after, 1, bias=False) if before != after else None

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Draw; the shortcut's 1x1 convolution runs before the enlargement, for the same."""
        y = self.conv1(self._larger(F.leaky_relu(self.norm1(x, style), SLOPE)))
        y = self.conv2(F.leaky_relu(self.norm2(y, style), SLOPE))
        if self.bare:
            return y
        return (y + self._larger(x if self.conv1x1 is None else self.conv1x1(x))) / math.sqrt(2)

    def _larger(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest") if self.enlarges else x


class AdaIN(nn.Module):
    """[B, C, h, w] and styles [B, style_dim] -> normed images times 1 + gamma(s) plus beta(s)."""

    def __init__(self, style_dim: int, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(style_dim, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Norm each channel of each image, then scale and shift it."""
        gamma, beta = self.fc(style)[:, :, None, None].chunk(2, 1)
        return torch.addcmul(beta, F.instance_norm(x), 1 + gamma)


class HighPass(nn.Module):
    """[B, C, h, w] -> eight times each pixel less its eight neighbours, over `weight`."""

    filter: Tensor

    def __init__(self, weight: float) -> None:
        super().__init__()
        taps = torch.full((3, 3), -1.0)
        taps[1, 1] = 8.0
        self.register_buffer("filter", taps / weight, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Filter every channel alike."""
        return F.conv2d(x, self.filter.to(x.dtype).expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


class Mapping(nn.Module):
    """Noise [B, z_dim] and domains int64 [B] -> styles [B, style_dim]: four common layers, and four of each domain."""

    def __init__(self, z_dim: int, style_dim: int, classes: int, width: int) -> None:
        super().__init__()
        self.shared = _linears(z_dim, width, width, width, width)
        self.shared.append(nn.ReLU())
        self.unshared = nn.ModuleList(_linears(width, width, width, width, style_dim) for _ in range(classes))

    def forward(self, z: Tensor, domain: Tensor) -> Tensor:
        """Map; all domains are computed, so that every process has a gradient for each."""
        x = self.shared(z)
        return _own(torch.stack([branch(x) for branch in self.unshared], 1), domain)


class StyleEncoder(nn.Module):
    """Images [B, C, H, W] and their domains int64 [B] -> styles [B, style_dim], means over places if there are more."""

    def __init__(self, shape: tuple[int, int, int], style_dim: int, classes: int, width: int, max_width: int) -> None:
        super().__init__()
        layers, after = _halving(*shape, width, max_width)
        self.shared = nn.Sequential(*layers)
        self.unshared = nn.ModuleList(nn.Linear(after, style_dim) for _ in range(classes))

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """Read."""
        x = self.shared(x).mean((2, 3))
        return _own(torch.stack([branch(x) for branch in self.unshared], 1), domain)


def initialise(module: nn.Module) -> None:
    """He et al. (arXiv:1502.01852): normal with deviation sqrt(2 / inputs); biases zero (appendix A)."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def published_width(height: int, width: int, limit: int) -> int:
    """Channels at the image: 2^14 over its longer side, and no more than `limit`."""
    return max(min(2**14 // max(height, width), limit), 1)


def _log2(height: int, width: int) -> int:
    """Of the shorter side, rounded down."""
    return min(height, width).bit_length() - 1


def _halving(channels: int, height: int, side: int, width: int, limit: int) -> tuple[list[nn.Module], int]:
    """Layers from the image down to 4x4 and across it, and the channels behind them."""
    width = width or published_width(height, side, limit)
    widths = [min(width * 2**i, limit) for i in range(_log2(height, side) - 1)]
    blocks = (ResBlock(a, b, halves=True) for a, b in pairwise(widths))
    ends = (nn.LeakyReLU(SLOPE), nn.Conv2d(widths[-1], widths[-1], 4), nn.LeakyReLU(SLOPE))
    return [nn.Conv2d(channels, widths[0], 3, padding=1), *blocks, *ends], widths[-1]


def _linears(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _own(of_all: Tensor, domain: Tensor) -> Tensor:
    """[B, classes, N] -> each row's own domain, [B, N]."""
    return of_all[torch.arange(of_all.shape[0], device=of_all.device), domain]


def _without_filter(module: Translator, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Published files may hold the high-pass filter, which is no weight."""
    state.pop(f"{prefix}hpf.filter", None)
