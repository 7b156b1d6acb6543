"""Batch norm whose gain and bias follow a class or a vector (de Vries et al., 2017, arXiv:1707.00683, section 3).

    y = gain * (x - mean) / sqrt(variance + 1e-5) + bias,   mean and variance of the batch, for each channel

Every gain starts around one: tables hold it as it is, a linear map predicts its difference from one. Without that one,
the signal shrinks from norm to norm, and training still seems to work.

Shapes: B batch, C channels, h and w height and width of a feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassBatchNorm2d(nn.Module):
    """[B, C, h, w], labels int64 [B] -> the same shape: a gain and a bias for each class; ordinary if `classes` is 0.

    The tables are parameters and no `Embedding`: spectral norm, which is for matrices that multiply, leaves them alone.
    """

    def __init__(self, channels: int, classes: int = 0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not classes)
        self.gain = nn.Parameter(torch.ones(classes, channels)) if classes else None
        self.bias = nn.Parameter(torch.zeros(classes, channels)) if classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Normalise, then scale and shift by class."""
        x = self.norm(x)
        if self.gain is None or self.bias is None:
            return x
        assert labels is not None
        return _modulated(x, self.gain[labels], self.bias[labels])


class ConditionalBatchNorm2d(nn.Module):
    """[B, C, h, w], condition [B, size] -> the same shape: gain 1 + W c and bias V c (arXiv:1809.11096, appendix B)."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Linear(size, channels, bias=False)
        self.bias = nn.Linear(size, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise, then scale and shift by condition."""
        return _modulated(self.norm(x), 1 + self.gain(condition), self.bias(condition))


def _modulated(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return torch.addcmul(bias[:, :, None, None], x, gain[:, :, None, None])


def norms(name: str, channels: int) -> list[nn.Module]:
    """The norm of translation networks, as a list: `batch`, `instance` (nothing learnt, nothing kept), `none` (empty).

    Instance norm has no parameters there (Ulyanov et al., arXiv:1607.08022), so that convolutions before it need a
    bias only for the sake of official weights.
    """
    assert name in ("batch", "instance", "none"), name
    if name == "none":
        return []
    return [nn.BatchNorm2d(channels) if name == "batch" else nn.InstanceNorm2d(channels)]
