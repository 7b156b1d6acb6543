"""The discriminator of patches (Isola et al., 2017, arXiv:1611.07004, section 3.2.2), at one scale or several.

4x4 convolutions, all of stride 2 but the last two. Every logit sees a patch of 70 pixels where three have stride 2.
At several scales (Wang et al., 2018, arXiv:1711.11585, section 3.2) equal networks judge smaller and smaller copies.
A judge is a list of stages, whose last one makes the logits.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Judge = Sequence[nn.Module]


def plan(channels: int, width: int, layers: int) -> list[tuple[int, int, int]]:
    """(channels before, after, stride) of all convolutions but the last, whose one output is the logit."""
    widths = [channels, *(width * min(2**depth, 8) for depth in range(layers + 1))]
    return [(a, b, 2 if i < layers else 1) for i, (a, b) in enumerate(itertools.pairwise(widths))]


def logit_side(side: int, layers: int, padding: int) -> int:
    """How many logits stand side by side for images of this side; 0 or less: the image is too small."""
    for stride in [2] * layers + [1, 1]:
        side = (side + 2 * padding - 4) // stride + 1
    return side


def halved(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, ceil(H/2), ceil(W/2)]: means of 3x3 pixels, without what is beyond the border."""
    return F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)


def features_at_scales(x: Tensor, judges: Sequence[Judge]) -> tuple[Tensor, ...]:
    """What the stages of all judges make, but for the logits: all of the finest scale first."""
    found = []
    for number, judge in enumerate(judges):
        seen = x
        for stage in judge[:-1]:
            seen = stage(seen)
            found.append(seen)
        x = halved(x) if number + 1 < len(judges) else x
    return tuple(found)


def logits_at_scales(features: tuple[Tensor, ...], judges: Sequence[Judge]) -> Tensor:
    """The logits [B, K] of all places of all scales, from the last features of each."""
    depth = len(judges[0]) - 1
    maps = [judge[-1](features[(number + 1) * depth - 1]) for number, judge in enumerate(judges)]
    return torch.cat([x.flatten(1) for x in maps], 1)


def logits_of_scales(height: int, width: int, layers: int, padding: int, scales: int) -> tuple[int, ...]:
    """How many of the logits belong to each scale."""
    found = []
    for _ in range(scales):
        found.append(logit_side(height, layers, padding) * logit_side(width, layers, padding))
        height, width = (height + 1) // 2, (width + 1) // 2
    return tuple(found)
