"""Self-attention over the pixels of a feature map (Zhang et al., 2018, SAGAN, arXiv:1805.08318, section 3).

Shapes: B batch, C channels, h and w height and width of a feature map, N = h w.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SelfAttention2d(nn.Module):
    """[B, C, h, w] -> the same shape: x + gamma o(attention), gamma learnt from zero (eq. 3).

    Keys have C/8 channels, values C/2, and the attended map is pooled 2x2, which quarters the cost: as in BigGAN
    (arXiv:1809.11096), whose published parameter counts these widths give.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        keys, values = max(1, channels // 8), max(1, channels // 2)
        self.theta = nn.Conv2d(channels, keys, 1, bias=False)
        self.phi = nn.Conv2d(channels, keys, 1, bias=False)
        self.g = nn.Conv2d(channels, values, 1, bias=False)
        self.o = nn.Conv2d(values, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Add to each pixel what it draws from all the others; no fused kernel, which has no second derivative."""
        query = self.theta(x).flatten(2)  # [B, C/8, N]
        key = F.max_pool2d(self.phi(x), 2).flatten(2)  # [B, C/8, N/4]
        value = F.max_pool2d(self.g(x), 2).flatten(2)  # [B, C/2, N/4]
        weights = (query.transpose(1, 2) @ key).softmax(2)  # [B, N, N/4], eq. 1
        drawn = value @ weights.transpose(1, 2)  # [B, C/2, N], eq. 2
        return x + self.gamma * self.o(drawn.unflatten(2, x.shape[2:]))


def attention_after(maps: Sequence[tuple[int, int]], channels: Sequence[int], side: int) -> nn.ModuleList:
    """What follows each block: self-attention on the map nearest to `side` x `side` pixels, nothing on the others.

    `maps` has the (height, width) after each block, `channels` its channels; of equal ones the first is taken, and
    `side` 0 takes none.
    """
    distances = [abs(math.log(h * w / side**2)) for h, w in maps] if side else []
    chosen = distances.index(min(distances)) if distances else None
    return nn.ModuleList(SelfAttention2d(c) if i == chosen else nn.Identity() for i, c in enumerate(channels))
