"""Layers with an equalised learning rate, and pixel normalisation (Karras et al., 2018, arXiv:1710.10196, section 4).

Stored weights are standard normal; a layer multiplies them by He's constant whenever it runs. Adam divides by the size
of a gradient, so that all weights then change at the same relative speed, whatever the size of their layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class EqualizedLinear(nn.Module):
    """[B, inputs] -> [B, outputs]: the weights are `gain / sqrt(inputs)` times what is stored.

    A `rate` below 1 slows this layer down: weights and biases are stored as many times larger and run as many times
    smaller. `start` is where the biases begin.
    """

    def __init__(
        self, inputs: int, outputs: int, *, bias: bool = True, gain: float = 1.0, rate: float = 1.0, start: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), start / rate)) if bias else None
        self.rate, self.scale = rate, gain * rate / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by the scaled weights."""
        bias = self.bias if self.bias is None or self.rate == 1 else self.bias * self.rate
        return F.linear(x, self.weight * self.scale, bias)

    def extra_repr(self) -> str:
        """Sizes, for `print`."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, scale={self.scale:.4g}"


class EqualizedConv2d(nn.Module):
    """[B, inputs, H, W] -> [B, outputs, H, W] with an odd kernel and zeros around: weights `gain / sqrt(fan-in)` times.

    The fan-in is inputs * kernel^2.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.padding = gain / math.sqrt(inputs * kernel**2), kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Filter with the scaled weights."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)

    def extra_repr(self) -> str:
        """Sizes, for `print`."""
        outputs, inputs, kernel, _ = self.weight.shape
        return f"{inputs}, {outputs}, {kernel}, scale={self.scale:.4g}"


def pixel_norm(x: Tensor) -> Tensor:
    """[B, C, ...] -> the same, the mean square over C made 1 at every place (section 4.2, its epsilon of 1e-8)."""
    return x * torch.rsqrt(precise(x).square().mean(1, keepdim=True) + 1e-8).to(x.dtype)


def precise(x: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
