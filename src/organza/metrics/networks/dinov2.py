"""DINOv2 (Oquab et al., arXiv:2304.07193): a vision transformer (arXiv:2010.11929) with patches of 14 pixels.

FD-DINOv2 (Stein et al., arXiv:2306.04675) takes its class token after the last norm. Parameters have the names of the
official state dicts. From memory, not from the official code: epsilon 1e-6 of the norms, the exact GELU, and that the
37x37 position embedding is resized by a bicubic without averaging whose scale is (sides + 0.1) / 37. That 0.1 samples
it at other places than a resize to 16x16 would: features differ a little, so it belongs to the protocol.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Variant = Literal["vits14", "vitb14", "vitl14"]

PATCH, SIDE = 14, 37  # of a patch in pixels, of the position embedding in patches (518 pixels)
OFFSET = 0.1  # of its interpolation
SIZES: dict[Variant, tuple[int, int, int]] = {"vits14": (384, 12, 6), "vitb14": (768, 12, 12), "vitl14": (1024, 24, 16)}
"""Width, blocks and heads."""


class PatchEmbed(nn.Module):
    """[B, 3, H, W] -> [B, HW / 196, D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        """A linear map of each patch, row by row."""
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention of tokens [B, T, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """softmax(q k / root of the head's width) v, and a linear map."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two layers with GELU, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, D]."""
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """One factor for each channel (arXiv:2103.17239)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Scale."""
        return x * self.gamma


class Block(nn.Module):
    """Attention and MLP, each behind a norm, scaled and added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = nn.LayerNorm(width, 1e-6), Attention(width, heads), LayerScale(width)
        self.norm2, self.mlp, self.ls2 = nn.LayerNorm(width, 1e-6), Mlp(width), LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, D]."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Dinov2(nn.Module):
    """Images [B, 3, H, W] by mean and deviation of ImageNet, sides divisible by 14 -> class tokens [B, D]."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width, blocks, heads = SIZES[variant]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + SIDE * SIDE, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # of training; in the file
        self.patch_embed = PatchEmbed(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """The class token after the last norm."""
        positions = self.positions(x.shape[2] // PATCH, x.shape[3] // PATCH)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patch_embed(x)], 1) + positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 0])

    def positions(self, rows: int, columns: int) -> Tensor:
        """The position embedding [1, 1 + rows * columns, D]."""
        if rows == columns == SIDE:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (SIDE, SIDE))
        scale = (rows + OFFSET) / SIDE, (columns + OFFSET) / SIDE
        grid = F.interpolate(grid, scale_factor=scale, mode="bicubic", recompute_scale_factor=False)
        assert grid.shape[2:] == (rows, columns)
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], 1)
