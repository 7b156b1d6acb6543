"""Resampling by 2 through the separable low-pass filter [1, 3, 3, 1] / 8 (Zhang, 2019, arXiv:1904.11486, section 3).

[1, 2, 1] removes what the smaller grid cannot hold, [1, 1] averages the pairs; together [1, 3, 3, 1], on both axes.
Enlarging with it is bilinear interpolation. Beyond the border stand zeros, as in every zero-padded convolution.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.training.precision import without_autocast

TAPS = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64
"""The filter in two dimensions, [4, 4]; its sum is 1."""


BLUR = torch.outer(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 1.0])) / 16
"""The binomial filter of StyleGAN, [3, 3]; its sum is 1."""


def downsample(x: Tensor) -> Tensor:
    """Images [B, C, H, W] with even H and W -> their low-pass halves [B, C, H/2, W/2]; any range."""
    return smooth(x, TAPS, down=2, padding=1)


def upsample(x: Tensor) -> Tensor:
    """Images [B, C, H, W] -> their low-pass doubles [B, C, 2H, 2W]; the gain of 4 keeps a constant image constant."""
    return smooth(x, TAPS, up=2, padding=1, gain=4.0)


def smooth(x: Tensor, filter: Tensor, *, up: int = 1, down: int = 1, padding: int = 0, gain: float = 1.0) -> Tensor:
    """Images [B, C, H, W] filtered alike in every channel by a symmetric `filter` [k, k], times `gain`.

    With `up` zeros stand between the samples first, with `down` every so many of the results are kept.
    """
    # On a CPU the gradient of a depthwise convolution with a stride has a fast kernel in float32 alone.
    slow, dtype = x.device.type == "cpu" and max(up, down) > 1, x.dtype
    if slow and torch.is_autocast_enabled("cpu") and dtype != torch.float64:
        dtype = torch.get_autocast_dtype("cpu")  # what comes out is as wide as behind any other convolution
    wide = x.float() if slow and x.dtype == torch.bfloat16 else x
    kernel = (gain * filter.to(x.device, wide.dtype)).expand(x.shape[1], 1, *filter.shape)
    with without_autocast("cpu") if slow else nullcontext():
        if up > 1:
            found = F.conv_transpose2d(wide, kernel, stride=up, padding=padding, groups=x.shape[1])
        else:
            found = F.conv2d(wide, kernel, stride=down, padding=padding, groups=x.shape[1])
    return found.to(dtype) if slow else found


def blurred(x: Tensor, deviation: float) -> Tensor:
    """Images [B, C, H, W] blurred by a Gaussian of this deviation in pixels, cut off at three of them; zeros around."""
    radius = int(3 * deviation)
    if radius == 0:
        return x
    places = torch.arange(-radius, radius + 1, device=x.device)
    taps = (-0.5 * (places / deviation).square()).exp()
    taps = (taps / taps.sum()).to(x.dtype)
    for shape, pad in (((1, 1, -1, 1), (radius, 0)), ((1, 1, 1, -1), (0, radius))):
        kernel = taps.view(shape).expand(x.shape[1], *([-1] * 3))
        x = F.conv2d(x, kernel, padding=pad, groups=x.shape[1])
    return x
