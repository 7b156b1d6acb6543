"""pix2pixHD (Wang et al., 2018, arXiv:1711.11585): large pictures from maps of labels.

A global residual generator (section 3.1) works on the picture or, with `local`, on its half; then a local enhancer
adds what only the full size shows. The discriminators judge patches at several scales (section 3.2). Sources are maps
of zeros and ones, one channel for each label, and a last one with the `edges` between instances (section 3.3), or any
other images. `Encoder` makes the features that tell instances of a label apart (section 3.4), as more channels of the
source. Keys and shapes are those of official weights.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from organza.config import ConfigError, Shape
from organza.layers.geometry import image
from organza.layers.init import normal_layers
from organza.layers.norm import norms
from organza.layers.patchgan import features_at_scales, halved, logits_at_scales, logits_of_scales, plan
from organza.layers.reflected import (
    Norm,
    ReflectedBlock,
    Upsample,
    doubling,
    first,
    halving,
    last,
    must_hear,
    must_mirror,
    residual_layers,
)
from organza.layers.source import ends, prepared, with_planes

AnyNorm = Literal["batch", "instance", "none"]
LEAST, MOST_SCALES = 8, 5  # pixels of the smallest copy that is judged; copies


class Generator(nn.Module):
    """Maps [B, C, H, W], labels [B] when `classes` > 0 -> images [B, *shape] in [-1, 1].

    Both sides must be multiples of 2^downs, and of twice that with `local`, whose enhancer has half the `width` and
    `local_blocks` blocks: a width of 64 is the official `--ngf 64` of a global and `--ngf 32` of a local generator.
    Global weights load into the same layers of a local one, but for the last convolution.

    Raises ConfigError for sides that do not fit, and for labels [B] with instance norm, which takes them away.
    """

    z_dim = 0

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, width: int = 64, downs: int = 4, blocks: int = 9,
        local: bool = False, local_blocks: int = 3, norm: Norm = "instance", upsample: Upsample = "transposed",
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes, self.local, self.multiple = classes, local, 2 ** (downs + local)
        self.least = 2 * self.multiple
        before, after, height, width_px = ends(source, shape, self.multiple)
        must_mirror(height, width_px, downs + local)
        must_hear(classes, norm)
        before += classes
        body = residual_layers(before, width, downs, blocks, norm=norm, bias=True, upsample=upsample)
        if local:
            half = width // 2
            self.model1_1 = nn.Sequential(*first(before, half, norm, True), *halving(half, norm, True))
            self.model1_2 = nn.Sequential(
                *(ReflectedBlock(width, norm, True) for _ in range(local_blocks)),
                *doubling(width, norm, True, upsample), *last(half, after),
            )  # fmt: skip
        self.model = nn.Sequential(*body, *([] if local else last(width, after)))
        self.apply(normal_layers)

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Translate."""
        x = prepared(source, labels, self.classes, self.multiple)
        if not self.local:
            return self.model(x)
        return self.model1_2(self.model1_1(x) + self.model(halved(x)))


class Encoder(nn.Module):
    """Images [B, C, H, W] in [-1, 1], instances int64 [B, 1, H, W] -> features [B, `features`, H, W] in [-1, 1].

    Both sides must be multiples of 2^downs. Every pixel of an instance has the mean of all of them, so that one
    vector can be given to each.
    """

    def __init__(
        self, shape: Shape, *, features: int = 3, width: int = 16, downs: int = 4, norm: Norm = "instance"
    ) -> None:
        super().__init__()
        self.multiple = 2**downs
        channels, _, height, width_px = ends(shape, shape, self.multiple)
        must_mirror(height, width_px, downs)
        body = residual_layers(channels, width, downs, 0, norm=norm, bias=True)
        self.model = nn.Sequential(*body, *last(width, features))
        self.apply(normal_layers)

    def forward(self, images: Tensor, instances: Tensor) -> Tensor:
        """Encode, then pool."""
        return pooled(self.model(prepared(images, None, 0, self.multiple)), instances)


