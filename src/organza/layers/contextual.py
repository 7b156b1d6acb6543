"""Contextual attention (Yu et al., 2018, arXiv:1801.07892, section 4): a hole is filled with patches from around it.

    s(x, y) = <f(x) / |f(x)|, b(y) / |b(y)|>    of 3x3 patches at half size (eq. 3); only those of b are normed in code
    s'(x, y) = sum over i in -1..1 of s(x + i, y + i)    neighbours are copied together: along rows, then along columns
    a(x, y) = softmax over y of 10 s'(x, y),  result(x) = sum over y of a(x, y) * the 4x4 patch of b at y, overlaps / 4

Shapes: B batch, C channels, h and w sides of the half size, P = h w places.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.layers.pictures import at_least_float32
from organza.training.precision import without_autocast

RATE = 2  # how much smaller the features are compared
SCALE = 10.0  # of the softmax
LEAST = 1e-4  # norm of a patch


def contextual_attention(x: Tensor, mask: Tensor) -> Tensor:
    """Features [B, C, 2h, 2w], mask [B, 1, 2h, 2w] that is 1 in the hole -> features made of patches without a hole.

    In float32. Where every patch touches the hole the result is 0.
    """
    with without_autocast(x.device.type):
        return _attended(at_least_float32(x), at_least_float32(mask)).to(x.dtype)


def _attended(x: Tensor, mask: Tensor) -> Tensor:
    small = x[:, :, ::RATE, ::RATE]
    height, width = small.shape[2:]
    patches = F.unfold(small, 3, padding=1)  # [B, 9C, P]
    norms = patches.square().sum(1, keepdim=True).sqrt().clamp(min=LEAST)
    likeness = patches.transpose(1, 2) @ (patches / norms)  # [B, P, P]: of each place to each patch
    likeness = fused(likeness, height, width)
    whole = (F.unfold(mask[:, :, ::RATE, ::RATE], 3, padding=1).sum(1, keepdim=True) == 0).to(x.dtype)  # [B, 1, P]
    attention = (likeness * whole * SCALE).softmax(2) * whole
    pieces = F.unfold(x, 2 * RATE, stride=RATE, padding=1)  # [B, 16C, P]
    copied = pieces @ attention.transpose(1, 2)
    return F.fold(copied, x.shape[2:], 2 * RATE, stride=RATE, padding=1).div(4)


def fused(likeness: Tensor, height: int, width: int) -> Tensor:
    """[B, P, P] -> [B, P, P]: sums along the diagonal of three, with places counted by rows, then by columns."""
    for one, two in ((height, width), (width, height)):
        shape = (-1, one, two, one, two)
        likeness = _diagonal(likeness).view(shape).permute(0, 2, 1, 4, 3).reshape(-1, one * two, one * two)
    return likeness


def _diagonal(x: Tensor) -> Tensor:
    """x[i - 1, j - 1] + x[i, j] + x[i + 1, j + 1], zeros beyond the border."""
    wide = F.pad(x, (1, 1, 1, 1))
    return wide[:, :-2, :-2] + x + wide[:, 2:, 2:]


def coarser(mask: Tensor, factor: int) -> Tensor:
    """The mask at a size that is so many times smaller, every so-many-th pixel."""
    return mask[:, :, ::factor, ::factor]


def gated(both: Tensor, activation: str = "elu") -> Tensor:
    """[B, 2C, h, w] -> [B, C, h, w]: activation(first half) * sigmoid(second half) (arXiv:1806.03589, eq. 3)."""
    value, gate = both.chunk(2, 1)
    assert activation in ("elu", "relu"), activation
    return (F.elu(value) if activation == "elu" else F.relu(value)) * torch.sigmoid(gate)
