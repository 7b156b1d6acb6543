"""Blurs with a kernel for each picture, and unsharp masking, as Real-ESRGAN has them (arXiv:2107.10833)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

RADIUS, WEIGHT, THRESHOLD = 51, 0.5, 10  # of unsharp masking: taps, share of the detail, levels of 255


def mirrored_around(x: Tensor, beyond: int) -> Tensor:
    """[B, C, H, W] with `beyond` pixels more on each side, mirrored without doubling the border, as often as needed."""
    for axis in (2, 3):
        side = x.shape[axis]
        period = max(2 * side - 2, 1)
        places = torch.arange(-beyond, side + beyond, device=x.device) % period
        x = x.index_select(axis, torch.minimum(places, period - places) if side > 1 else places * 0)
    return x


def filtered(x: Tensor, kernels: Tensor) -> Tensor:
    """Images [B, C, H, W], kernels [B, k, k] with odd k -> each image by its own kernel, borders mirrored."""
    batch, channels, height, width = x.shape
    size = kernels.shape[-1]
    wide = mirrored_around(x, size // 2).transpose(0, 1)  # [C, B, ...]: one group for each image
    made = F.conv2d(wide, kernels[:, None].to(x.dtype), groups=batch)
    return made.transpose(0, 1).reshape(batch, channels, height, width)


def sharpened(images: Tensor, weight: float = WEIGHT) -> Tensor:
    """Images [B, C, H, W] in [-1, 1] -> the same with their detail raised where it is more than 10 levels of 255.

    The mask of where is blurred too, so that flat parts and their noise stay as they are.
    """
    detail = images - _gaussian(images)
    where = _gaussian((detail.abs() > 2 * THRESHOLD / 255).to(images.dtype))
    raised = (images + weight * detail).clamp(-1, 1)
    return where * raised + (1 - where) * images


def _gaussian(x: Tensor) -> Tensor:
    """Blurred by 51 taps, of the deviation that OpenCV takes for so many."""
    deviation = 0.3 * ((RADIUS - 1) / 2 - 1) + 0.8
    places = torch.arange(RADIUS, device=x.device) - RADIUS // 2
    taps = torch.exp(-0.5 * (places / deviation).square())
    taps = (taps / taps.sum()).to(x.dtype)
    wide, channels = mirrored_around(x, RADIUS // 2), x.shape[1]
    wide = F.conv2d(wide, taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(wide, taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
