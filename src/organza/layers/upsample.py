"""Nearest-neighbour upsampling by 2 followed by a 3x3 convolution, in one operation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UpsampleConv2d(nn.Conv2d):
    """Images [B, C, H, W] -> [B, K, 2H, 2W]: equal to `Upsample(scale_factor=2)` and then a padded 3x3 `Conv2d`.

    Each input pixel is copied to 2x2 outputs and then filtered, which is a transposed convolution of stride 2 with the
    3x3 kernel summed over the 2x2 copies: 16 products per input pixel in place of 36, and no enlarged copy in memory.
    The parameters are those of the `Conv2d`. A `size` of 2H-1 or 2W-1 leaves the last row or column out.
    """

    def __init__(
        self, channels: int, out_channels: int, bias: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(channels, out_channels, 3, padding=1, bias=bias)
        self.size = size

    def forward(self, input: Tensor) -> Tensor:
        """Enlarge and filter."""
        kernel = F.pad(self.weight, (1, 1, 1, 1))
        kernel = kernel[:, :, 1:, 1:] + kernel[:, :, 1:, :-1] + kernel[:, :, :-1, 1:] + kernel[:, :, :-1, :-1]
        # A transposed convolution correlates backwards, and has its input channels first.
        kernel = kernel.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
        larger = F.conv_transpose2d(input, kernel, self.bias, stride=2, padding=1)
        return larger if self.size is None else larger[:, :, : self.size[0], : self.size[1]]
