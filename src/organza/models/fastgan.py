"""FastGAN, for few images (Liu et al., 2021, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot
Image Synthesis", arXiv:2101.04775, section 3, figures 3 and 4).

The generator's large maps are multiplied, channel by channel, by what its small maps say: skip-layer excitation
(eq. 1), a short way for gradients. The discriminator must, of real images only, know enough to draw them: small
decoders make the whole image from its 8x8 map, and a quarter of the image from that quarter of its 16x16 map (eq. 3).

Published for 256 to 1024 pixels, where excitations lead from 4, 8, 16, 32 to the map 16 times as large. Smaller images
have smaller networks: excitations then span all levels that there are.

Not as published: the fake and real images of D's second, coarse branch are averaged from the full ones, where the
authors' generator has a second output; decoders learn from an L1 distance on several scales, which needs no weights,
where the paper has a perceptual one (LPIPS on VGG). Not of the paper: labels, as an embedding beside the noise, and as
its projection (Miyato & Koyama, 2018, arXiv:1802.05637, eq. 3) on every logit. The authors put spectral norm on all
convolutions of both networks, which the recipe asks for.

Shapes: B batch, C channels of a map, h and w its height and width.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import Shape
from organza.draws import Draws, keys_of
from organza.layers.geometry import image, pyramid
from organza.layers.upsample import UpsampleConv2d

Features = tuple[Tensor, Tensor, Tensor]
"""D's 8x8 map, its 16x16 map, and the map of its coarse branch; 7x7 and 14x14 for images of 28x28."""


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images [B, C, H, W] in [-1, 1].

    `width` counts the channels of a 128x128 map; 64x64 and 32x32 have twice as many, and from there each halving
    doubles them. Noise on the maps is a function of z in training, and always the same in use. Raises ConfigError for
    sizes that cannot be halved.
    """

    def __init__(
        self, shape: Shape, classes: int = 0, *, z_dim: int = 256, embed_dim: int = 128, width: int = 64
    ) -> None:
        super().__init__()
        channels, height, width_px = image(shape)
        base_h, base_w, doublings = pyramid(height, width_px)
        sides = [max(base_h, base_w) << level for level in range(doublings + 1)]
        widths = [_share(width, 64 if side <= 32 else 128, side) for side in sides]
        self.z_dim, self.span = z_dim, min(4, doublings)
        self.embed = nn.Embedding(classes, embed_dim) if classes else None
        inputs = z_dim + (embed_dim if classes else 0)
        self.first = nn.Sequential(  # a transposed convolution of a 1x1 map, as the product that it is
            nn.Linear(inputs, 2 * widths[0] * base_h * base_w, bias=False),
            nn.Unflatten(1, (2 * widths[0], base_h, base_w)),
            nn.BatchNorm2d(2 * widths[0]),
            nn.GLU(1),
        )
        self.blocks = nn.ModuleList(
            Up(before, after, (base_h << level, base_w << level), refined=level % 2 == 1)
            for level, (before, after) in enumerate(pairwise(widths), 1)
        )
        targets = widths[self.span :][:4]
        self.gates = nn.ModuleList(Excitation(low, high) for low, high in zip(widths, targets, strict=False))
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1, bias=False)
        self.apply(_initialise)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        draws = Draws(keys_of(z)) if self.training else None
        if self.embed is not None:
            assert labels is not None
            z = torch.cat([z, self.embed(labels)], 1)
        maps = [self.first(z)]
        for level, block in enumerate(self.blocks, 1):
            x, source = block(maps[-1], draws and draws.other(f"level {level}")), level - self.span
            maps.append(self.gates[source](maps[source], x) if 0 <= source < len(self.gates) else x)
        return self.to_image(maps[-1]).tanh()


class Discriminator(nn.Module):
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B, K], one for each place of two small maps.

    `width` counts the channels of a 64x64 map, and each halving doubles them. Raises ConfigError for images that
    cannot be halved once with both sides staying at 7 or more.
    """

    feature_size = 0

    def __init__(self, shape: Shape, classes: int = 0, *, width: int = 64) -> None:
        super().__init__()
        channels, height, width_px = image(shape)
        base_h, base_w, halvings = pyramid(height, width_px, smallest=7)
        side, residual = max(base_h, base_w), min(halvings, 5)
        widths = [_share(width, 64, side << level) for level in range(residual + 1)][::-1]
        self.span = min(3, residual)
        self.stem = _stem(channels, [_share(width, 64, side << n) for n in range(residual, halvings + 1)][::-1])
        self.downs = nn.ModuleList(ResidualDown(a, b) for a, b in pairwise(widths))
        self.gates = nn.ModuleList(Excitation(a, b) for a, b in zip(widths, widths[self.span :], strict=False))
        self.judge = nn.Sequential(
            nn.Conv2d(widths[-1], 2 * widths[-1], 1, bias=False), nn.BatchNorm2d(2 * widths[-1]), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * widths[-1], 1, 4, bias=False),
        )  # fmt: skip
        self.shrink = 2 ** max(1, halvings - 4)  # the coarse branch sees at most 128 pixels for a base of 8
        coarse = [_share(width, 32, side << level) for level in range(max(halvings - 1, 1))][:4][::-1]
        self.coarse = nn.Sequential(
            nn.Conv2d(channels, coarse[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
            *(_down(before, after) for before, after in pairwise(coarse)),
        )  # fmt: skip
        self.judge_coarse = nn.Conv2d(coarse[-1], 1, 4, bias=False)
        self.draw_whole = _decoder(widths[-1], channels, width, min(halvings, 4))
        self.draw_part = _decoder(widths[-2], channels, width, min(halvings - 1, 4))
        self.embed = nn.Embedding(classes, widths[-1]) if classes else None
        self.apply(_initialise)

    def features(self, x: Tensor, labels: Tensor | None = None) -> Features:
        """Images [B, C, H, W] -> the maps that are judged and drawn from."""
        maps = [self.stem(x)]
        for level, down in enumerate(self.downs, 1):
            y, source = down(maps[-1]), level - self.span
            maps.append(self.gates[source](maps[source], y) if source >= 0 else y)
        return maps[-1], maps[-2], self.coarse(F.avg_pool2d(x, self.shrink))

    def logits(self, features: Features, labels: Tensor | None = None) -> Tensor:
        """Maps -> logits [B, K] of all places."""
        fine, _, coarse = features
        logits = torch.cat([self.judge(fine).flatten(1), self.judge_coarse(coarse).flatten(1)], 1)
        if self.embed is None:
            return logits
        assert labels is not None
        return logits + (fine.mean((2, 3)) * self.embed(labels)).sum(1, keepdim=True)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)

    def draw(self, features: Features, quarters: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoders make of the maps: the whole image, and its quarter `quarters` (0 to 3, [B])."""
        fine, middle, _ = features
        return self.draw_whole(fine), self.draw_part(quarter(middle, quarters))

    def reconstruction_error(self, real: Tensor, features: Features, draws: Draws) -> Tensor:
        """How far the drawings are from the real images [B, C, H, W], per sample [B] (eq. 3), with an L1 distance.

        `real` are the images that D was shown, and `features` what it made of them; `draws` choose the quarters.
        """
        quarters = draws.below("reconstruction/quarter", 4)
        whole, part = self.draw(features, quarters)
        return distance(whole, real) + distance(part, quarter(real, quarters))


def distance(drawn: Tensor, real: Tensor) -> Tensor:
    """Mean |difference|, averaged over scales from the drawing's own down to 4 pixels or an odd side; [B].

    The real image is averaged to the size of the drawing, if that is smaller.
    """
    difference = drawn.float() - F.adaptive_avg_pool2d(real.float(), (drawn.shape[2], drawn.shape[3]))
    levels = [difference.abs().mean((1, 2, 3))]
    while min(difference.shape[2:]) >= 8 and difference.shape[2] % 2 == difference.shape[3] % 2 == 0:
        difference = F.avg_pool2d(difference, 2)
        levels.append(difference.abs().mean((1, 2, 3)))
    return torch.stack(levels).mean(0)


def quarter(x: Tensor, numbers: Tensor) -> Tensor:
    """[B, C, 2h, 2w] -> [B, C, h, w]: of each sample its quarter 0 (top left), 1 (top right), 2, or 3."""
    batch, channels, height, width = x.shape
    quarters = x.view(batch, channels, 2, height // 2, 2, width // 2).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    return quarters[torch.arange(batch, device=x.device), numbers]


class Excitation(nn.Module):
    """A low map [B, low, h, w] and a high one [B, high, H, W] -> the high one, scaled channel by channel (eq. 1)."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Conv2d(low, high, 4, bias=False), nn.SiLU(),
            nn.Conv2d(high, high, 1, bias=False), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Scale the high map."""
        return high * self.gate(low)


class Noise(nn.Module):
    """x [B, C, h, w] + strength * noise, the same for all channels; the strength is learnt from 0."""

    fixed: Tensor

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("fixed", torch.randn(1, 1, *size))

    def forward(self, x: Tensor, draws: Draws | None) -> Tensor:
        """Add the noise of the draws of each sample, and without them that of `fixed`."""
        noise = self.fixed if draws is None else draws.normal("noise", *self.fixed.shape[1:])
        return x + (self.strength * noise).to(x.dtype)


class Up(nn.Module):
    """[B, before, h, w] -> [B, after, 2h, 2w] of `size`; every second block is `refined` by noise and a convolution."""

    def __init__(self, before: int, after: int, size: tuple[int, int], refined: bool) -> None:
        super().__init__()
        first = [UpsampleConv2d(before, 2 * after, bias=False), *([Noise(size)] if refined else [])]
        second = [nn.Conv2d(after, 2 * after, 3, padding=1, bias=False), Noise(size)] if refined else []
        gated = [[*layers, nn.BatchNorm2d(2 * after), nn.GLU(1)] for layers in (first, second) if layers]
        for number, layer in enumerate(layer for layers in gated for layer in layers):
            self.add_module(str(number), layer)

    def forward(self, x: Tensor, draws: Draws | None) -> Tensor:
        """Enlarge; each noise has draws of its own."""
        for name, layer in self.named_children():
            x = layer(x, draws and draws.other(name)) if isinstance(layer, Noise) else layer(x)
        return x


class ResidualDown(nn.Module):
    """[B, before, h, w] -> [B, after, h/2, w/2]: the mean of a path with two convolutions and one that averages."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.long = nn.Sequential(_down(before, after), *_normed(nn.Conv2d(after, after, 3, padding=1, bias=False)))
        self.short = nn.Sequential(nn.AvgPool2d(2), *_normed(nn.Conv2d(before, after, 1, bias=False)))

    def forward(self, x: Tensor) -> Tensor:
        """Summarise and shrink."""
        return (self.long(x) + self.short(x)) / 2


def _share(width: int, times: int, side: int) -> int:
    """width * times / side, `side` rounded up to a power of two; at least 1."""
    return max(width * times >> (side - 1).bit_length(), 1)


def _stem(channels: int, widths: list[int]) -> nn.Sequential:
    """From the image to at most 32 times the base: a plain convolution, or strided ones where it is larger."""
    if len(widths) == 1:
        return nn.Sequential(nn.Conv2d(channels, widths[0], 3, padding=1, bias=False), nn.LeakyReLU(0.2))
    first = nn.Sequential(nn.Conv2d(channels, widths[1], 4, 2, 1, bias=False), nn.LeakyReLU(0.2))
    return nn.Sequential(first, *(_down(before, after) for before, after in pairwise(widths[1:])))


def _down(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(*_normed(nn.Conv2d(before, after, 4, 2, 1, bias=False)))


def _normed(conv: nn.Conv2d) -> list[nn.Module]:
    return [conv, nn.BatchNorm2d(conv.out_channels), nn.LeakyReLU(0.2)]


def _decoder(before: int, channels: int, width: int, doublings: int) -> nn.Sequential:
    """A map [B, before, h, w] -> a picture in [-1, 1], so many times doubled."""
    widths = [before, *(max(w, 1) for w in (2 * width, width, width, width // 2)[:doublings])]
    ups = ((UpsampleConv2d(a, 2 * b, bias=False), nn.BatchNorm2d(2 * b), nn.GLU(1)) for a, b in pairwise(widths))
    last = nn.Conv2d(widths[-1], channels, 3, padding=1, bias=False)
    return nn.Sequential(*(layer for up in ups for layer in up), last, nn.Tanh())


def _initialise(module: nn.Module) -> None:
    """Normal with deviation 0.02, as in DCGAN (arXiv:1511.06434, section 4)."""
    if isinstance(module, (nn.Conv2d, nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
