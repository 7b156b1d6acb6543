"""Resampling by 2 through the separable low-pass filter [1, 3, 3, 1] / 8 (Zhang, 2019, arXiv:1904.11486, section 3).

[1, 2, 1] removes what the smaller grid cannot hold, [1, 1] averages the pairs; together [1, 3, 3, 1], on both axes.
Enlarging with it is bilinear interpolation. Beyond the border stand zeros, as in every zero-padded convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def downsample(x: Tensor) -> Tensor:
    """Images [B, C, H, W] with even H and W -> their low-pass halves [B, C, H/2, W/2]; any range."""
    return _down(x, 1.0)


def upsample(x: Tensor) -> Tensor:
    """Images [B, C, H, W] -> their low-pass doubles [B, C, 2H, 2W]; the gain of 4 keeps a constant image constant."""
    return _up(x, 4.0)


def _down(x: Tensor, gain: float) -> Tensor:
    return F.conv2d(x, _kernel(x, gain), stride=2, padding=1, groups=x.shape[1])


def _up(x: Tensor, gain: float) -> Tensor:
    return F.conv_transpose2d(x, _kernel(x, gain), stride=2, padding=1, groups=x.shape[1])


def _kernel(x: Tensor, gain: float) -> Tensor:
    """The same filter for every channel, [C, 1, 4, 4], whose sum is `gain`."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    return (gain * torch.outer(taps, taps)).expand(x.shape[1], 1, 4, 4)