class Discriminator(nn.Module):
    """Images [B, C, H, W], labels [B] when `classes` > 0 -> logits [B, K] of all places of all scales, finest first.

    `layers` are the convolutions of stride 2 of each scale: with 3 a logit sees 70 pixels of its copy. The paper has 3
    scales for pictures of 2048 pixels, and official code 2 for 1024.
    """

    feature_size = 0

    def __init__(
        self, shape: Shape, classes: int = 0, *, layers: int = 3, scales: int = 2, width: int = 64,
        norm: AnyNorm = "instance",
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, width_px = image(shape)
        must_judge(height, width_px, layers, scales)
        self.classes = classes
        self.parts = logits_of_scales(height, width_px, layers, 2, scales)
        self.names = [
            [f"scale{scale}_layer{number}" for number in range(layers + 2)] for scale in range(scales - 1, -1, -1)
        ]  # the last number sees the finest scale, as remembered
        for names in self.names:
            for name, stage in zip(names, _stages(channels + classes, width, layers, norm), strict=True):
                self.add_module(name, stage)
        self.apply(normal_layers)

    def features(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """What each stage of each scale makes, finest first; the last of each scale is judged."""
        return features_at_scales(with_planes(x, labels, self.classes), self.judges)

    def logits(self, features: tuple[Tensor, ...], labels: Tensor | None = None) -> Tensor:
        """Features -> logits [B, K], `parts` of them from each scale; they know the labels already."""
        return logits_at_scales(features, self.judges)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images."""
        return self.logits(self.features(x, labels), labels)

    @property
    def judges(self) -> list[list[nn.Module]]:
        """The stages of each scale, finest first."""
        return [[self.get_submodule(name) for name in names] for names in self.names]


def edges(instances: Tensor) -> Tensor:
    """Numbers of instances [B, 1, H, W] -> [B, 1, H, W] in float32: 1 where a neighbour in row or column differs."""
    found = torch.zeros(instances.shape, device=instances.device)
    across = (instances[..., 1:] != instances[..., :-1]).float()
    down = (instances[..., 1:, :] != instances[..., :-1, :]).float()
    found[..., 1:] += across
    found[..., :-1] += across
    found[..., 1:, :] += down
    found[..., :-1, :] += down
    return found.clamp(max=1)


def pooled(features: Tensor, instances: Tensor) -> Tensor:
    """Features [B, C, H, W], instances int64 [B, 1, H, W] -> the mean over each instance of each image, at its pixels.

    Any numbers will do for the instances.
    """
    batch, channels = features.shape[:2]
    of_image = torch.arange(batch, device=instances.device).view(-1, 1, 1, 1).expand_as(instances)
    pairs = torch.stack([of_image.flatten(), instances.flatten().long()])
    _, group = pairs.unique(dim=1, return_inverse=True)  # [B H W], dense
    rows = features.movedim(1, -1).reshape(-1, channels).float()
    sums = rows.new_zeros(len(rows), channels).index_add(0, group, rows)
    counts = rows.new_zeros(len(rows)).index_add(0, group, torch.ones_like(rows[:, 0]))
    means = (sums / counts.clamp(min=1)[:, None])[group]
    return means.view(batch, *features.shape[2:], channels).movedim(-1, 1).to(features.dtype)


def must_judge(height: int, width: int, layers: int, scales: int) -> None:
    """Refuse what no judge can be built for. Raises ConfigError."""
    if layers < 1:
        raise ConfigError(f"layers is {layers}; type a number from 1")
    if scales < 1:
        raise ConfigError(f"scales is {scales}; type --discriminator.model.scales 2")
    fitting = sum(min(height, width) >= LEAST * 2**number for number in range(MOST_SCALES))
    if not fitting:
        raise ConfigError(f"images of {height}x{width} are too small to be judged; type --data.resolution 64")
    if scales > fitting:
        raise ConfigError(
            f"images of {height}x{width} can be judged at {fitting} scale{'s' * (fitting > 1)} at most, not {scales}; "
            f"type --discriminator.model.scales {fitting}"
        )


def _stages(channels: int, width: int, layers: int, norm: AnyNorm) -> list[nn.Sequential]:
    """Those of one scale; all convolutions have a bias."""
    stages, after = list[nn.Sequential](), channels
    for number, (before, after, stride) in enumerate(plan(channels, width, layers)):
        normed = norms(norm, after) if number else []
        stages.append(nn.Sequential(nn.Conv2d(before, after, 4, stride, 2), *normed, nn.LeakyReLU(0.2)))
    return [*stages, nn.Sequential(nn.Conv2d(after, 1, 4, 1, 2))]
