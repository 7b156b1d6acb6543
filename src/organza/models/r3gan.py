"""The networks of R3GAN (Huang et al., 2024, "The GAN is dead; long live the GAN!", arXiv:2501.05441, section 3).

Both are residual networks without any normalisation: a stage is `blocks` residual blocks on one resolution, and
stages are joined by low-pass resampling. Widths are listed from the smallest resolution, the base, to the image.

Shapes: B batch, C channels of a stage, h and w its height and width, Z noise, E class embedding.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Shape
from organza.layers.geometry import image, pyramid
from organza.layers.minibatch import Minibatch, WithBatch
from organza.layers.resample import downsample, upsample

SLOPE = 0.2  # of the leaky ReLU
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class Generator(nn.Module):
    """Noise [B, z_dim], labels [B] when `classes` > 0 -> images [B, C, H, W], not bounded: no tanh.

    `widths` has one number per stage, the base first. Raises ConfigError when their count does not fit the size of
    the images, or a width the size of the groups.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int = 0,
        *,
        z_dim: int = 64,
        embed_dim: int = 64,
        widths: tuple[int, ...] = (768, 768, 768, 768),
        blocks: int = 2,
        expansion: int = 2,
        channels_per_group: int = 16,
    ) -> None:
        super().__init__()
        channels, height, width = image(shape)
        base_h, base_w, doublings = pyramid(height, width)
        _check_count(widths, doublings + 1, height, width)
        self.shape, self.classes, self.z_dim = shape, classes, z_dim
        self.embed = _initialised(nn.Linear(classes, embed_dim, bias=False)) if classes else None
        self.basis = nn.Parameter(torch.randn(widths[0], base_h, base_w))
        self.scale = _initialised(nn.Linear(z_dim + (embed_dim if classes else 0), widths[0], bias=False))
        total = blocks * len(widths)
        self.stages = nn.ModuleList(_stage(c, blocks, expansion, channels_per_group, total) for c in widths)
        self.joints = nn.ModuleList(_resize_channels(a, b) for a, b in pairwise(widths))
        self.to_image = _initialised(nn.Conv2d(widths[-1], channels, 1, bias=False))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to images."""
        if self.embed is not None:
            assert labels is not None
            z = torch.cat([z, self.embed(_one_hot(labels, self.classes, z))], 1)
        x = self.stages[0](self.basis * self.scale(z)[:, :, None, None])  # [B, C, h, w]
        for joint, stage in zip(self.joints, self.stages[1:], strict=True):
            x = stage(upsample(joint(x)))
        return self.to_image(x)


class Discriminator(nn.Module):
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B]; the mirror of `Generator`.

    With labels, the logit is the product of the features with the class embedding and has no other term (the
    projection of Miyato & Koyama, arXiv:1802.05637, eq. 3, without psi).
    """

    def __init__(
        self,
        shape: Shape,
        classes: int = 0,
        *,
        widths: tuple[int, ...] = (768, 768, 768, 768),
        blocks: int = 2,
        expansion: int = 2,
        channels_per_group: int = 16,
        minibatch: Minibatch = "none",
    ) -> None:
        super().__init__()
        channels, height, width = image(shape)
        base_h, base_w, doublings = pyramid(height, width)
        _check_count(widths, doublings + 1, height, width)
        widths = widths[::-1]  # here the image comes first
        self.shape, self.classes = shape, classes
        self.from_image = _initialised(nn.Conv2d(channels, widths[0], 1, bias=False))
        total = blocks * len(widths)
        self.stages = nn.ModuleList(_stage(c, blocks, expansion, channels_per_group, total) for c in widths)
        self.joints = nn.ModuleList(_resize_channels(a, b) for a, b in pairwise(widths))
        top = widths[-1]
        self.gather = _initialised(nn.Conv2d(top, top, (base_h, base_w), groups=top, bias=False))
        self.batch = WithBatch(top, minibatch)
        self.feature_size = self.batch.outputs
        self.head = _initialised(nn.Linear(self.feature_size, top if classes else 1, bias=False))
        embed = nn.Linear(classes, top, bias=False) if classes else None
        self.embed = _initialised(embed, gain=1 / math.sqrt(top)) if embed is not None else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the last layer judges, [B, feature_size]."""
        x = self.stages[0](self.from_image(x))  # [B, C, h, w]
        for joint, stage in zip(self.joints, self.stages[1:], strict=True):
            x = stage(joint(downsample(x)))
        return self.batch(self.gather(x).flatten(1))

    def logits(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Features, and labels where there are any -> logits [B]."""
        judged = self.head(features)
        if self.embed is None:
            return judged.squeeze(1)
        assert labels is not None
        return (judged * self.embed(_one_hot(labels, self.classes, judged))).sum(1)


class Block(nn.Module):
    """x + f(x) on [B, C, h, w]: an inverted bottleneck around a grouped 3x3 convolution (arXiv:2501.05441, config E).

    Its start is Fixup's (Zhang et al., 2019, arXiv:1901.09321, section 3): the last convolution is zero, so that
    the block is the identity, and the others shrink with the number of blocks of the whole network.
    """

    starts_at_zero = True

    def __init__(self, width: int, expansion: int, channels_per_group: int, total_blocks: int) -> None:
        super().__init__()
        inner = width * expansion
        _check_group(width, expansion, channels_per_group)
        # Fixup's L^(-1 / (2m - 2)) for the m = 3 layers of a block, on top of He's gain for the leaky ReLU.
        gain = math.sqrt(2 / (1 + SLOPE**2)) * total_blocks**-0.25
        self.expand = _initialised(nn.Conv2d(width, inner, 1), gain)
        self.mix = _initialised(nn.Conv2d(inner, inner, 3, padding=1, groups=inner // channels_per_group), gain)
        self.reduce = _initialised(nn.Conv2d(inner, width, 1, bias=False), gain=0)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block has learnt; the two biases belong to the two activations."""
        y = F.leaky_relu(self.expand(x), SLOPE)
        y = F.leaky_relu(self.mix(y), SLOPE)
        return x + self.reduce(y)


def _stage(width: int, blocks: int, expansion: int, channels_per_group: int, total_blocks: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width, expansion, channels_per_group, total_blocks) for _ in range(blocks)))


def _resize_channels(before: int, after: int) -> nn.Module:
    return nn.Identity() if before == after else _initialised(nn.Conv2d(before, after, 1, bias=False))


def _initialised(layer: Layer, gain: float = 1.0) -> Layer:
    """Weights from a normal distribution with deviation gain / sqrt(inputs of one output), biases zero."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _one_hot(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    return F.one_hot(labels, classes).to(like.dtype)


def _check_count(widths: tuple[int, ...], stages: int, height: int, width: int) -> None:
    if len(widths) == stages:
        return
    example = ",".join(str(w) for w in (*widths, *([widths[-1] if widths else 64] * stages))[:stages])
    raise ConfigError(
        f"widths has {len(widths)} numbers; images of {height}x{width} have {stages} stages and need {stages} numbers, "
        f"the smallest resolution first: {example}"
    )


def _check_group(width: int, expansion: int, channels_per_group: int) -> None:
    if width * expansion % channels_per_group:
        step = channels_per_group // math.gcd(expansion, channels_per_group)
        raise ConfigError(
            f"a width of {width} with expansion {expansion} and channels_per_group {channels_per_group} leaves a "
            f"broken group; choose widths that are multiples of {step}"
        )
