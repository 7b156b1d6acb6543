"""LaMa (Suvorov et al., 2021, arXiv:2109.07161): fills large holes by convolutions that see the whole picture.

Three halvings, residual blocks of fast Fourier convolutions with three quarters of the channels global, three
doublings. Keys and shapes are those of the official file's `generator.`, whose networks see pictures in [0, 1] with
black holes; the conversion is in `forward`. The discriminator is that of pix2pixHD at one scale.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from organza.config import ConfigError, Shape
from organza.layers.fourier import FFCBlock, Joined, NormedFFC, Split
from organza.layers.geometry import image
from organza.layers.holes import must_have_mask, parted, pasted
from organza.layers.norm import norms
from organza.layers.patchgan import logit_side, plan
from organza.layers.pictures import from_unit, to_unit, without_labels
from organza.layers.reflected import must_mirror
from organza.layers.source import ends, prepared

AnyNorm = Literal["batch", "instance", "none"]
DOWNS = 3


class Generator(nn.Module):
    """Picture with a hole and its mask [B, C + 1, H, W] in [-1, 1] -> [B, C, H, W] in [-1, 1].

    In use what was known is put back (`organza.layers.holes.pasted`). In training the whole prediction is returned,
    as its losses look at the known part as well. 18 `blocks` are Big LaMa, 9 LaMa-Fourier. Both sides must be multiples
    of 8. Raises ConfigError for sources without a mask, for other sizes and for labels.
    """

    z_dim = 0

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, width: int = 64, blocks: int = 18,
        share: float = 0.75,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes, self.multiple = without_labels(classes, "lama"), 2**DOWNS
        self.least = 2 * self.multiple
        must_have_mask(source, shape, "lama")
        before, after, *sides = ends(source, shape, self.multiple)
        must_mirror(sides[0], sides[1], DOWNS)
        inner = _split(width * 2**DOWNS, share)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), NormedFFC((before, 0), (width, 0), 7)]
        for depth in range(DOWNS):
            wider = inner if depth == DOWNS - 1 else (width * 2 ** (depth + 1), 0)
            layers.append(NormedFFC((width * 2**depth, 0), wider, 3, 2, 1))
        layers += [*(FFCBlock(inner) for _ in range(blocks)), Joined()]
        for depth in range(DOWNS, 0, -1):
            wide = width * 2**depth
            layers += [nn.ConvTranspose2d(wide, wide // 2, 3, 2, 1, output_padding=1)]
            layers += [nn.BatchNorm2d(wide // 2), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, after, 7), nn.Sigmoid())

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Fill in."""
        picture, mask = parted(prepared(source, labels, 0, self.multiple))
        made = from_unit(self.model(torch.cat([to_unit(picture) * (1 - mask), mask], 1)))
        return made if self.training else pasted(source, made)


class Discriminator(nn.Module):
    """Pictures [B, C, H, W] in [-1, 1] -> logits [B, K], one for each patch of 142 pixels with 4 `layers`.

    `places` are the rows and columns of the K logits. Raises ConfigError for pictures too small and for labels.
    """

    feature_size = 0

    def __init__(
        self, shape: Shape, classes: int = 0, *, layers: int = 4, width: int = 64, norm: AnyNorm = "batch"
    ) -> None:
        super().__init__()
        self.classes = without_labels(classes, "lama")
        channels, height, wide = image(shape)
        if layers < 1 or min(height, wide) < 2**layers:
            raise ConfigError(
                f"layers is {layers} for pictures of {height}x{wide}; type --discriminator.model.layers "
                f"{max(min(min(height, wide).bit_length() - 1, 4), 1)}"
            )
        after = channels
        for number, (before, after, stride) in enumerate(plan(channels, width, layers)):
            normed = norms(norm, after) if number else []
            stage = nn.Sequential(nn.Conv2d(before, after, 4, stride, 2), *normed, nn.LeakyReLU(0.2))
            self.add_module(f"model{number}", stage)
        self.add_module(f"model{layers + 1}", nn.Sequential(nn.Conv2d(after, 1, 4, 1, 2)))
        self.layers, self.places = layers, (logit_side(height, layers, 2), logit_side(wide, layers, 2))
        self.parts = (self.places[0] * self.places[1],)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge pictures."""
        return self.logits(self.features(x, labels), labels)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """What each stage makes; the last one is judged."""
        x, found = to_unit(x), []
        for number in range(self.layers + 1):
            x = self.get_submodule(f"model{number}")(x)
            found.append(x)
        return tuple(found)

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """Features -> logits [B, K]."""
        return self.get_submodule(f"model{self.layers + 1}")(features[-1]).flatten(1)


def _split(channels: int, share: float) -> Split:
    """Local and global channels. Raises ConfigError for a share that leaves one of them nothing to halve."""
    whole = int(round(channels * share, 6)) // 2 * 2
    if not 0 < whole < channels:
        raise ConfigError(f"share is {share}; it takes a share of global channels between 0 and 1, such as 0.75")
    return channels - whole, whole
